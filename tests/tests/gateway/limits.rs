//! Who is slow, large or many.

use std::time::Duration;

use anyhow::Result;
use skyshield::gateway::BodyOverLimit;

use super::bench::{Bench, Upstream};

#[tokio::test]
async fn slow_clients_are_let_go_in_time() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::limited(upstream.address, |limits| {
        limits.first_byte_secs = 1;
        limits.head_secs = 1;
        limits.idle_secs = 1;
        limits.body_idle_secs = 1;
    })?;
    for (what, sent, status) in [
        ("connect only", "", ""),
        ("part of a head", "GET / HTTP/1.1\r\nHost: a\r\n", "408"),
        ("part of a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", "408"),
        ("idle after a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
    ] {
        let mut client = bench.client().await?;
        client.send(sent.as_bytes()).await?;
        let whole = tokio::time::timeout(Duration::from_millis(2500), client.rest()).await;
        let whole = whole.map_err(|_| anyhow::anyhow!("{what}: still open"))??;
        assert_eq!(whole.get(9..12).unwrap_or_default(), status, "{what}: {whole}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dripped_head_is_cut_at_its_deadline_however_often_a_byte_comes() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::limited(upstream.address, |limits| limits.head_secs = 1)?;
    let mut client = bench.client().await?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n").await?;
    let drip = async {
        for number in 0..40 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if client.send(format!("X-{number}: y\r\n").as_bytes()).await.is_err() {
                return number;
            }
        }
        40
    };
    let dripped = drip.await;
    assert!((9..25).contains(&dripped), "cut after {dripped} drips of 100 ms");
    Ok(())
}

#[tokio::test]
async fn a_body_that_comes_steadily_has_an_end_all_the_same() -> Result<()> {
    let upstream = Upstream::echo().await?;
    for inspected in [1000, 4] {
        // Held for inspection, and past what is inspected.
        let bench = Bench::with(upstream.address, |config| {
            config.body_over_limit = BodyOverLimit::PassAndCount;
            config.limits.inspected_body_bytes = inspected;
            config.limits.body_secs = 1;
            config.limits.body_min_bytes_per_sec = 1;
        })?;
        let mut client = bench.client().await?;
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n").await?;
        let mut dripped = 0;
        while dripped < 40 && client.send(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            dripped += 1;
        }
        assert!((9..30).contains(&dripped), "cut after {dripped} drips of 100 ms");
    }
    Ok(())
}

#[tokio::test]
async fn one_source_has_no_more_connections_than_its_share() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::limited(upstream.address, |limits| limits.connections_per_source = 2)?;
    let (mut first, _second) = (bench.client().await?, bench.client().await?);
    first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    assert_eq!(first.answer(false).await?.status, 200);
    let mut third = bench.client().await?;
    assert_eq!(third.rest().await.unwrap_or_default(), "");
    assert!((bench.counted("skyshield_gateway_connections_refused_total", "per_source") - 1.0).abs() < 0.5);
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn bodies_beyond_what_all_may_hold_are_turned_away() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::limited(upstream.address, |limits| {
        limits.inspected_body_bytes = 200_000;
        limits.held_body_bytes = 300_000;
    })?;
    let mut first = bench.client().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    first.send(head.as_bytes()).await?;
    first.send(&vec![b'a'; 199_999]).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut second = bench.client().await?;
    second.send(head.as_bytes()).await?;
    let _refused_early = second.send(&vec![b'a'; 200_000]).await;
    assert_eq!(second.answer(false).await?.status, 503);
    first.send(b"a").await?;
    assert_eq!(first.answer(false).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_or_passed_and_counted() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let body = "x".repeat(3000);
    let with_length = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n{body}");
    let in_chunks =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n{body}\r\n0\r\n\r\n");
    for (policy, status, action) in
        [(BodyOverLimit::Refuse, 413, "refuse"), (BodyOverLimit::PassAndCount, 200, "pass")]
    {
        let bench = Bench::with(upstream.address, |config| {
            config.body_over_limit = policy;
            config.limits.inspected_body_bytes = 1000;
        })?;
        for request in [&with_length, &in_chunks] {
            let mut client = bench.client().await?;
            // The end comes late, so that it is not there when the rest is looked at.
            let (start, end) = request.split_at(request.len() - 500);
            client.send(start.as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _refused_early = client.send(end.as_bytes()).await;
            let answer = client.answer(false).await?;
            assert_eq!(answer.status, status);
            if status == 200 {
                let seen = answer.text().matches('x').count();
                assert!(seen >= 3000, "{seen} of 3000");
            }
        }
        let counted = bench.counted("skyshield_gateway_bodies_over_limit_total", action);
        assert!((counted - 2.0).abs() < 0.5, "{action}: {counted}");
    }
    Ok(())
}

#[tokio::test]
async fn who_does_not_take_the_response_is_let_go() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.request().await?;
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await?;
        let piece = vec![b'a'; 65536];
        loop {
            client.send(&piece).await?;
        }
    })
    .await?;
    let bench = Bench::limited(upstream.address, |limits| limits.write_stall_secs = 1)?;
    let mut client = bench.client().await?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(bench.counted("skyshield_gateway_connections", "") > 0.5);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.counted("skyshield_gateway_connections", "") < 0.5, "still held");
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_even_if_a_request_does_not() -> Result<()> {
    let mute = Upstream::doing(|mut client| async move {
        while client.more().await? {}
        Ok(())
    })
    .await?;
    let bench = Bench::limited(mute.address, |limits| limits.drain_secs = 1)?;
    let mut client = bench.client().await?;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), bench.serving).await???;
    assert_eq!(client.rest().await.unwrap_or_default(), "");
    Ok(())
}
