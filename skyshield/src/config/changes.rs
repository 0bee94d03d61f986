//! What differs between two configurations, key by key, and what of it needs a restart.

use serde_json::Value;

use super::Config;

/// What a running daemon takes up. Everything else waits for a restart, a new section too until it is
/// named here.
const TAKEN_UP: &[&str] = &[
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

/// Whether a change of `key` is in force only after a restart.
pub fn needs_restart(key: &str) -> bool {
    let is_in = |sections: &[&str]| {
        sections.iter().any(|section| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    !is_in(TAKEN_UP) || is_in(BUT)
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
        let keys = changes(&parse(old).unwrap(), &parse(new).unwrap());
        keys.into_iter().map(|key| (key.clone(), needs_restart(&key))).collect()
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
        assert!(needs_restart("gateway.listen") && needs_restart("gatewayed") && needs_restart("log"));
        assert!(!needs_restart("gateway.listening") && !needs_restart("risk"));
    }
}
