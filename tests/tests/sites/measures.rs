//! What is measured and told, and what one source may use.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::http::{connect_from, field, get};
use tests::loopback::{Loopback, until};
use tests::nginx::Nginx;

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-6
}

pub(crate) fn told_by_site() -> anyhow::Result<()> {
    let main = Nginx::saying("main")?;
    let shop = Nginx::start(
        "location / { add_header Server-Timing 'db;dur=12.5, cache;desc=\"hit\", app;dur=1' always; return 200 'shop'; }\n\
         location /miss { add_header Server-Timing 'db;dur=7.5' always; add_header Server-Timing 'cache;desc=miss' always; return 404; }",
    )?;
    let config = |more: &str| {
        format!(
            "upstream = \"{}\"\n{more}\n[[gateway.sites]]\nname = \"shop\"\nhosts = [\"shop\"]\nupstreams = [\"{}\"]\n",
            main.address, shop.address
        )
    };
    let guard = Loopback::start(&config(""))?;
    for _ in 0..3 {
        let answer = guard.get("shop", "/")?;
        ensure!(answer.body == b"shop" && !answer.head.contains("skyshield;dur="), "{}", answer.head);
        ensure!(answer.head.contains("db;dur=12.5"), "what the site tells its clients is the site's");
    }
    ensure!(guard.get("shop", "/miss")?.status == 404);
    ensure!(guard.get("other", "/api/x")?.status == 200);
    ensure!(guard.ask(b"GET / HTTP/1.1\r\n\r\n")?.status == 400);
    // What an answer took is measured once it is out.
    let took = |site: &str, class: &str, family: &str| {
        let labels = format!("{{class=\"{class}\",family=\"{family}\",site=\"{site}\"}}");
        guard.metric(&format!("skyshield_request_duration_seconds_count{labels}"))
    };
    until("all are measured", || Ok(near(took("default", "api", "2xx")?, 1.0)))?;
    ensure!(near(took("shop", "default", "2xx")?, 3.0) && near(took("shop", "default", "4xx")?, 1.0));
    ensure!(near(took("none", "none", "4xx")?, 1.0), "what is for no site is no site's");
    for (series, expected) in [
        ("skyshield_upstream_database_seconds_count{site=\"shop\"}", 4.0),
        ("skyshield_upstream_database_seconds_sum{site=\"shop\"}", 0.045),
        ("skyshield_upstream_cache_total{result=\"hit\",site=\"shop\"}", 3.0),
        ("skyshield_upstream_cache_total{result=\"miss\",site=\"shop\"}", 1.0),
        ("skyshield_upstream_duration_seconds_count{site=\"shop\"}", 4.0),
        ("skyshield_upstream_duration_seconds_count{site=\"default\"}", 1.0),
    ] {
        let found = guard.metric(series)?;
        ensure!(near(found, expected), "{series}: {found}");
    }
    let bytes = |direction: &str| {
        guard.metric(&format!("skyshield_site_bytes_total{{direction=\"{direction}\",site=\"shop\"}}"))
    };
    let asked = 3 * get("shop", "/").len() + get("shop", "/miss").len();
    ensure!(near(bytes("in")?, f64::from(u32::try_from(asked)?)), "{}", bytes("in")?);
    ensure!(bytes("out")? > 4.0 * 100.0, "{}", bytes("out")?);

    let trusted = Loopback::start(&config("server_timing_to = [\"127.0.0.0/8\"]"))?;
    let head = trusted.get("shop", "/")?.head;
    let told = head
        .lines()
        .find_map(|line| line.strip_prefix("Server-Timing: skyshield;dur="))
        .context(head.clone())?;
    let millis: f64 = told.parse()?;
    ensure!(millis > 0.0 && millis < 1000.0, "{head}");
    Ok(())
}

pub(crate) fn per_source() -> anyhow::Result<()> {
    let nginx = Nginx::start("location / { default_type text/plain; }")?;
    std::fs::write(nginx.dir().join("page"), vec![b'x'; 60_000])?;
    let guard = Loopback::start(&format!(
        "upstream = \"{}\"\n[limits.per_source]\nbytes = 100000\nwindow_secs = 3600\n",
        nginx.address
    ))?;
    ensure!(guard.get("a", "/page")?.status == 200);
    ensure!(guard.get("a", "/page")?.status == 200, "what is known when it begins decides");
    until("both are charged", || Ok(guard.get("a", "/none")?.status == 429))?;
    let answer = guard.get("a", "/page")?;
    let policy = "\"bytes\";q=100000;w=3600;qu=\"content-bytes\"";
    ensure!(
        answer.status == 429 && field(&answer.head, "ratelimit-policy") == Some(policy),
        "{}",
        answer.head
    );
    let wait: u64 = field(&answer.head, "retry-after").context("no Retry-After")?.parse()?;
    ensure!((600..800).contains(&wait), "20000 of 100000 bytes too many are 720 s, and not {wait}");
    let number = field(&answer.head, "x-skyshield-incident").context("no number")?;
    let explained = guard.daemon.json(&format!("/api/v1/explain/{number}"))?;
    ensure!(explained["retry_after_secs"] == wait && explained["address"] == "127.0.0.1", "{explained}");
    ensure!(guard.metric("skyshield_ratelimited_total{class=\"bytes\"}")? >= 2.0);

    // An upstream that answers nobody yet.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let guard = Loopback::start(&format!(
        "upstream = \"{}\"\n[limits.per_source]\nconcurrent = 2\n",
        silent.local_addr()?
    ))?;
    let patience = Duration::from_secs(30);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = connect_from(Ipv4Addr::LOCALHOST.into(), guard.gateway, patience)?;
        client.write_all(&get("a", "/"))?;
        let (upstream, _) = silent.accept()?;
        waiting.push((client, upstream));
    }
    let answer = guard.get("a", "/")?;
    let policy = "\"concurrent\";q=2;qu=\"concurrent-requests\"";
    ensure!(
        answer.status == 429 && field(&answer.head, "ratelimit-policy") == Some(policy),
        "{}",
        answer.head
    );
    ensure!(field(&answer.head, "retry-after") == Some("1"), "{}", answer.head);
    for (client, upstream) in &mut waiting {
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
        let mut bytes = [0; 4096];
        let count = client.read(&mut bytes)?;
        ensure!(bytes[..count].starts_with(b"HTTP/1.1 200"), "who was in progress is answered");
    }
    let mut client = connect_from(Ipv4Addr::LOCALHOST.into(), guard.gateway, patience)?;
    client.write_all(&get("a", "/"))?;
    silent.accept().context("there is room again")?;
    Ok(())
}
