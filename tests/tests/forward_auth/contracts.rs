//! Traefik, Envoy and Caddy as their documentation says that they ask and take answers.

use anyhow::{Context, ensure};
use tests::http::{Answer, field};

use crate::stand::Stand;

const ATTACK: &str = "/products?id=1%20UNION%20SELECT%20username,password%20FROM%20users--";

/// The question of `proxy` about `method target` of `client`, with a body or without.
fn question(proxy: &str, method: &str, target: &str, client: &str, body: &str) -> String {
    let length = body.len();
    let framing = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
    };
    match proxy {
        // The client's own method and path, and its headers; the address is what Envoy has appended.
        "envoy" => format!(
            "{method} {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\n\
             X-Forwarded-For: 10.9.9.9, {client}\r\nx-envoy-internal: true\r\n\
             x-envoy-auth-partial-body: false\r\n{framing}\r\n{body}"
        ),
        // GET, whatever the client's method was.
        _ => format!(
            "GET / HTTP/1.1\r\nHost: auth\r\nUser-Agent: Mozilla/5.0\r\nX-Forwarded-Method: {method}\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Uri: {target}\r\n\
             X-Forwarded-For: {client}\r\n{framing}\r\n{body}"
        ),
    }
}

pub(crate) fn answered() -> anyhow::Result<()> {
    let stand = Stand::start(|dir| {
        let door = |proxy: &str| {
            format!(
                "[[forward_auth.doors]]\nlisten = \"unix:{}/{proxy}\"\nproxy = \"{proxy}\"\n",
                dir.display()
            )
        };
        let doors: String = ["traefik", "envoy", "caddy"].map(door).concat();
        format!(
            "{doors}[limits.classes.default]\nrequests = 4\nwindow_secs = 600\n[forward_auth]\ninspected_body_bytes = 2048\n"
        )
    })?;
    for (number, proxy) in ["traefik", "envoy", "caddy"].into_iter().enumerate() {
        let client = |last: u8| format!("203.0.{number}.{last}");
        let ask = |method: &str, target: &str, last: u8, body: &str| -> anyhow::Result<Answer> {
            stand.ask(proxy, &question(proxy, method, target, &client(last), body))
        };
        // 200 and not 204: Envoy takes nothing else for yes.
        let passed = ask("GET", "/products/42", 1, "")?;
        ensure!(passed.status == 200 && passed.body.is_empty(), "{proxy}: {passed:?}");
        ensure!(field(&passed.head, "X-SkyShield-Risk") == Some("0.000"), "{proxy}: {passed:?}");
        let refused = ask("GET", ATTACK, 2, "")?;
        ensure!(refused.status == 403, "{proxy}: {refused:?}");
        let incident = stand.incident(&refused)?;
        ensure!(
            incident["address"] == client(2)
                && incident["method"] == "GET"
                && incident["host"] == "shop.example",
            "{incident}"
        );
        ensure!(ask("GET", "/", 2, "")?.status == 403, "{proxy}: who attacked is banned");
        // Bodies, where they are sent.
        let hidden = r#"{"coupon":"x' UNION SELECT card,cvv FROM payments-- "}"#;
        let refused = ask("POST", "/api/cart", 3, hidden)?;
        ensure!(refused.status == 403, "{proxy}: {refused:?}");
        let large = format!("{{\"text\":\"{}\"}}", "a".repeat(4096));
        let refused = ask("POST", "/api/reviews", 4, &large)?;
        ensure!(refused.status == 413, "{proxy}: {refused:?}");
        // The status of a used-up quota, and when to come again, reach the client as they are.
        let answers = (0..8).map(|_| ask("GET", "/", 5, "")).collect::<anyhow::Result<Vec<_>>>()?;
        let last = answers.last().context("none")?;
        ensure!(last.status == 429 && field(&last.head, "Retry-After").is_some(), "{proxy}: {last:?}");
        let json = stand.ask(
            proxy,
            &question(proxy, "GET", ATTACK, &client(6), "")
                .replace("\r\n\r\n", "\r\nAccept: application/json\r\n\r\n"),
        )?;
        ensure!(field(&json.head, "Content-Type") == Some("application/problem+json"), "{json:?}");
    }
    // Envoy says that a part is missing; its prefix and HEAD have nothing behind them.
    let partial = question("envoy", "POST", "/api/cart", "203.0.9.1", "{\"a\":1}");
    let partial = partial.replace("partial-body: false", "partial-body: true");
    ensure!(stand.ask("envoy", &partial)?.status == 413, "a part is not the whole");
    let health = stand.daemon.daemon.json("/api/v1/monitoring/health/")?;
    let doors = health["components"]["doors"].as_array().context("no doors")?;
    ensure!(doors.len() == 3 && doors[0]["mode"] == "Traefik ForwardAuth", "{health}");
    let blind = doors[2]["cannot"].as_array().is_some_and(|cannot| {
        cannot.iter().any(|what| what.as_str().is_some_and(|what| what.contains("bodies do not come")))
    });
    ensure!(doors[2]["sees_bodies"] == false && blind, "{health}");
    Ok(())
}
