//! What fuzzers hold the gateway's readers to: any bytes are read without a panic, the same however they
//! arrive, and what is let through can be understood in one way only.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a fuzzer is told")]

use std::net::IpAddr;

use super::chunked::{Chunked, is_token};
use super::client_ip::TrustedProxies;
use super::frames::Frames;
use super::framing::Framing;
use super::guard::Cause;
use super::head::{Head, Scan, early_problem, scan};
use super::proxy_protocol::{self, Header};
use super::server_timing::ServerTiming;

/// Header lines at the most, as the gateway's default has it.
const MAX_FIELDS: usize = 100;

/// A client's connection: requests one after the other, each with its body.
pub fn connection(bytes: &[u8]) {
    let mut rest = bytes;
    // More requests than any seed needs; each takes at least a head's bytes away.
    for _ in 0..100 {
        early_problem(rest);
        let Some((head, len)) = request(rest) else { return };
        let body = &rest[len..];
        let Some(taken) = body_of(head.framing, body) else { return };
        assert!(len + taken <= rest.len() && len > 0);
        rest = &rest[len + taken..];
    }
}

/// The head at the front of `bytes`, if it is whole and let through.
fn request(bytes: &[u8]) -> Option<(Head, usize)> {
    let whole = scan(bytes, 0);
    for from in [1, bytes.len() / 2, bytes.len()] {
        // What was looked at before held no end and nothing wrong.
        if scan(&bytes[..from.min(bytes.len())], 0) == Ok(Scan::Partial) {
            assert_eq!(scan(bytes, from), whole);
        }
    }
    let Ok(Scan::Complete(len)) = whole else { return None };
    let mut text = bytes[..len].to_vec();
    let mut head = Head::default();
    let outcome = head.parse(&mut text, MAX_FIELDS);
    if let Err(cause) = outcome {
        assert!((400..=505).contains(&cause.status()));
        assert!(Cause::ALL.contains(&cause));
        return None;
    }
    assert_one_reading(&bytes[..len], &text, &head);
    Some((head, len))
}

/// That whoever splits the head at its line ends finds what the gateway found.
fn assert_one_reading(sent: &[u8], text: &[u8], head: &Head) {
    let lines = sent.strip_suffix(b"\r\n\r\n").expect("a head ends in an empty line");
    assert!(!lines.contains(&0), "a NUL");
    let mut lines = lines.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    assert_eq!(first.split(|&byte| byte == b' ').count(), 3, "a request line has three words");
    assert!(first.ends_with(if head.minor == 0 { b"HTTP/1.0" } else { b"HTTP/1.1" }));
    assert!(head.method.at(text).iter().all(|&byte| is_token(byte)));
    let target = head.target.at(text);
    assert!(target.starts_with(b"/") || target == b"*", "a target in origin form");
    assert!(target.iter().all(|&byte| matches!(byte, b'!'..=b'~') && byte != b'#'));
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), 0);
    for line in lines {
        assert!(!line.contains(&b'\r'), "a bare CR");
        let colon = line.iter().position(|&byte| byte == b':').expect("a line is a name and a value");
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        assert!(!name.is_empty() && name.iter().all(|&byte| is_token(byte)), "a name");
        // Some gateways read `_` as `-`.
        let name: Vec<u8> = name.to_ascii_lowercase().iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
        match name.as_slice() {
            b"host" => hosts += 1,
            b"content-length" => lengths.push(value.to_vec()),
            b"transfer-encoding" => {
                assert!(value.eq_ignore_ascii_case(b"chunked"));
                codings += 1;
            }
            _ => {}
        }
    }
    assert!(hosts == 1 || (hosts == 0 && head.minor == 0), "{hosts} hosts");
    match head.framing {
        Framing::None => assert!(lengths.is_empty() && codings == 0),
        Framing::Length(length) => {
            let [said] = lengths.as_slice() else { panic!("{} lengths", lengths.len()) };
            let said = std::str::from_utf8(said).expect("digits");
            assert!(said.bytes().all(|byte| byte.is_ascii_digit()) && said.parse() == Ok(length));
            assert_eq!(codings, 0);
        }
        Framing::Chunked => assert!(lengths.is_empty() && codings == 1 && head.minor == 1),
        Framing::Stream => panic!("no client of HTTP/1 has streams"),
    }
}

