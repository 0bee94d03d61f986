//! HTTP/2 as nobody honest speaks it: frames by the thousand, and heads that two servers could read
//! differently.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bench::{Bench, Upstream};
use super::http2::{Client, get};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);
const ENHANCE_YOUR_CALM: u32 = 11;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that nobody needs to remember (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let len = u8::try_from(text.len().min(127)).unwrap_or_default();
        // Beyond 126 bytes the length goes on in a byte of its own.
        let more = u8::try_from(text.len().saturating_sub(127)).unwrap_or(127);
        let len = if text.len() < 127 { vec![len] } else { vec![127, more] };
        [len.as_slice(), text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

const ASKED: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&ASKED))
}

/// A connection on which frames are written by hand.
struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    async fn to(bench: &Bench) -> Result<Self> {
        let mut stream = TcpStream::connect(bench.address).await?;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// The next frame that is of concern here: its kind, its stream and its payload.
    async fn next(&mut self) -> Result<Option<(u8, u32, Vec<u8>)>> {
        loop {
            if let Some(header) = self.read.first_chunk::<9>() {
                let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                if self.read.len() >= 9 + len {
                    let (kind, id) =
                        (header[3], u32::from_be_bytes([header[5], header[6], header[7], header[8]]));
                    let payload = self.read.drain(..9 + len).skip(9).collect();
                    if matches!(kind, SETTINGS | PING | WINDOW_UPDATE) {
                        continue;
                    }
                    return Ok(Some((kind, id, payload)));
                }
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if read.context("nothing came")?.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    /// The error code of the GOAWAY that ends the connection; nothing where it ends without.
    async fn goaway(&mut self) -> Result<Option<u32>> {
        let mut code = None;
        while let Some((kind, _, payload)) = self.next().await? {
            if kind == GOAWAY {
                let bytes = payload.get(4..8).and_then(|bytes| bytes.first_chunk::<4>());
                code = bytes.map(|bytes| u32::from_be_bytes(*bytes));
            }
        }
        Ok(code)
    }
}

async fn gateway(upstream: &Upstream) -> Result<Bench> {
    let bench = Bench::with(upstream.address, |config| config.http2.cleartext = true)?;
    // What follows measures the gateway as it serves, not as it starts.
    ensure!(Client::in_the_clear(&bench).await?.ask(get("/")?, None).await?.0.status() == 200);
    Ok(bench)
}

fn resident_kib() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_end_the_connection_at_its_budget_and_nobody_elses() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = gateway(&upstream).await?;
    let mut honest = Client::in_the_clear(&bench).await?;
    let opened = frame(HEADERS, END_HEADERS, 1, &block(&ASKED));
    let open_block = frame(HEADERS, END_STREAM, 1, &block(&ASKED));
    let nothing = Vec::new();
    let before = resident_kib()?;
    for (what, first, flood) in [
        ("PING", &nothing, frame(PING, 0, 0, &[7; 8])),
        ("PING, acknowledged", &nothing, frame(PING, 1, 0, &[7; 8])),
        ("SETTINGS", &nothing, frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", &nothing, frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", &nothing, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("an unknown kind", &nothing, frame(0xbe, 0, 0, &[1])),
        ("empty DATA", &opened, frame(DATA, 0, 1, &[])),
        ("DATA that is all padding", &opened, frame(DATA, 8, 1, &[3, 0, 0, 0])),
        ("empty CONTINUATION", &open_block, frame(CONTINUATION, 0, 1, &[])),
        ("CONTINUATION without an end", &open_block, frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))),
    ] {
        let frames = bench.counted("skyshield_http2_frames_total", "");
        let (mut read, mut write) = Raw::to(&bench).await?.stream.into_split();
        let flooding = tokio::spawn({
            let flood = [first.as_slice(), &flood.repeat(1000)].concat();
            async move {
                // 100,000 frames, or as many as the kernel takes.
                for _ in 0..100 {
                    if write.write_all(&flood).await.is_err() {
                        break;
                    }
                }
                write
            }
        });
        let mut bytes = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, read.read_to_end(&mut bytes)).await.context(what)?;
        drop(flooding.await?);
        let looked_at = bench.counted("skyshield_http2_frames_total", "") - frames;
        ensure!(looked_at < 4000.0, "{what}: {looked_at} frames were looked at");
        let goaway = bytes
            .windows(17)
            .any(|window| window[3] == GOAWAY && window[13..17] == ENHANCE_YOUR_CALM.to_be_bytes());
        ensure!(goaway, "{what}: no GOAWAY with ENHANCE_YOUR_CALM");
        ensure!(honest.ask(get("/")?, None).await?.0.status() == 200, "{what}: others suffer");
    }
    let grown = resident_kib()?.saturating_sub(before);
    ensure!(grown < 16 * 1024, "grown by {grown} KiB");
    let closed = bench.counted("skyshield_http2_connections_closed_total", "control_frames")
        + bench.counted("skyshield_http2_connections_closed_total", "violation");
    assert!(closed > 9.5, "{closed}");
    Ok(())
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while client.more().await? {}
        Ok(())
    })
    .await?;
    let bench = Bench::with(upstream.address, |config| config.http2.cleartext = true)?;
    for pause in [Duration::ZERO, Duration::from_millis(2)] {
        let mut raw = Raw::to(&bench).await?;
        let mut opened = 0;
        for number in 0..2000 {
            let id = 2 * number + 1;
            let pair = [request(id), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat();
            if raw.stream.write_all(&pair).await.is_err() {
                break;
            }
            opened = number;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        let code = raw.goaway().await?;
        ensure!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
        ensure!(opened < 1999 || code.is_some(), "{opened} were taken");
    }
    let closed = bench.counted("skyshield_http2_connections_closed_total", "resets")
        + bench.counted("skyshield_http2_connections_closed_total", "violation");
    assert!(closed > 1.5, "{closed}");
    ensure!(upstream.connections() < 600, "{} reached the upstream", upstream.connections());
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_made_to_reset_streams_ends_the_connection() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = gateway(&upstream).await?;
    let mut raw = Raw::to(&bench).await?;
    for number in 0..2000 {
        let id = 2 * number + 1;
        let bad = frame(WINDOW_UPDATE, 0, id, &[0; 4]);
        if raw.stream.write_all(&[request(id), bad].concat()).await.is_err() {
            break;
        }
    }
    ensure!(raw.goaway().await?.is_some_and(|code| code != 0) || upstream.requests() < 1000);
    Ok(())
}

#[tokio::test]
async fn heads_that_two_servers_could_read_differently_are_forwarded_to_none() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = gateway(&upstream).await?;
    let with = |more: &[(&'static str, &'static str)]| [&ASKED[..], more].concat();
    let without = |name: &str| ASKED.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    let instead = |name: &'static str, value: &'static str| {
        ASKED.map(|(known, was)| (known, if known == name { value } else { was })).to_vec()
    };
    let before = upstream.requests();
    for (what, fields) in [
        ("another host", with(&[("host", "b")])),
        ("two hosts", with(&[("host", "a"), ("host", "a")])),
        ("no authority", without(":authority")),
        ("an authority with a user", instead(":authority", "user@a")),
        ("an authority with a path", instead(":authority", "a/b")),
        ("no path", without(":path")),
        ("an empty path", instead(":path", "")),
        ("a path without a slash", instead(":path", "admin")),
        ("an absolute path", instead(":path", "http://a/")),
        ("a star to GET", instead(":path", "*")),
        ("a space in the path", instead(":path", "/ HTTP/1.1")),
        ("a line end in the path", instead(":path", "/\r\nx: y")),
        ("no method", without(":method")),
        ("a method with a space", instead(":method", "GET /x")),
        ("CONNECT", vec![(":method", "CONNECT"), (":authority", "a:443")]),
        ("TRACE", instead(":method", "TRACE")),
        ("no scheme", without(":scheme")),
        ("two paths", with(&[(":path", "/b")])),
        ("an unknown pseudo header", with(&[(":foo", "b")])),
        ("a pseudo header after others", [&[("x", "y")], &ASKED[..]].concat()),
        ("a response's pseudo header", with(&[(":status", "200")])),
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("te other than trailers", with(&[("te", "gzip")])),
        ("a line end in a value", with(&[("x", "y\r\ntransfer-encoding: chunked")])),
        ("a LF in a value", with(&[("x", "y\nz: 1")])),
        ("a NUL in a value", with(&[("x", "y\0")])),
        ("a line end in a name", with(&[("x\r\ny", "z")])),
        ("a colon in a name", with(&[("x:y", "z")])),
        ("an upper-case name", with(&[("X-Y", "z")])),
        ("an empty name", with(&[("", "z")])),
        ("a length without a body", with(&[("content-length", "5")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "5")])),
        ("a signed length", with(&[("content-length", "+0")])),
        ("a list of lengths", with(&[("content-length", "0, 0")])),
        ("an unmet expectation", with(&[("expect", "foo")])),
    ] {
        let mut raw = Raw::to(&bench).await?;
        let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields));
        raw.stream.write_all(&head).await?;
        let (kind, id, payload) = raw.next().await?.with_context(|| format!("{what}: no answer"))?;
        // A refusal, or the end of the stream or of the connection.
        let refused = match kind {
            // Statuses 400 and 404 have an index of their own; others follow their name.
            HEADERS => {
                payload.first() == Some(&0x8c)
                    || payload.windows(3).any(|w| w.starts_with(b"4"))
                    || payload.len() > 10
            }
            RST_STREAM | GOAWAY => true,
            _ => false,
        };
        ensure!(refused, "{what}: {kind} on {id}: {payload:?}");
        assert_eq!(upstream.requests(), before, "{what} was forwarded");
    }
    let mut raw = Raw::to(&bench).await?;
    raw.stream.write_all(&request(1)).await?;
    ensure!(raw.next().await?.is_some_and(|(kind, ..)| kind == HEADERS));
    assert_eq!(upstream.requests(), before + 1, "what is well-formed is");
    Ok(())
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = gateway(&upstream).await?;
    let before = upstream.requests();
    for (what, length, sent) in [("too short", "5", &b"abc"[..]), ("too long", "2", b"abc")] {
        let mut raw = Raw::to(&bench).await?;
        let mut fields = ASKED.to_vec();
        fields[0].1 = "POST";
        fields.push(("content-length", length));
        let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        raw.stream.write_all(&[head, frame(DATA, END_STREAM, 1, sent)].concat()).await?;
        let (kind, ..) = raw.next().await?.with_context(|| format!("{what}: no answer"))?;
        ensure!(kind == RST_STREAM || kind == GOAWAY, "{what}: {kind}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(upstream.requests(), before, "{what} was forwarded");
    }
    Ok(())
}

