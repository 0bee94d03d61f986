//! HTTP/2: the same rules, the same verdict and the same upstream as any other request.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls::version::TLS13;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::bench::{Bench, Upstream};
use super::tls::Tls;

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A client, and the task that carries its frames.
pub(super) struct Client {
    pub(super) send: SendRequest<Bytes>,
    pub(super) carried: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(super) async fn by_tls(tls: &Tls) -> Result<Self> {
        let socket = TcpStream::connect(tls.address).await?;
        let stream = tls.connect("shop.example", &[&TLS13], &["h2", "http/1.1"], socket).await?;
        ensure!(stream.get_ref().1.alpn_protocol() == Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(stream).await?;
        Ok(Self { send: send.ready().await?, carried: tokio::spawn(connection) })
    }

    pub(super) async fn in_the_clear(bench: &Bench) -> Result<Self> {
        let (send, connection) = h2::client::handshake(TcpStream::connect(bench.address).await?).await?;
        Ok(Self { send: send.ready().await?, carried: tokio::spawn(connection) })
    }

    /// Sends `request` with `body` and reads the whole answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<(Response<()>, String)> {
        let (answer, mut stream) = self.send.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(body, true)?;
        }
        whole(tokio::time::timeout(PATIENCE, answer).await.context("no answer")??).await
    }
}

/// A response with all of its body.
pub(super) async fn whole(response: Response<RecvStream>) -> Result<(Response<()>, String)> {
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    while let Some(data) = tokio::time::timeout(PATIENCE, body.data()).await.context("no body")? {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok((Response::from_parts(head, ()), String::from_utf8_lossy(&text).into_owned()))
}

pub(super) fn get(path: &str) -> Result<Request<()>> {
    Ok(Request::get(format!("https://shop.example{path}")).body(())?)
}

#[tokio::test]
async fn the_upstream_sees_a_request_in_the_words_of_http_1() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = Client::by_tls(&tls).await?;
    let request = Request::post("https://shop.example/a?b=c")
        .header("x-forwarded-for", "1.1.1.1")
        .header("cookie", "a=1")
        .header("x-skyshield-risk", "0")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("content-length", "5")
        .body(())?;
    let (response, text) = client.ask(request, Some("abcde".into())).await?;
    assert_eq!(
        text,
        "POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\ncookie: a=1; b=2\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
         X-SkyShield-Risk: 0.000\r\nContent-Length: 5\r\n\r\nabcde"
    );
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-frame-options"), Some("DENY"));
    assert_eq!(header("content-length"), Some(text.len().to_string().as_str()));
    assert_eq!((header("connection"), header("transfer-encoding")), (None, None));
    Ok(())
}

