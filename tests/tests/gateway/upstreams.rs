//! Upstreams that fail, lie and leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use super::bench::{Bench, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn an_upstream_that_is_down_or_late_is_told_as_such() -> Result<()> {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let bench = Bench::start(gone)?;
    let answer = bench.ask(GET).await?;
    assert_eq!(answer.status, 502);
    assert!(answer.header("x-skyshield-incident").is_some());
    assert!(
        answer.header("date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT")),
        "{}",
        answer.head
    );
    assert!((bench.counted("skyshield_upstream_errors_total", "connect") - 1.0).abs() < 0.5);

    let mute = Upstream::doing(|mut client| async move {
        while client.more().await? {}
        Ok(())
    })
    .await?;
    let bench = Bench::limited(mute.address, |limits| limits.upstream_head_secs = 1)?;
    assert_eq!(bench.ask(GET).await?.status, 504);
    Ok(())
}

#[tokio::test]
async fn answers_that_can_be_read_in_two_ways_are_not_passed_on() -> Result<()> {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "<html>hello</html>\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        "",
    ] {
        let upstream = Upstream::saying_once(answer).await?;
        let bench = Bench::start(upstream.address)?;
        let got = bench.ask(GET).await?;
        assert_eq!(got.status, 502, "{answer:?}: {}", got.head);
    }
    let endless = Upstream::doing(|mut client| async move {
        client.request().await?;
        client.send(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            client.send(b"X-More: headers, and then some more of them\r\n").await?;
        }
    })
    .await?;
    assert_eq!(Bench::start(endless.address)?.ask(GET).await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn surplus_bytes_never_reach_the_next_response() -> Result<()> {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    )
    .await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    for served in 1..=3 {
        client.send(GET.as_bytes()).await?;
        assert_eq!(client.answer(false).await?.text(), "abc");
        assert_eq!(upstream.connections(), served, "a connection with surplus bytes is not used again");
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_body_does_not_look_whole() -> Result<()> {
    let upstream =
        Upstream::saying_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    let whole = client.rest().await.unwrap_or_default();
    assert!(whole.ends_with("\r\n\r\n3\r\nabc\r\n"), "{whole}");

    let upstream = Upstream::saying_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    let whole = client.rest().await.unwrap_or_default();
    assert!(whole.contains("Content-Length: 10") && whole.ends_with("\r\n\r\nabc"), "{whole}");
    assert!((bench.counted("skyshield_upstream_errors_total", "cut") - 1.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_chunked_for_the_client() -> Result<()> {
    let upstream = Upstream::saying_once("HTTP/1.1 200 OK\r\n\r\nabc").await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    for _ in 0..2 {
        client.send(GET.as_bytes()).await?;
        let answer = client.answer(false).await?;
        assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("abc", Some("chunked")));
    }
    Ok(())
}

/// Serves one request per connection and closes it without a word, some time after.
async fn leaving(seen: &Arc<AtomicUsize>) -> Result<Upstream> {
    let seen = Arc::clone(seen);
    Upstream::doing(move |mut client| {
        let seen = Arc::clone(&seen);
        async move {
            client.request().await?;
            seen.fetch_add(1, Ordering::SeqCst);
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
            // Reads the next request and answers it with the end of the connection.
            if client.more().await? {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_leaves_costs_no_safe_request() -> Result<()> {
    let seen = Arc::new(AtomicUsize::new(0));
    let upstream = leaving(&seen).await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    for _ in 0..3 {
        client.send(GET.as_bytes()).await?;
        assert_eq!(client.answer(false).await?.text(), "ok");
    }
    assert!(bench.counted("skyshield_upstream_retries_total", "") > 0.5);

    let seen = Arc::new(AtomicUsize::new(0));
    let upstream = leaving(&seen).await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    assert_eq!(client.answer(false).await?.text(), "ok");
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na").await?;
    assert_eq!(
        client.answer(false).await?.status,
        502,
        "a POST may have been acted on: it is not sent again"
    );
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    Ok(())
}

#[tokio::test]
async fn a_body_that_must_not_come_never_reaches_the_next_response() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while client.request().await?.is_some() {
            client.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 41\r\n\r\n").await?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await?;
        }
        Ok(())
    })
    .await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    for served in 1..=3 {
        client.send(GET.as_bytes()).await?;
        assert_eq!(client.answer(false).await?.status, 304);
        assert_eq!(upstream.connections(), served);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn trailers_go_no_further_in_either_direction() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while let Some((head, _)) = client.request().await? {
            anyhow::ensure!(!head.to_ascii_lowercase().contains("trailer"), "{head}");
            client
                .send(
                    b"HTTP/1.1 200 OK\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
                      X-Late: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
                )
                .await?;
        }
        Ok(())
    })
    .await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    for _ in 0..2 {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Own\r\nTransfer-Encoding: chunked\r\n\r\n\
            1\r\na\r\n0\r\nX-Own: 1\r\nHost: b\r\n\r\n";
        client.send(request.as_bytes()).await?;
        let head = client.until("\r\n\r\n").await?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200 ") && !head.contains("Trailer"), "{head}");
        assert_eq!(client.until("0\r\n\r\n").await?, "3\r\nabc\r\n0\r\n\r\n");
    }
    assert_eq!(upstream.connections(), 1, "what was read in one way leaves the connection usable");
    // Without end, they are no trailers.
    let endless = Upstream::doing(|mut client| async move {
        client.request().await?;
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n").await?;
        loop {
            client.send(b"X-More: and more\r\n").await?;
        }
    })
    .await?;
    let bench = Bench::start(endless.address)?;
    let mut client = bench.client().await?;
    client.send(GET.as_bytes()).await?;
    let whole = client.rest().await.unwrap_or_default();
    assert!(!whole.ends_with("0\r\n\r\n"), "a response that broke off does not look whole: {whole}");
    Ok(())
}
