//! Tunnels: only where they are opened on purpose, and only after the upstream has agreed.

use anyhow::{Result, ensure};

use super::bench::{Bench, Upstream};

const OPENING: &str = "GET /ws/chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Agrees to switch and sends back what it gets, backwards.
async fn parrot() -> Result<Upstream> {
    Upstream::doing(|mut client| async move {
        let head = client.until("\r\n\r\n").await?;
        ensure!(head.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        ensure!(client.pending().is_empty(), "something came before we agreed");
        client.send([AGREED.as_bytes(), b"hello"].concat().as_slice()).await?;
        loop {
            let mut said = client.exactly(4).await?;
            said.reverse();
            client.send(&said).await?;
        }
    })
    .await
}

#[tokio::test]
async fn a_tunnel_opens_after_the_upstream_has_agreed() -> Result<()> {
    let upstream = parrot().await?;
    let bench = Bench::with(upstream.address, |config| config.websocket_paths = vec!["/ws/**".to_owned()])?;
    let mut client = bench.client().await?;
    client.send([OPENING.as_bytes(), b"abcd"].concat().as_slice()).await?;
    let head = client.until("\r\n\r\n").await?;
    ensure!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nUpgrade: websocket\r\n"), "{head}");
    ensure!(head.contains("\r\nSec-WebSocket-Accept: "), "{head}");
    assert_eq!(client.exactly(5).await?, b"hello");
    assert_eq!(client.exactly(4).await?, b"dcba");
    for _ in 0..100 {
        client.send(b"1234").await?;
        assert_eq!(client.exactly(4).await?, b"4321");
    }
    assert!((bench.counted("skyshield_gateway_tunnels_total", "") - 1.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn what_is_not_wholly_a_websocket_opening_is_an_ordinary_request() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let open = |config: &mut skyshield::gateway::Config| config.websocket_paths = vec!["/ws/**".to_owned()];
    let bench = Bench::with(upstream.address, open)?;
    for (what, opening) in [
        ("another path", OPENING.replace("/ws/", "/other/")),
        ("another version", OPENING.replace(": 13", ": 12")),
        ("no key", OPENING.replace("Sec-WebSocket-Key", "X-Key")),
        ("a key of another length", OPENING.replace("dGhl", "")),
        (
            "two keys",
            OPENING.replace(
                "Sec-WebSocket-Version",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version",
            ),
        ),
        ("another protocol", OPENING.replace("Upgrade: websocket", "Upgrade: websocket, h2c")),
        ("not in Connection", OPENING.replace("keep-alive, Upgrade", "keep-alive")),
        ("another method", OPENING.replace("GET", "POST")),
        ("a body", OPENING.replace("Host: a", "Host: a\r\nContent-Length: 0")),
    ] {
        let text = bench.ask(&opening).await?.text();
        assert!(!text.contains("Upgrade:") && !text.contains("Connection:"), "{what}: {text}");
    }
    let text = bench.ask(OPENING).await?;
    assert_eq!(text.status, 200, "an upstream may decline");
    let forged = Upstream::saying_once(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    )
    .await?;
    assert_eq!(Bench::with(forged.address, open)?.ask(OPENING).await?.status, 502);
    Ok(())
}
