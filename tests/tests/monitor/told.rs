//! What rooms have people told of: rules of response, rehearsals, lists that have shrunk; told by webhooks.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::http;
use tests::loopback::until;
use tests::place::Place;
use tests::standin::{Manner, StandIn};

/// Whom the proxy names as the client.
const CLIENT: &str = "45.1.2.3";

/// The bodies of what this webhook was sent.
pub(crate) fn bodies(hook: &StandIn) -> Vec<Value> {
    let body = |request: String| serde_json::from_str(request.split_once("\r\n\r\n")?.1).ok();
    hook.asked().into_iter().filter_map(body).collect()
}

fn nets(count: u32) -> Manner {
    let nets: Vec<_> = (0..count).map(|n| format!("45.{}.{}.0/24\n", n / 128, n % 128 * 2)).collect();
    Manner::status(200, &nets.concat())
}

pub(crate) fn by_other_rooms() -> Result<()> {
    let hook = StandIn::always(Manner::status(200, ""))?;
    let slack = StandIn::always(Manner::status(200, "ok"))?;
    let entries = Arc::new(AtomicU32::new(200));
    let served = Arc::clone(&entries);
    let lists = StandIn::new(move |_| nets(served.load(Ordering::Relaxed)))?;
    let application = StandIn::always(Manner::status(200, "welcome"))?;
    let tables = format!(
        "[metrics]\ninterval_secs = 1\n[alerts]\ngroup_wait_secs = 0\n\
         [[alerts.webhooks]]\nname = \"hook\"\nurl = \"{}/alerts\"\n\
         [[alerts.webhooks]]\nname = \"chat\"\nurl = \"{}/services/T0\"\nformat = \"slack\"\n\
         [[response.rules]]\nname = \"tell\"\nwhen = {{ findings = [\"xss\"] }}\nthen = [{{ act = \"notify\" }}]\n\
         [[routes]]\nname = \"loose\"\npaths = [\"/search\"]\ninspect = \"observe\"\n\
         [[feeds.lists]]\nname = \"drop\"\nurl = \"{}/drop\"\naction = \"log\"\n",
        hook.url(),
        slack.url(),
        lists.url()
    );
    let gateway = format!("upstream = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n", application.address());
    let place = Place::new(&gateway, &tables)?;
    let daemon = place.start()?;
    until("the list is in force", || {
        Ok(daemon
            .get("/api/v1/monitoring/prometheus/")?
            .contains("skyshield_feed_entries{feed=\"drop\"} 200"))
    })?;
    let attack = format!(
        "GET /?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: {CLIENT}\r\n\r\n"
    );
    let answer = http::ask(
        IpAddr::from(Ipv4Addr::LOCALHOST),
        place.gateway,
        attack.as_bytes(),
        Duration::from_secs(10),
    )?;
    ensure!(answer.status == 403, "{}", answer.head);
    entries.store(5, Ordering::Relaxed);
    daemon.ask("POST", "/api/v1/feeds/drop/refresh", "{\"accept\": false}")?;
    let outcome: Value = serde_json::from_str(&daemon.ask("POST", "/api/v1/rehearsals", "{}")?)?;
    ensure!(outcome["total"].is_object(), "{outcome:#}");
    for rule in ["response/tell", "shield_feed_refused", "shield_rehearsal"] {
        until(&format!("{rule} is told of"), || Ok(bodies(&hook).iter().any(|told| told["rule"] == rule)))?;
    }
    let told = bodies(&hook).into_iter().find(|told| told["rule"] == "response/tell").context("not told")?;
    ensure!(told["alerts"][0]["which"] == format!("source={CLIENT}"), "{told:#}");
    ensure!(bodies(&hook).iter().any(|told| told["alerts"][0]["which"] == "feed=drop"), "which list?");
    // What Slack takes is one text.
    until("it is told by Slack's form", || {
        let is_told = |told: &Value| told["text"].as_str().is_some_and(|text| text.contains("response/tell"));
        Ok(bodies(&slack).iter().any(is_told))
    })
}

