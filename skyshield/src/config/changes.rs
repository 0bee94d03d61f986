//! What differs between two configurations, key by key, and what of it needs a restart.

use serde_json::Value;

use super::Config;

/// What a running daemon takes up. Everything else waits for a restart, a new section too until it is
/// named here.
const TAKEN_UP: &[&str] = &[
    "dataplane.bursts",
    "dataplane.bytes_per_sec",
    "dataplane.drop_bad_flags",
    "dataplane.drop_malformed",
    "dataplane.drop_martians",
    "dataplane.dry_run",
    "dataplane.dry_run_for",
    "dataplane.events_per_ms",
    "dataplane.flows_per_sec",
    "dataplane.network_bytes_per_sec",
    "dataplane.network_flows_per_sec",
    "dataplane.network_packets_per_sec",
    "dataplane.network_syns_per_sec",
    "dataplane.network_udp_packets_per_sec",
    "dataplane.on_silence",
    "dataplane.rate_burst",
    "dataplane.rate_packets_per_sec",
    "dataplane.rules",
    "dataplane.silent_after_secs",
    "dataplane.syns_per_sec",
    "dataplane.udp_packets_per_sec",
    "escalation",
    "forward_auth",
    "gateway",
    "inspect",
    "limits",
    "log.level",
    "never_ban",
    "rehearsal",
    "risk",
    "routes",
];
/// What of it does not: sockets are bound and tables are made once.
const BUT: &[&str] = &[
    "forward_auth.awaited",
    "forward_auth.connections",
    "forward_auth.doors",
    "forward_auth.outcomes",
    "gateway.listen",
    "gateway.tls.listen",
    "limits.tracked",
];
/// What a daemon takes up only if it has counted flows from its start on: their table is made then.
const OF_FLOWS: &[&str] = &["dataplane.flows_per_sec", "dataplane.network_flows_per_sec"];

/// The keys in which `new` differs from `old`, in alphabetical order.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    let mut keys = Vec::new();
    collect("", &value(old), &value(new), &mut keys);
    // A secret is never written out, so that its change shows in no text.
    if old.limits.user != new.limits.user && !keys.iter().any(|key| key.starts_with("limits.user")) {
        keys.push("limits.user".to_owned());
    }
    if keys.is_empty() && old != new {
        keys.push("a secret".to_owned());
    }
    keys.sort_unstable();
    keys
}

/// Whether a change of `key` is in force only after a restart of a daemon that was started with this configuration.
pub fn needs_restart(key: &str, started_with: &Config) -> bool {
    let is_in = |sections: &[&str]| {
        sections.iter().any(|section| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    !is_in(TAKEN_UP) || is_in(BUT) || is_in(OF_FLOWS) && !started_with.dataplane.counts_flows()
}

fn collect(path: &str, old: &Value, new: &Value, keys: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                let (before, after) = (before.get(name), after.get(name));
                let inner = format!("{path}{dot}{name}");
                collect(&inner, before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null), keys);
            }
        }
        (old, new) if old == new => {}
        _ => keys.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn told(old: &str, new: &str) -> Vec<(String, bool)> {
        let old = parse(old).unwrap();
        let keys = changes(&old, &parse(new).unwrap());
        keys.into_iter().map(|key| (key.clone(), needs_restart(&key, &old))).collect()
    }

    #[test]
    fn what_changed_is_named_and_what_needs_a_restart_is_told_apart() {
        let changed = told(
            "[store]\ndir = \"/a\"\n",
            "[store]\ndir = \"/b\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n[risk]\nban_secs = 60\n\
             [limits]\ntracked = 2000\n[limits.classes.shop]\npaths = [\"/shop\"]\nrequests = 1\nwindow_secs = 1\n\
             [gateway]\nlisten = [\"127.0.0.1:81\"]\n[gateway.limits]\ndrain_secs = 5\n[[routes]]\nname = \"wiki\"\n",
        );
        let expected = [
            ("gateway.limits.drain_secs", false),
            ("gateway.listen", true),
            ("limits.classes.shop", false),
            ("limits.tracked", true),
            ("log.format", true),
            ("log.level", false),
            ("risk.ban_secs", false),
            ("routes", false),
            ("store.dir", true),
        ];
        assert_eq!(changed, expected.map(|(key, restart)| (key.to_owned(), restart)));
        assert!(told("", "").is_empty());
    }

    #[test]
    fn what_only_begins_alike_is_not_meant() {
        let needs_restart = |key| needs_restart(key, &Config::default());
        assert!(needs_restart("gateway.listen") && needs_restart("gatewayed") && needs_restart("log"));
        assert!(!needs_restart("gateway.listening") && !needs_restart("risk"));
    }

    #[test]
    fn of_the_kernel_side_what_has_a_size_and_what_is_loaded_needs_a_restart() {
        let changed = told(
            "[dataplane]\nmax_bans = 1000\n",
            "[dataplane]\nmax_bans = 2000\nsyn_cookies_above = 9\nrate_burst = 5\ndry_run = true\n\
             dry_run_for = [\"rate_exceeded\"]\n[dataplane.bursts]\nsyns = 4\n\
             [[dataplane.rules]]\nname = \"a\"\naction = \"pass\"\n",
        );
        let expected = [
            ("dataplane.bursts.syns", false),
            ("dataplane.dry_run", false),
            ("dataplane.dry_run_for", false),
            ("dataplane.max_bans", true),
            ("dataplane.rate_burst", false),
            ("dataplane.rules", false),
            ("dataplane.syn_cookies_above", true),
        ];
        assert_eq!(changed, expected.map(|(key, restart)| (key.to_owned(), restart)));
    }

    #[test]
    fn a_limit_of_flows_needs_a_restart_where_none_were_counted() {
        let limited = |key: &str| told(&format!("[dataplane]\n{key}"), "[dataplane]\nflows_per_sec = 9\n");
        for (before, restart) in [("", true), ("flows_per_sec = 5\n", false)] {
            assert_eq!(limited(before), [("dataplane.flows_per_sec".to_owned(), restart)]);
        }
        let by_network = limited("network_flows_per_sec = 5\n");
        assert!(by_network.len() == 2 && by_network.iter().all(|(_, restart)| !restart), "{by_network:?}");
    }
}
