//! TLS: who is shown which certificate, who is let in, and what changes while people are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ProtocolVersion;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use skyshield::gateway::{CertificatePair, TlsVersion};
use tempfile::TempDir;
use tests::certificates::{Authority, Files};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::bench::{Bench, Client, Upstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const FAR: i32 = 2090;

/// A gateway that speaks TLS, and those who vouch for it.
pub(super) struct Tls {
    pub(super) bench: Bench,
    authority: Authority,
    dir: TempDir,
    pub(super) address: SocketAddr,
}

fn pair(files: &Files) -> CertificatePair {
    CertificatePair { chain: files.chain.clone(), key: files.key.clone(), hosts: Vec::new() }
}

impl Tls {
    /// One with a certificate for each of `names`, the first being the default.
    pub(super) fn start(
        upstream: SocketAddr,
        names: &[&str],
        change: impl FnOnce(&mut skyshield::gateway::Config),
    ) -> Result<(Self, Vec<Files>)> {
        let (authority, dir) = (Authority::new()?, TempDir::new()?);
        let issue = |(at, host): (usize, &&str)| authority.issue(dir.path(), &at.to_string(), &[host], FAR);
        let files = names.iter().enumerate().map(issue).collect::<Result<Vec<_>>>()?;
        let bench = Bench::with(upstream, |config| {
            config.tls.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
            config.tls.certificates = files.iter().map(pair).collect();
            config.tls.poll_secs = 1;
            change(config);
        })?;
        let address = bench.tls.context("nobody listens for TLS")?;
        Ok((Self { bench, authority, dir, address }, files))
    }

    async fn client(&self, host: &str) -> Result<Client<TlsStream<TcpStream>>> {
        self.client_of(host, &[&TLS13, &TLS12], TcpStream::connect(self.address).await?).await
    }

    async fn client_of(
        &self,
        host: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
        socket: TcpStream,
    ) -> Result<Client<TlsStream<TcpStream>>> {
        Ok(Client::over(self.connect(host, versions, &[], socket).await?))
    }

    pub(super) async fn connect(
        &self,
        host: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
        protocols: &[&str],
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.authority.client(versions, protocols)?);
        let name = ServerName::try_from(host.to_owned())?;
        Ok(connector.connect(name, socket).await?)
    }
}

fn shown(client: &Client<TlsStream<TcpStream>>) -> Option<&CertificateDer<'static>> {
    client.stream.get_ref().1.peer_certificates()?.first()
}

fn version(client: &Client<TlsStream<TcpStream>>) -> Option<ProtocolVersion> {
    client.stream.get_ref().1.protocol_version()
}

