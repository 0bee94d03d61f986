//! The head of a request to the upstream, rebuilt from what was parsed.

use std::io::Write;
use std::net::IpAddr;

use super::client_ip::is_one_of;
use super::connection::Peer;
use super::field::{Kind, Span};
use super::framing::Framing;
use super::head::Head;
use crate::engine::incident::Client;
use crate::verdict::Permit;

/// What the upstream is told of where a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) peer: &'a Peer,
    pub(super) client: Client,
    /// Whether the upstream is asked to switch to `WebSocket`.
    pub(super) switching: bool,
}

/// The lines that tell of a peer which is the client itself.
pub(super) fn peer_lines(peer: IpAddr) -> Vec<u8> {
    format!("X-Forwarded-For: {peer}\r\nX-Real-IP: {peer}\r\n").into_bytes()
}

/// Appends to `out` the head of the request that `permit` allows to be forwarded.
#[expect(clippy::needless_pass_by_value, reason = "a permit is good for one request")]
pub(super) fn write(
    permit: Permit,
    head: &Head,
    bytes: &[u8],
    origin: Origin<'_>,
    framing: Framing,
    upstream_host: &[u8],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(head.method.at(bytes));
    out.push(b' ');
    out.extend_from_slice(head.target.at(bytes));
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let host = head.host.map_or(upstream_host, |host| host.at(bytes));
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
    for field in &head.fields {
        let passed_on = match field.kind {
            Kind::Other | Kind::Accept | Kind::WebSocketKey | Kind::WebSocketVersion => true,
            Kind::Forwarded => origin.peer.trusted,
            Kind::Host
            | Kind::ContentLength
            | Kind::TransferEncoding
            | Kind::Connection
            | Kind::Expect
            | Kind::ForwardedFor
            | Kind::ForwardedProto
            | Kind::ForwardedHost
            | Kind::RealIp
            | Kind::Upgrade
            | Kind::Dropped => false,
        };
        if passed_on {
            line(field.name.at(bytes), field.value.at(bytes), out);
        }
    }
    if origin.peer.trusted {
        lines_of_proxy(head, bytes, origin, host, out);
    } else {
        out.extend_from_slice(&origin.peer.lines);
        line(b"X-Forwarded-Proto", origin.peer.scheme(), out);
        line(b"X-Forwarded-Host", host, out);
    }
    let score = permit.score().value();
    if score > 0.0 {
        // Writing to memory does not fail.
        let _infallible = write!(out, "X-SkyShield-Risk: {score:.3}\r\n");
    } else {
        out.extend_from_slice(b"X-SkyShield-Risk: 0.000\r\n");
    }
    if origin.switching {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    }
    match framing {
        Framing::None => out.extend_from_slice(b"\r\n"),
        Framing::Length(length) => {
            let _infallible = write!(out, "Content-Length: {length}\r\n\r\n");
        }
        Framing::Chunked | Framing::Stream => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
    }
}

/// What a trusted proxy said is kept where it is well-formed, and the proxy itself is added.
fn lines_of_proxy(head: &Head, bytes: &[u8], origin: Origin<'_>, host: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    for field in &head.fields {
        if origin.client.by_proxy && field.kind == Kind::ForwardedFor {
            out.extend_from_slice(field.value.at(bytes));
            out.extend_from_slice(b", ");
        }
    }
    let _infallible = write!(out, "{}\r\nX-Real-IP: {}\r\n", origin.peer.address, origin.client.address);
    let only = |kind: Kind| {
        let mut values = head.fields.iter().filter(|field| field.kind == kind).map(|field| field.value);
        let first: Option<Span> = values.next();
        first.filter(|_| values.next().is_none()).map(|value| value.at(bytes))
    };
    let proto = only(Kind::ForwardedProto).filter(|proto| is_one_of(proto, &[b"http", b"https"]));
    line(b"X-Forwarded-Proto", proto.unwrap_or(origin.peer.scheme()), out);
    line(b"X-Forwarded-Host", only(Kind::ForwardedHost).unwrap_or(host), out);
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
