//! What was forwarded of each vector, sent to a server byte for byte: it counts the same requests, with
//! the same bodies, and finds what stands behind them where it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::framing::recorder::Forwarded;
use tests::framing::run::Run;
use tests::framing::{Expected, vectors};
use tests::http;

use crate::servers::{Kind, Server};

const PATIENCE: Duration = Duration::from_secs(10);
const MARKER: &[u8] = b"GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

pub(crate) fn is_read_alike(kind: Kind) -> Result<()> {
    let server = Server::start(kind)?;
    let streaming = "body_over_limit = \"pass-and-count\"\n[gateway.limits]\ninspected_body_bytes = 0\n";
    let (mut all, mut forwarded, mut refused, mut wrong) = (0, 0, 0, Vec::new());
    for gateway in ["", streaming] {
        let mut run = Run::start(gateway)?;
        for vector in vectors() {
            if !gateway.is_empty() && vector.expected == Expected::Refused(413) {
                continue;
            }
            all += 1;
            let meant = run.hold(&vector).with_context(|| vector.name.clone())?;
            if meant.is_empty() {
                continue;
            }
            forwarded += 1;
            match is_read_as(&server, &meant) {
                Ok(whole) => refused += usize::from(!whole),
                Err(error) => wrong.push(format!("{}: {error:#}", vector.name)),
            }
        }
    }
    ensure!(wrong.is_empty(), "{} of {forwarded}:\n{}", wrong.len(), wrong.join("\n"));
    // A server that refuses everything misreads nothing, and shows nothing.
    ensure!(forwarded > 200 && refused * 10 < forwarded, "{refused} of {forwarded} were refused by it");
    eprintln!("{}: {all} vectors, {forwarded} forwarded, {refused} of these refused by it", kind.program());
    Ok(())
}

/// Whether `server` reads all of `meant`, or refuses some of it; an error where it reads it otherwise.
fn is_read_as(server: &Server, meant: &[Forwarded]) -> Result<bool> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut sent: Vec<u8> = meant.iter().flat_map(|request| &request.raw).copied().collect();
    sent.extend_from_slice(MARKER);
    // Who refuses early may not read all of it.
    let _refused_early = stream.write_all(&sent);
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read);
    let mut rest = read.as_slice();
    let mut expected: Vec<_> = meant
        .iter()
        .map(|request| (format!("{} {}", request.method, request.target), Some(request.length)))
        .collect();
    expected.push(("GET /marker".to_owned(), Some(0)));
    for (at, (line, length)) in expected.iter().enumerate() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.with_context(|| format!("no answer to request {at}, {line:?}; the end: {ended:?}"))?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let status: u16 = head.get(9..12).context("no status")?.parse()?;
        if status >= 400 {
            return Ok(false);
        }
        let size: usize = http::field(&head, "content-length").context("no length")?.parse()?;
        let body = String::from_utf8_lossy(rest.get(end + 4..end + 4 + size).context("a short answer")?)
            .into_owned();
        rest = &rest[end + 4 + size..];
        let (told, told_length) = body.trim_end().rsplit_once(' ').context("no echo")?;
        ensure!(told == line, "request {at} is {told:?} to it, and {line:?} to us");
        ensure!(
            told_length == "?" || told_length.parse().ok() == *length,
            "{line:?} has {told_length} bytes to it, and {length:?} to us"
        );
    }
    ensure!(rest.is_empty(), "more answers than requests: {}", rest.escape_ascii());
    Ok(true)
}