#[tokio::test]
async fn heads_beyond_the_limits_are_answered_or_cut() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = gateway(&upstream).await?;
    let mut client = Client::in_the_clear(&bench).await?;
    let mut many = http::Request::get("http://a/");
    for number in 0..120 {
        many = many.header(format!("x-{number}"), "y");
    }
    assert_eq!(client.ask(many.body(())?, None).await?.0.status(), 431);
    let large = http::Request::get("http://a/").header("x", "y".repeat(40_000)).body(())?;
    assert_eq!(client.ask(large, None).await?.0.status(), 431);
    let long = http::Request::get(format!("http://a/{}", "y".repeat(40_000))).body(())?;
    assert_eq!(client.ask(long, None).await?.0.status(), 431);
    let huge = http::Request::get("http://a/").header("x", "y".repeat(1_000_000)).body(())?;
    let refused = client.ask(huge, None).await;
    ensure!(refused.as_ref().map_or(true, |(answer, _)| answer.status() == 431), "{refused:?}");
    assert_eq!(upstream.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn streams_beyond_the_limits_are_refused() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        while client.more().await? {}
        Ok(())
    })
    .await?;
    let bench = Bench::with(upstream.address, |config| {
        config.http2.cleartext = true;
        config.http2.streams = 20;
        config.http2.streams_per_source = 30;
    })?;
    let (mut first, mut second) = (Raw::to(&bench).await?, Raw::to(&bench).await?);
    for raw in [&mut first, &mut second] {
        for number in 0..25 {
            raw.stream.write_all(&request(2 * number + 1)).await?;
        }
        let refused = async {
            let mut ids = Vec::new();
            while let Some((kind, id, payload)) = raw.next().await? {
                ensure!(kind == RST_STREAM && payload == [0, 0, 0, 7], "{kind} {payload:?}");
                ids.push(id);
                if ids.len() >= 5 {
                    break;
                }
            }
            Ok(ids)
        };
        let ids = refused.await?;
        assert_eq!(ids.len(), 5);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(upstream.connections(), 30);
    assert!((bench.counted("skyshield_http2_streams_refused_total", "source") - 10.0).abs() < 0.5);
    Ok(())
}

#[tokio::test]
async fn what_begins_with_a_preface_and_says_nothing_else_is_let_go() -> Result<()> {
    let upstream = Upstream::echo().await?;
    let bench = Bench::with(upstream.address, |config| {
        config.http2.cleartext = true;
        (config.limits.first_byte_secs, config.limits.idle_secs) = (1, 1);
    })?;
    let half_block = frame(HEADERS, END_STREAM, 1, &block(&ASKED));
    for (what, sent) in [
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("half a frame", [PREFACE, &frame(SETTINGS, 0, 0, &[])[..5]].concat()),
        ("half a head", [PREFACE, &frame(SETTINGS, 0, 0, &[]), &half_block].concat()),
    ] {
        let mut stream = TcpStream::connect(bench.address).await?;
        stream.write_all(&sent).await?;
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut bytes)).await;
        ensure!(end.is_ok(), "{what}: still open");
    }
    let mut slow = Raw::to(&bench).await?;
    let mut fields = ASKED.to_vec();
    fields[0].1 = "POST";
    slow.stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block(&fields))).await?;
    Ok(())
}
