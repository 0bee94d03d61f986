//! What clients may do, and what the upstream and they get to see of each other.

use anyhow::{Result, ensure};

use super::bench::{Bench, Upstream};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[tokio::test]
async fn the_upstream_sees_a_request_rebuilt_and_whose_it_is() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let answer = bench
        .ask(
            "POST http://shop.example/a?b=c HTTP/1.1\r\nhOsT: shop.example\r\nX-Forwarded-For: 1.1.1.1\r\n\
             X-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-SkyShield-Risk: 0\r\nConnection: X-Hop\r\n\
             X-Hop: 1\r\nX-Forwarded-Prefix: /x\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
        )
        .await?;
    assert_eq!(
        answer.text(),
        "POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n\
         X-SkyShield-Risk: 0.000\r\nContent-Length: 5\r\n\r\nabcde"
    );
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("x-xss-protection"), Some("1; mode=block"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.header("content-security-policy").is_some());
    assert_eq!(answer.header("x-skyshield-risk"), None);
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let trusted = vec!["127.0.0.0/8".parse()?];
    let bench = Bench::with(upstream.address, |config| config.trusted_proxies = trusted)?;
    let answer = bench
        .ask(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.7\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\r\n",
        )
        .await?;
    assert_eq!(
        answer.text(),
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.7, 127.0.0.1\r\n\
         X-Real-IP: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
         X-SkyShield-Risk: 0.000\r\n\r\n"
    );
    Ok(())
}

#[tokio::test]
async fn a_thousand_pipelined_requests_are_answered_in_order_over_one_upstream_connection() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    let burst: Vec<_> = (0..1000)
        .map(|number| {
            let length = number.to_string().len();
            format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{number}")
        })
        .collect();
    client.send(burst.concat().as_bytes()).await?;
    for number in 0..1000 {
        let text = client.answer(false).await?.text();
        ensure!(
            text.starts_with(&format!("POST /{number} ")) && text.ends_with(&format!("\r\n\r\n{number}")),
            "{text}"
        );
    }
    assert_eq!(upstream.connections(), 1);
    assert!((bench.counted("skyshield_requests_total", "pass") - 1000.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.stream.set_nodelay(true)?;
    let request =
        "\r\nPOST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send(&[*byte]).await?;
        tokio::task::yield_now().await;
    }
    let text = client.answer(false).await?.text();
    assert!(text.ends_with("Content-Length: 2\r\n\r\nab"), "{text}");
    Ok(())
}

#[tokio::test]
async fn who_expects_a_go_ahead_gets_it_only_if_the_body_is_wanted() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await?;
    assert_eq!(client.answer(false).await?.status, 100);
    client.send(b"abc").await?;
    let text = client.answer(false).await?.text();
    assert!(text.ends_with("\r\n\r\nabc") && !text.contains("Expect"), "{text}");
    client
        .send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
        .await?;
    assert_eq!(client.answer(false).await?.status, 413);
    Ok(())
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_usable() -> Result<()> {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let upstream = Upstream::saying(answer).await?;
        let bench = Bench::start(upstream.address)?;
        let mut client = bench.client().await?;
        for _ in 0..3 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
            let got = client.answer(method == "HEAD").await?;
            let status = &answer[answer.rfind("HTTP/1.1 ").unwrap_or(0) + 9..][..3];
            assert_eq!(got.status.to_string(), status);
        }
        assert_eq!(upstream.connections(), 1, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn clients_of_http_1_0_are_served_as_they_understand() -> Result<()> {
    let chunked =
        Upstream::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .await?;
    let bench = Bench::start(chunked.address)?;
    let mut client = bench.client().await?;
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await?;
    let whole = client.rest().await?;
    assert!(whole.ends_with("Connection: close\r\n\r\nabc"), "{whole}");
    let echo = Upstream::echo().await?;
    let bench = Bench::start(echo.address)?;
    let mut client = bench.client().await?;
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await?;
        let answer = client.answer(false).await?;
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert!(answer.text().contains(&format!("\r\nHost: {}\r\n", echo.address)));
    }
    client.send(b"GET / HTTP/1.0\r\n\r\n").await?;
    assert_eq!(client.answer(false).await?.header("connection"), Some("close"));
    assert_eq!(client.rest().await?, "");
    Ok(())
}