/// How many of `bytes` a body takes; nothing where it is not whole, or malformed.
fn body_of(framing: Framing, bytes: &[u8]) -> Option<usize> {
    match framing {
        Framing::None | Framing::Stream => Some(0),
        Framing::Length(length) => usize::try_from(length).ok().filter(|&length| length <= bytes.len()),
        Framing::Chunked => {
            let whole = unchunked(bytes, bytes.len().max(1));
            assert_eq!(unchunked(bytes, 1), whole, "the same, byte by byte");
            assert_eq!(unchunked(bytes, 7), whole, "the same, in pieces");
            let (data, consumed) = whole?;
            assert!(data.len() <= consumed);
            Some(consumed)
        }
    }
}

/// The data of a chunked body that arrives in pieces, and how many bytes it took.
fn unchunked(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
    let (mut decoder, mut data, mut consumed) = (Chunked::new(), Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let step = decoder.decode(&mut piece).ok()?;
        assert!(step.data <= step.consumed && step.consumed <= piece.len());
        data.extend_from_slice(&piece[..step.data]);
        consumed += step.consumed;
        if decoder.is_done() {
            return Some((data, consumed));
        }
        assert_eq!(step.consumed, piece.len());
    }
    None
}

/// A chunked body.
pub fn chunks(bytes: &[u8]) {
    let _whole = body_of(Framing::Chunked, bytes);
}

/// The lines in which proxies name clients.
pub fn client_address(bytes: &[u8]) {
    let trusted = ["10.0.0.0/8", "2001:db8:f::/48"].map(|text| text.parse().expect("a prefix"));
    let trusted = TrustedProxies::new(&trusted);
    let peer: IpAddr = "10.0.0.1".parse().expect("an address");
    let lines: Vec<_> = bytes.split(|&byte| byte == b'\n').collect();
    let client = trusted.client_behind(peer, lines.iter().copied());
    assert_eq!(client.address, client.address.to_canonical());
    assert!(client.by_proxy || client.address == peer);
    // What a client typed is left of what the trusted proxy wrote, and changes nothing.
    let seen = [b"203.0.113.7, 10.0.0.2".as_slice()];
    let client = trusted.client_behind(peer, lines.iter().copied().chain(seen));
    assert_eq!((client.address.to_string().as_str(), client.by_proxy), ("203.0.113.7", true));
    let joined = [bytes, b",203.0.113.7"].concat();
    let client = trusted.client_behind(peer, [joined.as_slice()].into_iter());
    assert_eq!(client.address.to_string(), "203.0.113.7");
}

/// What a proxy says ahead of a connection's first byte, in either version.
pub fn proxy_header(bytes: &[u8]) {
    let whole = proxy_protocol::parse(bytes);
    let Ok(Header::Complete(len, address)) = whole else { return };
    assert!(len <= bytes.len() && address.is_none_or(|address| address == address.to_canonical()));
    assert_eq!(proxy_protocol::parse(&bytes[..len]), whole, "what follows it changes nothing");
    for cut in [0, len / 2, len - 1] {
        assert_eq!(proxy_protocol::parse(&bytes[..cut]), Ok(Header::Partial), "cut at {cut}");
    }
}

/// Frames of HTTP/2 as they pass by.
pub fn frames(bytes: &[u8]) {
    let seen = |piece: usize| {
        let (mut frames, mut seen) = (Frames::after(24), Vec::new());
        for piece in bytes.chunks(piece) {
            frames.scan(piece, |frame| seen.push(frame));
        }
        seen
    };
    let whole = seen(bytes.len().max(1));
    assert!(whole.len() <= bytes.len() / 9);
    assert_eq!((seen(1), seen(10)), (whole.clone(), whole));
}

/// What an upstream tells of its own work.
pub fn server_timing(bytes: &[u8]) {
    let mut timing = ServerTiming::default();
    for line in bytes.split(|&byte| byte == b'\n') {
        timing.read(line);
    }
}
