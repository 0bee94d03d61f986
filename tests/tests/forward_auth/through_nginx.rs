//! What clients of nginx see: the same refusals as at the gateway, with the same rules and scores.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, ensure};
use tests::http::{self, field, get};
use tests::nginx::Nginx;
use tests::traffic;

use crate::stand::{HOST, PATIENCE, Stand, ask_as, asking, nginx_doors, sending, with};

pub(crate) fn attacks_by_auth_request() -> anyhow::Result<()> {
    let refused = refused_alike(asking, |attack| !has_body(attack))?;
    ensure!(refused >= 30, "only {refused} attacks");
    Ok(())
}

pub(crate) fn attacks_by_accel() -> anyhow::Result<()> {
    let refused = refused_alike(sending, |_| true)?;
    ensure!(refused >= 35, "only {refused} attacks");
    Ok(())
}

fn has_body(request: &[u8]) -> bool {
    request.starts_with(b"POST ")
}

/// Has every honest request answered and every wanted attack refused through nginx, for what the gateway
/// refuses it; how many there were.
fn refused_alike(
    nginx: fn(&std::path::Path, std::net::SocketAddr) -> anyhow::Result<Nginx>,
    is_wanted: fn(&[u8]) -> bool,
) -> anyhow::Result<usize> {
    let stand = Stand::start(nginx_doors)?;
    let app = Nginx::saying("the application")?;
    let nginx = nginx(stand.dir.path(), app.address)?;
    for (number, request) in traffic::honest(HOST).iter().enumerate() {
        let page = ask_as(&format!("192.0.2.{}", number + 1), nginx.address, request)?;
        ensure!(page.status == 200 && page.body == b"the application", "{page:?}");
    }
    let mut refused = 0;
    for (number, attack) in traffic::attacks(HOST).iter().enumerate().filter(|(_, a)| is_wanted(&a.request)) {
        let said = String::from_utf8_lossy(&attack.request);
        let here = ask_as(&format!("203.0.113.{}", number + 1), nginx.address, &attack.request)?;
        ensure!(here.status == 403, "{said}\n{here:?}");
        let there = with(&attack.request, "X-Forwarded-For", &format!("198.51.100.{}", number + 1));
        let there = http::ask(Ipv4Addr::LOCALHOST.into(), stand.daemon.gateway, &there, PATIENCE)?;
        ensure!(there.status == 403, "{said}\n{there:?}");
        let (here, there) = (stand.incident(&here)?, stand.incident(&there)?);
        ensure!(here["door"] == "forward_auth" && there["door"] == "gateway", "{here}\n{there}");
        let rule = |incident: &serde_json::Value| incident["findings"][0]["rule"].clone();
        ensure!(rule(&here) == rule(&there) && here["score"] == there["score"], "{said}\n{here}\n{there}");
        let explained = stand
            .daemon
            .daemon
            .json(&format!("/api/v1/explain/{}", here["id"].as_str().unwrap_or_default()))?;
        ensure!(explained["change"]["says"].is_string(), "{explained}");
        refused += 1;
    }
    // The attacker is banned at this door, whatever he asks for next.
    let banned = ask_as("203.0.113.1", nginx.address, &get(HOST, "/"))?;
    ensure!(banned.status == 403, "{banned:?}");
    let decisions = stand.daemon.daemon.decisions()?;
    let first: IpAddr = "203.0.113.1".parse()?;
    let decision = decisions.iter().find(|decision| decision["source"] == first.to_string());
    ensure!(decision.context("no decision")?["layer"] == "request", "{decisions:?}");
    ensure!(ask_as("192.0.2.1", nginx.address, &get(HOST, "/"))?.status == 200, "nobody else is");
    Ok(refused)
}

pub(crate) fn quota() -> anyhow::Result<()> {
    let stand = Stand::start(|dir| {
        format!("{}[limits.classes.default]\nrequests = 3\nwindow_secs = 600\n", nginx_doors(dir))
    })?;
    let app = Nginx::saying("the application")?;
    let by_question = asking(stand.dir.path(), app.address)?;
    let whole = sending(stand.dir.path(), app.address)?;
    for (nginx, client) in [(&by_question, "203.0.113.1"), (&whole, "203.0.113.2")] {
        let ask = || ask_as(client, nginx.address, &get(HOST, "/"));
        let answers = (0..6).map(|_| ask()).collect::<anyhow::Result<Vec<_>>>()?;
        let served = answers.iter().filter(|answer| answer.status == 200).count();
        ensure!((1..6).contains(&served), "{answers:?}");
        let last = answers.last().context("none")?;
        ensure!(last.status == 429, "{last:?}");
        let wait: u64 = field(&last.head, "Retry-After").context("no Retry-After")?.parse()?;
        ensure!((1..=600).contains(&wait), "{last:?}");
        let policy = field(&last.head, "RateLimit-Policy").unwrap_or_default();
        ensure!(policy.starts_with("\"default\";q=3"), "{last:?}");
    }
    ensure!(stand.daemon.daemon.decisions()?.is_empty(), "a quota is no evidence");
    Ok(())
}
