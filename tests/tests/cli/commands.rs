//! The commands against a living daemon.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::http::{ask, field, get};
use tests::loopback::until;
use tests::shop::MARK;

use crate::bench::{Bench, said};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn an_attack_is_refused_and_its_incident_tells_the_evidence() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let page = ask(CLIENT, bench.gateway, &get("shop.example", "/"), PATIENCE).unwrap();
    assert_eq!(page.status, 200);
    assert!(String::from_utf8_lossy(&page.body).contains(MARK));
    let attack = get("shop.example", "/products?id=1%20UNION%20SELECT%20username,password%20FROM%20users--");
    let refused = ask(CLIENT, bench.gateway, &attack, PATIENCE).unwrap();
    assert_eq!(refused.status, 403);
    let id = field(&refused.head, "X-SkyShield-Incident").unwrap();

    // The record is a group commit away.
    until("the incident is kept", || Ok(bench.skyshield(&["incidents", id])?.status.success())).unwrap();
    let incident = bench.answer(&["incidents", id]).unwrap();
    assert_eq!(incident["id"], id);
    assert_eq!(incident["address"], "127.0.0.9");
    assert_eq!(incident["door"], "gateway");
    assert!(incident["score"].as_f64().unwrap() > 0.8);
    assert!(incident["findings"][0]["rule"].as_str().unwrap().starts_with("sqli."));
    let told = said(&bench.skyshield(&["incidents", id]).unwrap());
    assert!(told.contains("in query `id` (sure"), "{told}");
    let listed = bench.answer(&["incidents"]).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // Loopback is never banned, whatever it sends.
    assert_eq!(bench.answer(&["decisions"]).unwrap()["items"].as_array().unwrap().len(), 0);
    let missing = bench.skyshield(&["incidents", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).unwrap();
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
    daemon.stop().unwrap();
}

#[test]
fn bans_are_made_listed_and_lifted() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let banned = bench.answer(&["ban", "203.0.113.7", "--ttl", "90m", "--reason", "a test"]).unwrap();
    assert_eq!(banned["source"], "203.0.113.7");
    assert_eq!(banned["origin"], "operator");
    assert!(banned["ttl_seconds"].as_u64().unwrap() > 5390);
    bench.answer(&["ban", "2001:db8::/48", "--ttl", "forever"]).unwrap();
    let listed = bench.answer(&["decisions"]).unwrap();
    let sources: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| item["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["203.0.113.7", "2001:db8::/48"]);
    assert!(listed["items"][1]["expires_at"].is_null());

    let told = said(&bench.skyshield(&["decisions"]).unwrap());
    assert!(
        told.contains("203.0.113.7") && told.contains("when lifted") && told.contains("a test"),
        "{told}"
    );
    let number = format!("#{}", banned["id"]);
    bench.answer(&["lift", &number]).unwrap();
    bench.answer(&["lift", "2001:db8::/48"]).unwrap();
    assert_eq!(bench.answer(&["decisions"]).unwrap()["items"].as_array().unwrap().len(), 0);
    daemon.stop().unwrap();
}

#[test]
fn a_token_opens_the_api_until_it_is_revoked() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let made = bench.answer(&["tokens", "add", "grafana"]).unwrap();
    let token = made["token"].as_str().unwrap();
    let asked = |token: &str| {
        let request = format!(
            "GET /api/v1/monitoring/health/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        ask(CLIENT, bench.api, request.as_bytes(), PATIENCE).unwrap()
    };
    assert_eq!(asked(token).status, 200);
    let refused = asked("sky_00000000_00");
    assert_eq!(refused.status, 401);
    assert_eq!(field(&refused.head, "Content-Type"), Some("application/problem+json"));
    let listed = said(&bench.skyshield(&["tokens", "list"]).unwrap());
    assert!(listed.contains("grafana") && !listed.contains(token), "{listed}");
    bench.answer(&["tokens", "revoke", made["id"].as_str().unwrap()]).unwrap();
    assert_eq!(asked(token).status, 401);
    daemon.stop().unwrap();
}