#[tokio::test]
async fn a_stopping_gateway_ends_idle_connections_and_finishes_busy_ones() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.request().await?;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await
    })
    .await?;
    let bench = Bench::start(upstream.address)?;
    let (mut idle, mut busy) = (bench.client().await?, bench.client().await?);
    busy.send(GET.as_bytes()).await?;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    bench.stop.cancel();
    assert_eq!(idle.rest().await?, "");
    assert_eq!(busy.answer(false).await?.text(), "done");
    assert_eq!(busy.rest().await?, "");
    assert!(bench.client().await.is_err(), "nobody listens any more");
    bench.serving.await??;
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_while_the_upstream_is_silent_is_noticed() -> Result<()> {
    let (told, mut left) = tokio::sync::mpsc::channel(8);
    let upstream = Upstream::doing(move |mut client| {
        let told = told.clone();
        async move {
            client.until("\r\n\r\n").await?;
            while client.more().await? {}
            Ok(told.send(()).await?)
        }
    })
    .await?;
    let bench = Bench::start(upstream.address)?;
    for reset in [false, true] {
        let mut client = bench.client().await?;
        client.send(GET.as_bytes()).await?;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        if reset {
            client.stream.set_zero_linger()?;
        }
        drop(client);
        let heard = tokio::time::timeout(std::time::Duration::from_secs(4), left.recv()).await;
        ensure!(heard.is_ok(), "the upstream still works for a client that left (reset: {reset})");
    }
    assert!((bench.counted("skyshield_gateway_clients_left_total", "") - 2.0).abs() < 0.5);

    let slow = Upstream::doing(|mut client| async move {
        client.until("\r\n\r\n").await?;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await
    })
    .await?;
    let bench = Bench::start(slow.address)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await?;
    assert_eq!(client.answer(false).await?.text(), "ok", "who has only said all may still listen");
    Ok(())
}

#[tokio::test]
async fn a_policy_in_trial_is_reported_to_us_and_counted() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::with(upstream.address, |config| config.headers.report_only = true)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    let answer = client.answer(false).await?;
    assert_eq!(answer.header("content-security-policy"), None);
    let policy = answer.header("content-security-policy-report-only").unwrap_or_default();
    let path = policy.rsplit(' ').next().unwrap_or_default();
    let report = r#"{"csp-report":{"blocked-uri":"x","script-sample":"<script>alert(1)</script>"}}"#;
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", report.len());
    for _ in 0..2 {
        client.send([head.as_bytes(), report.as_bytes()].concat().as_slice()).await?;
        assert_eq!(client.answer(false).await?.status, 204, "what it quotes is nobody's attack");
    }
    assert!((bench.counted("skyshield_csp_reports_total", "") - 2.0).abs() < 0.5);
    assert_eq!(upstream.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_says_ahead_of_a_connection_whose_it_is() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let trusted = vec!["127.0.0.0/8".parse()?];
    let bench = Bench::with(upstream.address, |config| {
        (config.trusted_proxies, config.proxy_protocol) = (trusted, true);
    })?;
    let v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".to_vec();
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x0a\0\0\x01\x12\x67\0\x50".to_vec();
    for header in [v1, v2] {
        let mut client = bench.client().await?;
        client.send(&header[..9]).await?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        client.send(&[&header[9..], GET.as_bytes(), GET.as_bytes()].concat()).await?;
        for _ in 0..2 {
            let text = client.answer(false).await?.text();
            ensure!(text.contains("\r\nX-Forwarded-For: 203.0.113.7\r\n"), "{text}");
        }
    }
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    assert_eq!(client.rest().await.unwrap_or_default(), "", "a proxy that does not say is not guessed for");
    assert!(
        (bench.counted("skyshield_gateway_connections_refused_total", "proxy_protocol") - 1.0).abs() < 0.5
    );
    let bench = Bench::start(upstream.address)?;
    let forged = bench.ask(&format!("PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n{GET}")).await?;
    assert_eq!(forged.status, 400, "from anyone else it is no request");
    Ok(())
}