#[tokio::test]
async fn an_attack_is_refused_in_a_stream_as_anywhere_and_the_others_go_on() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = Client::by_tls(&tls).await?;
    let (response, text) = client.ask(get("/?q=%3Cscript%3Ealert(1)%3C/script%3E")?, None).await?;
    assert_eq!(response.status(), 403);
    let incident = response.headers().get("x-skyshield-incident").context("no incident")?;
    ensure!(text.contains(incident.to_str()?), "{text}");
    let post =
        Request::post("https://shop.example/").header("content-type", "application/x-www-form-urlencoded");
    let (response, _) =
        client.ask(post.body(())?, Some("q=1'%20union%20select%20password%20from%20users--".into())).await?;
    assert_eq!(response.status(), 403);
    assert_eq!(client.ask(get("/")?, None).await?.0.status(), 200);
    assert_eq!(upstream.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn many_streams_of_a_connection_are_served_at_a_time() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while let Some((head, _)) = client.request().await? {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            client.send(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = Client::by_tls(&tls).await?;
    let mut answers = Vec::new();
    for number in 0..80 {
        answers.push(client.send.send_request(get(&format!("/{number}"))?, true)?.0);
    }
    let all = async {
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(whole(answer.await?).await?.1, format!("/{number}"));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(4), all).await.context("one after the other")??;
    Ok(())
}

#[tokio::test]
async fn bodies_of_every_size_pass_both_ways() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| {
        config.body_over_limit = skyshield::gateway::BodyOverLimit::PassAndCount;
        config.limits.inspected_body_bytes = 100_000;
    })?;
    let mut client = Client::by_tls(&tls).await?;
    for size in [0, 1, 16_384, 99_999, 100_000, 100_001, 2_000_000] {
        for told in [true, false] {
            let mut request = Request::post("https://shop.example/");
            if told {
                request = request.header("content-length", size);
            }
            let (answer, mut stream) = client.send.send_request(request.body(())?, false)?;
            let sending = async {
                let mut left = size;
                while left > 0 {
                    stream.reserve_capacity(left);
                    let room =
                        std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.context("closed")??;
                    stream.send_data(Bytes::from(vec![b'x'; room.min(left)]), false)?;
                    left -= room.min(left);
                }
                stream.send_data(Bytes::new(), true)?;
                anyhow::Ok(())
            };
            let ((), response) = tokio::try_join!(sending, async { Ok(answer.await?) })?;
            let (response, text) = whole(response).await?;
            assert_eq!(response.status(), 200, "{size}");
            let seen = text.matches('x').count();
            ensure!(seen >= size, "{seen} of {size}, told: {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn answers_without_a_length_are_streamed_as_they_come() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.request().await?;
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send(b"6\r\nsecond\r\n0\r\nX-Trailer: 1\r\n\r\n").await
    })
    .await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = Client::by_tls(&tls).await?;
    let (answer, _) = client.send.send_request(get("/")?, true)?;
    let mut body = answer.await?.into_body();
    let first = tokio::time::timeout(Duration::from_millis(200), body.data()).await;
    assert_eq!(first.context("held back")?.context("no data")??, "first");
    let mut rest = Vec::new();
    while let Some(data) = body.data().await {
        rest.extend_from_slice(&data?);
    }
    assert_eq!(rest, b"second");
    ensure!(body.trailers().await?.is_none(), "trailers are nobody's");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> Result<()> {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    ] {
        let upstream = Upstream::saying_once(answer).await?;
        let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
        let mut client = Client::by_tls(&tls).await?;
        let (response, _) = client.send.send_request(get("/")?, true)?;
        // What was said of it may be taken back with it.
        let whole = async {
            let mut body = response.await?.into_body();
            while let Some(data) = body.data().await {
                data?;
            }
            Ok::<_, h2::Error>(())
        };
        let reason = whole.await.err().context("taken for whole")?.reason();
        assert_eq!(reason, Some(Reason::INTERNAL_ERROR), "{answer}");
        let other = client.ask(get("/?q=%3Cscript%3Ealert(1)%3C/script%3E")?, None).await?;
        assert_eq!(other.0.status(), 403, "the connection goes on");
    }
    Ok(())
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() -> Result<()> {
    for (method, answer, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", 304),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
        ),
    ] {
        let upstream = Upstream::saying(answer).await?;
        let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
        let mut client = Client::by_tls(&tls).await?;
        for _ in 0..3 {
            let request = Request::builder().method(method).uri("https://shop.example/").body(())?;
            let (response, text) = client.ask(request, None).await?;
            assert_eq!((response.status().as_u16(), text.as_str()), (status, ""), "{answer}");
        }
        assert_eq!(upstream.connections(), 1, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn who_expects_a_go_ahead_gets_it_only_if_the_body_is_wanted() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let mut client = Client::by_tls(&tls).await?;
    let request = |length: &str| {
        let request = Request::put("https://shop.example/").header("expect", "100-continue");
        request.header("content-length", length).body(())
    };
    let (mut answer, mut stream) = client.send.send_request(request("3")?, false)?;
    let told = std::future::poll_fn(|cx| answer.poll_informational(cx));
    let told = tokio::time::timeout(PATIENCE, told).await?.context("no interim answer")??;
    assert_eq!(told.status(), 100);
    stream.send_data("abc".into(), true)?;
    ensure!(whole(answer.await?).await?.1.ends_with("\r\n\r\nabc"));
    let (answer, _stream) = client.send.send_request(request("99999999")?, false)?;
    assert_eq!(answer.await?.status(), 413);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_given_up_is_given_up_at_the_upstream_too() -> Result<()> {
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
    let mut client = Client::by_tls(&tls).await?;
    let (answer, mut stream) = client.send.send_request(get("/")?, true)?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    let heard = tokio::time::timeout(Duration::from_secs(4), left.recv()).await;
    ensure!(heard.is_ok(), "the upstream still works for a client that left");
    Ok(())
}

#[tokio::test]
async fn a_stopping_gateway_finishes_streams_and_takes_no_more() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.request().await?;
        tokio::time::sleep(Duration::from_millis(400)).await;
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await
    })
    .await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |_| {})?;
    let (idle, mut busy) = (Client::by_tls(&tls).await?, Client::by_tls(&tls).await?);
    let (answer, _) = busy.send.send_request(get("/")?, true)?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    tls.bench.stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), idle.carried).await.context("idle, and held")???;
    assert_eq!(whole(answer.await?).await?.1, "done");
    let refused = busy.ask(get("/")?, None).await;
    ensure!(refused.is_err(), "asked after the GOAWAY: {refused:?}");
    tokio::time::timeout(Duration::from_secs(3), tls.bench.serving).await.context("still serving")???;
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_is_let_go_in_time() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let (tls, _) = Tls::start(upstream.address, &["shop.example"], |config| {
        (config.limits.first_byte_secs, config.limits.idle_secs) = (1, 1);
    })?;
    let unused = Client::by_tls(&tls).await?;
    let mut used = Client::by_tls(&tls).await?;
    used.ask(get("/")?, None).await?;
    for client in [unused, used] {
        tokio::time::timeout(Duration::from_secs(3), client.carried).await.context("still open")???;
    }
    Ok(())
}

#[tokio::test]
async fn in_the_clear_it_is_spoken_only_where_that_is_wanted() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = super::bench::Client::to(bench.address).await?;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    assert_eq!(client.answer(false).await?.status, 505);
    let bench = Bench::with(upstream.address, |config| config.http2.cleartext = true)?;
    let mut client = Client::in_the_clear(&bench).await?;
    let (_, text) = client.ask(get("/")?, None).await?;
    ensure!(text.contains("\r\nX-Forwarded-Proto: http\r\n"), "{text}");
    let mut dripping = TcpStream::connect(bench.address).await?;
    for byte in b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n" {
        dripping.write_all(&[*byte]).await?;
    }
    ensure!(bench.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?.status == 200);
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let answer = bench.ask(upgrade).await?;
    assert_eq!(answer.status, 200);
    ensure!(!answer.text().to_ascii_lowercase().contains("h2c"), "{}", answer.text());
    Ok(())
}
