//! Who asks too often.

use anyhow::{Context, Result};
use skyshield::limits;

use super::bench::{Bench, Upstream};

const LOGIN: &str = "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b";

#[tokio::test]
async fn the_sixth_login_in_five_minutes_comes_too_early_and_is_told_when_to_come_again() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::counting(upstream.address, |_| {}, Some(&limits::Config::default()))?;
    let mut client = bench.client().await?;
    for left in [4, 3, 2, 1, 0] {
        client.send(LOGIN.as_bytes()).await?;
        let answer = client.answer(false).await?;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"auth\";q=5;w=300"));
        let told = answer.header("ratelimit").context("no RateLimit")?;
        assert!(told.starts_with(&format!("\"auth\";r={left};t=")), "{told}");
    }
    for json in [false, true, false] {
        let accept = if json { "Accept: application/json\r\nContent-Length" } else { "Content-Length" };
        client.send(LOGIN.replace("Content-Length", accept).as_bytes()).await?;
        let answer = client.answer(false).await?;
        assert_eq!(answer.status, 429, "{}", answer.head);
        let wait: u64 = answer.header("retry-after").context("no Retry-After")?.parse()?;
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"auth\";q=5;w=300"));
        assert!(answer.header("x-skyshield-incident").is_some() && answer.header("connection").is_none());
        let media = if json { "application/problem+json" } else { "text/html; charset=utf-8" };
        assert_eq!(answer.header("content-type"), Some(media));
        if json {
            let problem: serde_json::Value = serde_json::from_slice(&answer.body)?;
            assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
            assert_eq!(problem["violated-policies"], serde_json::json!(["auth"]));
        }
    }
    client.send(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let page = client.answer(false).await?;
    assert_eq!(page.status, 200, "the same connection may look at the page");
    assert_eq!(page.header("ratelimit-policy"), Some("\"default\";q=1000;w=3600"));
    client.send(b"GET /a.css HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    assert_eq!(client.answer(false).await?.header("ratelimit"), None, "what a page loads is not counted");
    assert_eq!(upstream.requests(), 7);
    assert!((bench.counted("skyshield_ratelimited_total", "auth") - 3.0).abs() < 0.5);
    assert!((bench.counted("skyshield_requests_total", "limit") - 3.0).abs() < 0.5);
    Ok(())
}
