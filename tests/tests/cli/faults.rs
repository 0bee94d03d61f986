//! Faults of the daemon at a server that speaks Sentry's envelope protocol.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::http;

use crate::bench::Bench;

const PATIENCE: Duration = Duration::from_secs(10);

/// The head of a request, and the lines of the envelope behind it.
type Report = (String, Vec<Value>);

/// A server that takes envelopes.
fn server() -> Result<(SocketAddr, Receiver<Report>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (got, envelopes) = sync_channel(100);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            // One request a connection.
            while let Ok(len @ 1..) = stream.read(&mut part) {
                bytes.extend_from_slice(&part[..len]);
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = http::field(head, "content-length").and_then(|length| length.parse().ok());
                if length.is_some_and(|length: usize| body.len() >= length) {
                    let lines = body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                    if stream.write_all(answer).is_err() || got.send((head.to_owned(), lines)).is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    });
    Ok((address, envelopes))
}

fn start(bench: &Bench, sentry: &str) -> Result<tests::daemon::Daemon> {
    let before = fs::read_to_string(bench.config())?;
    fs::write(bench.config(), format!("{before}\n[sentry]\n{sentry}"))?;
    bench.start()
}

#[test]
fn a_fault_is_reported_and_an_attack_is_not() -> Result<()> {
    let bench = Bench::new()?;
    let (address, envelopes) = server()?;
    let daemon = start(&bench, &format!("dsn = \"http://canary@{address}/7\"\nenvironment = \"staging\"\n"))?;
    let attack = http::get("shop", "/?q=%3Cscript%3Ealert(1)%3C/script%3E");
    assert_eq!(http::ask([127, 0, 0, 1].into(), bench.gateway, &attack, PATIENCE)?.status, 403);
    let config = fs::read_to_string(bench.config())?;
    fs::write(bench.config(), format!("{config}\n[risk]\nrefuse = 1.8\n# of 203.0.113.7\n"))?;
    assert!(daemon.ask("POST", "/api/v1/reload", "").is_err());
    let (head, envelope) = envelopes.recv_timeout(PATIENCE).context("no report")?;
    assert!(head.starts_with("POST /api/7/envelope/ ") && head.contains("sentry_key=canary"), "{head}");
    let [header, item, event] = &envelope[..] else { anyhow::bail!("{envelope:?}") };
    assert!(header["sent_at"].is_string() || header["event_id"].is_string(), "{header}");
    assert_eq!((&item["type"], &event["level"]), (&"event".into(), &Value::Null), "an error is the default");
    assert!(event.to_string().contains("everything stays as it was"), "{event}");
    assert_eq!((&event["environment"], &event["tags"]["kernel_side"]), (&"staging".into(), &"off".into()));
    assert!(event["release"].as_str().is_some_and(|release| release.starts_with("skyshield@")));
    assert!(envelopes.try_recv().is_err(), "the attack was reported");
    let mut page = String::new();
    tests::loopback::until("the report is counted", || {
        page = daemon.get("/api/v1/monitoring/prometheus/")?;
        Ok(page.contains("skyshield_sentry_reports_total{result=\"sent\"} 1"))
    })?;
    assert!(!page.contains("canary") && !daemon.log().contains("canary"));
    assert!(!bench.answer(&["check"]).map_or_else(|e| e.to_string(), |v| v.to_string()).contains("canary"));
    Ok(())
}

#[test]
fn a_sample_of_requests_is_reported_by_site_and_class() -> Result<()> {
    let bench = Bench::new()?;
    let (address, envelopes) = server()?;
    let _daemon = start(&bench, &format!("dsn = \"http://canary@{address}/7\"\ntraces_sample_rate = 1.0\n"))?;
    let request = http::get("shop", "/basket?card=4111");
    assert_eq!(http::ask([127, 0, 0, 1].into(), bench.gateway, &request, PATIENCE)?.status, 200);
    let (_, envelope) = envelopes.recv_timeout(PATIENCE).context("no trace")?;
    let transaction = envelope.iter().find(|line| line["transaction"].is_string());
    let transaction = transaction.with_context(|| format!("{envelope:?}"))?;
    assert!(
        transaction["transaction"].as_str().is_some_and(|name| name.ends_with(" default")),
        "{transaction}"
    );
    assert_eq!(transaction["tags"]["status"], "200");
    assert!(!transaction.to_string().contains("4111") && !transaction.to_string().contains("127.0.0.1"));
    Ok(())
}

#[test]
fn a_server_that_is_gone_costs_nothing_and_is_counted() -> Result<()> {
    let bench = Bench::new()?;
    let address = tests::loopback::free()?;
    let daemon = start(&bench, &format!("dsn = \"http://canary@{address}/7\"\n"))?;
    let config = fs::read_to_string(bench.config())?;
    fs::write(bench.config(), format!("{config}\n[risk]\nrefuse = 1.8\n"))?;
    assert!(daemon.ask("POST", "/api/v1/reload", "").is_err());
    tests::loopback::until("the report is counted", || {
        let page = daemon.get("/api/v1/monitoring/prometheus/")?;
        Ok(page.contains("skyshield_sentry_reports_total{result=\"failed\"} 1"))
    })
}