#[tokio::test]
async fn a_request_by_tls_is_served_like_any_other_and_told_to_be_https() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    for (version_wanted, version_got) in
        [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)]
    {
        let socket = TcpStream::connect(tls.address).await?;
        let mut client = tls.client_of("shop.example", &[version_wanted], socket).await?;
        assert_eq!(version(&client), Some(version_got));
        for _ in 0..3 {
            client.send(GET.as_bytes()).await?;
            let text = client.answer(false).await?.text();
            ensure!(text.contains("\r\nX-Forwarded-Proto: https\r\n"), "{text}");
        }
        let body = "x".repeat(300_000);
        let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.send(post.as_bytes()).await?;
        ensure!(client.answer(false).await?.text().ends_with(&body));
    }
    let bench = &tls.bench;
    ensure!(bench.ask(GET).await?.text().contains("\r\nX-Forwarded-Proto: http\r\n"));
    assert!((bench.counted("skyshield_tls_handshakes_total", "done") - 2.0).abs() < 0.5);
    assert!((bench.counted("skyshield_tls_connections_total", "1.2") - 1.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_chosen_by_name() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let names = ["shop.example", "*.shop.example", "api.shop.example"];
    let (tls, files) = Tls::start(upstream.address, &names, |_| {})?;
    for (host, at) in [("shop.example", 0), ("www.shop.example", 1), ("api.shop.example", 2)] {
        let client = tls.client(host).await.with_context(|| host.to_owned())?;
        assert_eq!(shown(&client), Some(&files[at].der), "{host}");
    }
    let error = tls.client("other.example").await.err().context("the default is for another host")?;
    ensure!(format!("{error:#}").contains("shop.example"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_too_old_is_not_spoken() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| {
        config.tls.min_version = TlsVersion::Tls13;
    })?;
    assert_eq!(version(&tls.client("shop.example").await?), Some(ProtocolVersion::TLSv1_3));
    let socket = TcpStream::connect(tls.address).await?;
    assert!(tls.client_of("shop.example", &[&TLS12], socket).await.is_err());
    assert!((tls.bench.counted("skyshield_tls_handshakes_total", "failed") - 1.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_and_who_says_nothing_is_let_go() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| {
        (config.limits.first_byte_secs, config.tls.handshake_secs) = (1, 1);
    })?;
    let mut plain = Client::to(tls.address).await?;
    plain.send(GET.as_bytes()).await?;
    let answer = plain.answer(false).await?;
    assert_eq!(answer.status, 400);
    ensure!(answer.text().contains("https"), "{}", answer.text());
    for (what, sent) in [("nothing", &b""[..]), ("half a record", b"\x16\x03\x01\x02\x00\x01\x00")] {
        let mut client = Client::to(tls.address).await?;
        client.send(sent).await?;
        let end = tokio::time::timeout(Duration::from_millis(2500), client.rest()).await;
        ensure!(end.is_ok(), "{what}: still open");
    }
    let mut garbage = Client::to(tls.address).await?;
    garbage.send(&[&b"\x16\x03\x01\x00\x05"[..], &[0xff; 40]].concat()).await?;
    garbage.rest().await.unwrap_or_default();
    for outcome in ["not_tls", "too_slow", "failed"] {
        let counted = tls.bench.counted("skyshield_tls_handshakes_total", outcome);
        assert!((counted - 1.0).abs() < 0.5, "{outcome}: {counted}");
    }
    assert_eq!(upstream.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn handshakes_in_progress_are_numbered() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| config.tls.handshakes = 1)?;
    let mut slow = Client::to(tls.address).await?;
    slow.send(b"\x16\x03\x01").await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(tls.client("shop.example").await.is_err());
    assert!((tls.bench.counted("skyshield_tls_handshakes_total", "no_turn") - 1.0).abs() < 0.5);
    drop(slow);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(tls.client("shop.example").await.is_ok());
    Ok(())
}

#[tokio::test]
async fn the_proxy_protocol_is_spoken_ahead_of_tls() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let trusted = vec!["127.0.0.0/8".parse()?];
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| {
        (config.trusted_proxies, config.proxy_protocol) = (trusted, true);
    })?;
    let mut socket = TcpStream::connect(tls.address).await?;
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n").await?;
    let mut client = tls.client_of("shop.example", &[&TLS13], socket).await?;
    client.send(GET.as_bytes()).await?;
    let text = client.answer(false).await?.text();
    ensure!(
        text.contains(
            "\r\nX-Forwarded-For: 203.0.113.7\r\nX-Real-IP: 203.0.113.7\r\nX-Forwarded-Proto: https"
        )
    );
    assert!(tls.client("shop.example").await.is_err(), "a proxy that does not say is not guessed for");
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed_behind_tls_too() -> Result<()> {
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
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = tls.client("shop.example").await?;
    client.send(GET.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await?;
    drop(client);
    let heard = tokio::time::timeout(Duration::from_secs(4), left.recv()).await;
    ensure!(heard.is_ok(), "the upstream still works for a client that left");
    Ok(())
}

#[tokio::test]
async fn the_next_request_may_come_before_the_last_is_answered() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while let Some((head, _)) = client.request().await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let path = head.split(' ').nth(1).unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            client.send(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = tls.client("shop.example").await?;
    client.send(b"POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await?;
    tokio::time::sleep(Duration::from_millis(30)).await;
    for number in 1..5 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
    }
    for number in 0..5 {
        assert_eq!(client.answer(false).await?.text(), format!("/{number}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, files) = Tls::start(upstream.address, &["shop.example"], |config| {
        config.tls.poll_secs = 3600;
    })?;
    let certificates = tls.bench.certificates.clone().context("no certificates")?;
    let mut old = tls.client("shop.example").await?;
    assert_eq!(shown(&old), Some(&files[0].der));
    assert_eq!(certificates.reload().0, 0, "nothing has changed");

    std::fs::write(&files[0].chain, "-----BEGIN CERTIFICATE-----\nnonsense\n")?;
    let (replaced, problems) = certificates.reload();
    assert_eq!((replaced, problems.len()), (0, 1));
    assert_eq!(certificates.reload().1.len(), 0, "one change is told of once");
    assert_eq!(shown(&tls.client("shop.example").await?), Some(&files[0].der));

    let stranger = tls.authority.issue(tls.dir.path(), "stranger", &["shop.example"], FAR)?;
    std::fs::rename(&stranger.chain, &files[0].chain)?;
    let (replaced, problems) = certificates.reload();
    let told = problems.first().map(ToString::to_string).unwrap_or_default();
    ensure!(replaced == 0 && told.contains("does not belong"), "a certificate with another's key: {told}");
    assert_eq!(shown(&tls.client("shop.example").await?), Some(&files[0].der));

    let renewed = tls.authority.issue(tls.dir.path(), "0", &["shop.example"], FAR)?;
    assert_eq!(certificates.reload().0, 1);
    assert_eq!(shown(&tls.client("shop.example").await?), Some(&renewed.der));
    old.send(GET.as_bytes()).await?;
    assert_eq!(old.answer(false).await?.status, 200, "who is connected stays");
    Ok(())
}

#[tokio::test]
async fn certificates_change_under_load_and_no_request_fails() -> Result<()> {
    const CHANGES: u32 = 5;
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let tls = Arc::new(tls);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let tls = Arc::clone(&tls);
            tokio::spawn(async move {
                let mut served = 0;
                while tls.bench.counted("skyshield_tls_certificate_reloads_total", "taken_up") < 4.5 {
                    let mut client = tls.client("shop.example").await?;
                    for _ in 0..5 {
                        client.send(GET.as_bytes()).await?;
                        ensure!(client.answer(false).await?.status == 200);
                        served += 1;
                    }
                }
                Ok(served)
            })
        })
        .collect();
    for change in 0..CHANGES {
        // The certificate first, its key a moment later: between them the pair does not fit.
        tls.authority.issue(tls.dir.path(), "0", &["shop.example"], FAR)?;
        let taken_up = async {
            while tls.bench.counted("skyshield_tls_certificate_reloads_total", "taken_up")
                < f64::from(change) + 0.5
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), taken_up).await.context("not taken up")?;
    }
    for client in clients {
        let served: usize = client.await??;
        ensure!(served > 0);
    }
    ensure!(tls.bench.counted("skyshield_tls_certificate_expires_timestamp_seconds", "") > 3.7e9);
    Ok(())
}