/// Every metric that a built-in rule is about is one that the daemon has; those of the kernel's side are
/// looked at where there is one.
pub(crate) fn rules_are_of_metrics_that_are_there() -> Result<()> {
    const OF_THE_KERNEL: [&str; 2] = ["skyshield_interface_guarded", "skyshield_xdp_packets_total"];
    /// What not every host has.
    const OF_SOME_HOSTS: [&str; 2] = ["host_conntrack_used_ratio", "host_network_receive_drop_ratio"];
    let lists = StandIn::always(nets(200))?;
    let application = StandIn::always(Manner::status(200, "welcome"))?;
    let place = Place::new(&format!("upstream = \"{}\"\n", application.address()), "")?;
    let key = place.dir().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef")?;
    place.rewrite(|text| {
        format!(
            "{text}[metrics]\ninterval_secs = 1\n[reputation.abuseipdb]\nurl = \"{}\"\nkey_file = \"{}\"\n\
             [[feeds.lists]]\nname = \"drop\"\nurl = \"{}/drop\"\naction = \"log\"\n",
            lists.url(),
            key.display(),
            lists.url()
        )
    })?;
    let daemon = place.start()?;
    let patience = Duration::from_secs(10);
    http::ask(IpAddr::from(Ipv4Addr::LOCALHOST), place.gateway, &http::get("shop", "/"), patience)?;
    let metrics = skyshield::alerts::Config::default().all_rules().into_iter().map(|rule| rule.metric);
    let wanted: Vec<_> = metrics
        .filter(|metric| {
            !OF_THE_KERNEL.contains(&metric.as_str()) && !OF_SOME_HOSTS.contains(&metric.as_str())
        })
        .collect();
    ensure!(wanted.len() > 15);
    let mut missing = Vec::new();
    let found = until("every metric is there", || {
        let readings = daemon.json("/api/v1/monitoring/metrics/")?;
        let page = daemon.get("/api/v1/monitoring/prometheus/")?;
        let is_there = |metric: &str| match metric.split_once('_') {
            Some(("host", name)) => readings["host"].get(name).is_some(),
            Some(("slo", burn)) => page.lines().any(|line| {
                let window = burn.strip_prefix("burn_").unwrap_or_default();
                line.starts_with("skyshield_slo_burn_rate") && line.contains(&format!("window=\"{window}\""))
            }),
            _ => page
                .lines()
                .any(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']))),
        };
        missing = wanted.iter().filter(|metric| !is_there(metric)).cloned().collect();
        Ok(missing.is_empty())
    });
    found.with_context(|| format!("missing: {missing:?}"))
}

/// The level of logs is changed while the daemon runs, and by a reload it is as configured again.
pub(crate) fn log_level_changes() -> Result<()> {
    let place = Place::new("", "[log]\nlevel = \"info\"\n")?;
    let daemon = place.start()?;
    let change = |level: &str| place.command(&["log-level", level]);
    let (is_well, said) = change("info,gateway=loud")?;
    ensure!(!is_well && said.contains("no level"), "{said}");
    // Each change tells of itself, where what is logged from there on has it.
    for level in ["error", "warn,api=info", "info,api=error", "info"] {
        let (is_well, said) = change(level)?;
        ensure!(is_well && said.trim() == level, "{said}");
        let (_, said) = place.command(&["log-level"])?;
        ensure!(said.trim() == level, "{said}");
    }
    daemon.tells("level=\"info\"")?;
    ensure!(daemon.log().contains("level=\"warn,api=info\""), "{}", daemon.log());
    for silent in ["level=\"error\"", "level=\"info,api=error\""] {
        ensure!(!daemon.log().contains(silent), "{}", daemon.log());
    }
    change("error")?;
    daemon.ask("POST", "/api/v1/reload", "")?;
    let (_, said) = place.command(&["log-level"])?;
    ensure!(said.trim() == "info", "{said}");
    let audit = daemon.get("/api/v1/audit")?;
    ensure!(audit.contains("logs/level"), "{audit}");
    Ok(())
}
