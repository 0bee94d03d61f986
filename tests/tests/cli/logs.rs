//! What the daemon logs, and where to.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::http;
use tests::loopback::until;

use crate::bench::{Bench, said};

const PATIENCE: Duration = Duration::from_secs(10);

fn ask(bench: &Bench, request: &[u8]) -> Result<u16> {
    Ok(http::ask([127, 0, 0, 1].into(), bench.gateway, request, PATIENCE)?.status)
}

fn add(bench: &Bench, section: &str) -> Result<()> {
    let before = fs::read_to_string(bench.config())?;
    Ok(fs::write(bench.config(), format!("{before}\n{section}"))?)
}

/// The records of a file, as far as its lines are whole.
fn records(bench: &Bench, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(bench.dir().join(name)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn every_incident_and_decision_is_in_the_security_log_and_nowhere_else() -> Result<()> {
    let bench = Bench::new()?;
    let syslog = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    add(
        &bench,
        &format!(
            "[log.file]\npath = \"{dir}/sky.log\"\n[log.security.file]\npath = \"{dir}/security.log\"\n\
             [log.security.syslog]\naddress = \"tcp:{}\"\n",
            syslog.local_addr()?,
            dir = bench.dir().display(),
        ),
    )?;
    let daemon = bench.start()?;
    let attack = "/?q=%3Cscript%3Ealert(1)%3C/script%3E&x=%0A%1B%5B31m";
    assert_eq!(ask(&bench, &http::get("shop", attack))?, 403);
    bench.answer(&["ban", "203.0.113.7", "--reason", "said\u{202e} so"])?;
    bench.answer(&["lift", "203.0.113.7"])?;
    until("the lift is logged", || {
        Ok(records(&bench, "security.log").iter().any(|record| record["event"] == "ban_ended"))
    })?;
    let told = records(&bench, "security.log");
    let of = |event: &str| told.iter().find(|record| record["event"] == event).context(event.to_owned());
    let incident = of("incident")?;
    assert_eq!((&incident["address"], &incident["target"]), (&"127.0.0.1".into(), &attack.into()));
    let shown = bench.answer(&["incidents", incident["incident"].as_str().context("no id")?])?;
    assert_eq!(shown["id"], incident["incident"]);
    let ban = of("ban")?;
    assert_eq!((&ban["source"], &ban["origin"]), (&"203.0.113.7".into(), &"operator".into()));
    assert_eq!(ban["reason"], "said\u{202e} so");
    let raw = fs::read_to_string(bench.dir().join("security.log"))?;
    assert!(!raw.contains('\u{202e}') && raw.contains("\\u202e"), "{raw}");
    drop(daemon);
    let mut messages = String::new();
    syslog.accept()?.0.read_to_string(&mut messages)?;
    assert!(messages.contains(" skyshield ") && messages.contains(" incident - {"), "{messages}");
    let lines = fs::read_to_string(bench.dir().join("sky.log"))?;
    assert!(lines.contains("ready") && !lines.contains("an attack was refused"), "{lines}");
    Ok(())
}

#[test]
fn a_request_that_took_long_is_in_the_performance_log_without_its_query() -> Result<()> {
    let bench = Bench::new()?;
    let file = format!("{}/slow.log", bench.dir().display());
    add(
        &bench,
        &format!("[log.performance]\nslower_than_ms = 0\n[log.performance.file]\npath = \"{file}\"\n"),
    )?;
    let _daemon = bench.start()?;
    assert_eq!(ask(&bench, &http::get("shop", "/basket?card=4111"))?, 200);
    until("the request is logged", || Ok(!records(&bench, "slow.log").is_empty()))?;
    let told = records(&bench, "slow.log").remove(0);
    assert_eq!(
        (&told["method"], &told["path"], &told["status"]),
        (&"GET".into(), &"/basket".into(), &200.into())
    );
    assert_eq!(told["class"], "default");
    Ok(())
}

#[test]
fn a_log_that_cannot_be_written_is_told_before_anything_is_touched() -> Result<()> {
    let bench = Bench::new()?;
    add(&bench, "[log.security.file]\npath = \"/proc/nowhere/security.log\"\n")?;
    let output = bench.failed_start()?;
    assert!(!output.status.success());
    assert!(said(&output).contains("log.security.file: `/proc/nowhere/security.log` cannot be written"));
    assert!(!bench.state().exists());
    Ok(())
}