#[test]
fn the_metrics_page_needs_no_login_and_is_valid() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let page = ask(CLIENT, bench.metrics, &get("localhost", "/metrics"), PATIENCE).unwrap();
    assert_eq!(page.status, 200);
    assert!(field(&page.head, "Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
    let page = String::from_utf8(page.body).unwrap();
    for name in [
        "skyshield_requests_total",
        "skyshield_decisions_in_force",
        "skyshield_enforcement_lag_seconds_bucket",
        "skyshield_enforcement_drift",
        "skyshield_map_entries",
        "skyshield_map_capacity",
        "skyshield_store_records_total",
    ] {
        assert!(page.contains(&format!("\n{name}")), "{name} is not in\n{page}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("skyshield_") || series.starts_with("process_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    daemon.stop().unwrap();
}

#[test]
fn what_is_refused_says_why_with_its_exit_code() {
    let bench = Bench::new().unwrap();
    let dead = bench.skyshield(&["decisions"]).unwrap();
    assert_eq!(dead.status.code(), Some(3), "{}", said(&dead));
    assert!(said(&dead).contains("does not answer"), "{}", said(&dead));

    let dead = bench.skyshield(&["status", "--json"]).unwrap();
    assert_eq!(dead.status.code(), Some(3), "{}", said(&dead));
    let told: serde_json::Value = serde_json::from_slice(&dead.stdout).expect("one JSON object, and no more");
    assert!(
        told["daemon"].is_null() && told["error"].as_str().unwrap().contains("does not answer"),
        "{told}"
    );
    let dead = bench.skyshield(&["status"]).unwrap();
    assert_eq!((dead.status.code(), said(&dead).matches("does not answer").count()), (Some(3), 1));

    let daemon = bench.start().unwrap();
    for (words, code, why) in [
        (&["decisions", "--limit", "0"][..], 2, "limit"),
        (&["ban", "127.0.0.1"], 1, "loopback"),
        (&["ban", "0.0.0.0/0"], 1, "force"),
        (&["ban", "203.0.113.7", "--ttl", "soon"], 1, "no duration"),
        (&["ban", "203.0.113.7", "--reason", "a\u{7}b"], 1, "control character"),
        (&["lift", "203.0.113.7"], 1, "no such ban"),
        (&["lift", "#77"], 1, "no such ban"),
        (&["tokens", "add", ""], 1, "name"),
        (&["tokens", "revoke", "nobody"], 1, "no token"),
        (&["ban", "203.0.113"], 2, "neither an address nor a prefix"),
        (&["ban"], 2, "required"),
        (&["lift", "someone"], 2, "neither an address nor a prefix"),
        (&["bna", "203.0.113.7"], 2, "unrecognized"),
    ] {
        let output = bench.skyshield(words).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{words:?}: {}", said(&output));
    }
    assert_eq!(bench.answer(&["decisions"]).unwrap()["items"].as_array().unwrap().len(), 0);
    daemon.stop().unwrap();
}

#[test]
fn who_reads_only_the_beginning_is_no_failure() {
    let bench = Bench::new().unwrap();
    let mut command = Command::new(tests::daemon::program().unwrap());
    command.arg("--config").arg(bench.config()).arg("check").stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn shells_are_told_how_to_complete_commands_and_every_command_has_its_page() {
    let bench = Bench::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = bench.skyshield(&["completions", shell]).unwrap();
        assert!(told.status.success(), "{shell}");
        let text = said(&told);
        for word in ["skyshield", "rehearse", "privacy"] {
            assert!(text.contains(word), "{shell} is not told of {word}");
        }
    }
    let script = bench.dir().join("completions.bash");
    std::fs::write(&script, said(&bench.skyshield(&["completions", "bash"]).unwrap())).unwrap();
    let read = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(read.status.success(), "bash cannot read it: {}", said(&read));

    let folder = bench.dir().join("man");
    assert!(bench.skyshield(&["man", folder.to_str().unwrap()]).unwrap().status.success());
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    for name in ["skyshield.1", "skyshield-ban.1", "skyshield-audit-verify.1", "skyshield-privacy-erase.1"] {
        assert!(
            page(name).contains("\n.TH ") && page(name).contains(".SH OPTIONS"),
            "{name}:\n{}",
            page(name)
        );
    }
    assert!(std::fs::read_dir(&folder).unwrap().count() > 40);
}
