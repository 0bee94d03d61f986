//! Service levels of sites that stand behind somebody else's proxy: by what it tells of requests.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::http;
use tests::loopback::{free, until};
use tests::place::Place;

pub(crate) fn of_what_a_proxy_tells() -> Result<()> {
    let door = free()?;
    let tables = format!(
        "[metrics]\ninterval_secs = 1\n\
         [[forward_auth.outcomes]]\nfrom = \"http\"\nlisten = \"{door}\"\nsite = \"shop\"\n"
    );
    let place = Place::new("", &tables)?;
    let daemon = place.start()?;
    until("the host was looked at", || {
        Ok(daemon.get("/api/v1/monitoring/prometheus/")?.contains("skyshield_slo_burn_rate")
            || daemon.log().contains("ready"))
    })?;
    let line = |status: u16, secs: &str| {
        format!(
            "{{\"remote_addr\":\"45.1.2.3\",\"method\":\"GET\",\"uri\":\"/\",\"host\":\"shop\",\"status\":{status}{secs}}}\n"
        )
    };
    // Of a hundred five were late, three were no answer of the application's, one was an error of its own.
    let mut lines = String::new();
    for at in 0..100 {
        lines.push_str(&match at {
            0..5 => line(200, ",\"request_time\":3.5"),
            5..8 => line(502, ",\"request_time\":0.01"),
            8 => line(500, ",\"request_time\":0.01"),
            // A log need not say how long it took.
            9..30 => line(200, ""),
            _ => line(200, ",\"request_time\":0.02"),
        });
    }
    let request = http::post("localhost", "/", "application/json", &lines);
    let answer = http::ask(IpAddr::from(Ipv4Addr::LOCALHOST), door, &request, Duration::from_secs(10))?;
    ensure!(answer.status / 100 == 2, "{}", answer.head);
    let level = |objective: &str| -> Result<Value> {
        let levels = daemon.json("/api/v1/monitoring/service-levels/")?;
        let all = levels["items"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|level| level["site"] == "shop" && level["objective"] == objective);
        found.with_context(|| format!("{levels:#}"))
    };
    until("the site's service levels are known", || {
        Ok(level("errors").is_ok_and(|level| level["requests"] == 100))
    })?;
    for (objective, requests, missed) in
        [("errors", 100.0, 4.0), ("availability", 100.0, 3.0), ("latency", 79.0, 5.0)]
    {
        let level = level(objective)?;
        let reached = level["reached"].as_f64().context("nothing reached")?;
        ensure!((reached - (1.0 - missed / requests)).abs() < 1e-9, "{level:#}");
        ensure!(level["requests"].as_f64() == Some(requests), "{level:#}");
    }
    until("an alert is raised of it", || {
        let firing = daemon.json("/api/v1/monitoring/alerts/?state=firing")?.to_string();
        Ok(firing.contains("slo_slow") || firing.contains("slo_steady") || firing.contains("slo_fast"))
    })
}
