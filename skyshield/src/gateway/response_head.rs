//! The head of the upstream's response: a trust boundary too, parsed strictly and rebuilt.

use std::io::Write;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::field::{Kind, MAX_FIELDS, Wishes, tokens};
use super::framing::{Framing, FramingLines};
use super::security_headers::{Kept, SecurityHeaders};
use super::server_timing::ServerTiming;
use super::upstream::Failure;
use crate::limits::{Quota, quota_lines};

/// What the client asked for, as far as it shapes the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) bodiless: bool,
    pub(super) minor: u8,
    /// Whether we would serve another request on this connection.
    pub(super) keep_alive: bool,
    /// Whether the upstream was asked to switch to `WebSocket`.
    pub(super) switching: bool,
    /// The score to tell, where clients are told.
    pub(super) risk: Option<f64>,
    /// How long we held the request up, where the client is told.
    pub(super) held_up: Option<Duration>,
    /// What is left of the client's quota, where it has one.
    pub(super) quota: Option<&'a Quota>,
    pub(super) security: &'a SecurityHeaders,
}

/// How the end of a response's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// After this many bytes.
    Length(u64),
    /// By the chunked coding.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What a response's head came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// An interim one of no concern to the client.
    Interim,
    /// The upstream has switched to `WebSocket`.
    Switched,
    /// The final one.
    Final {
        /// Its status.
        status: u16,
        /// How the upstream ends the body.
        body: BodyEnd,
        /// Whether the body goes to the client in chunks.
        rechunk: bool,
        /// Whether the upstream connection may serve again.
        reuse: bool,
        /// Whether the client's may.
        keep_alive: bool,
        /// Whether the head speaks of a body that must not come.
        doubtful: bool,
        /// What the upstream tells of its own work.
        timing: ServerTiming,
    },
}

impl Response {
    /// What the upstream tells of its own work.
    pub(super) fn timing(self) -> ServerTiming {
        match self {
            Self::Final { timing, .. } => timing,
            Self::Interim | Self::Switched => ServerTiming::default(),
        }
    }
}

/// Parses `bytes`, the whole head of a response, and appends the head for the client to `out`.
pub(super) fn translate(bytes: &[u8], asked: Asked<'_>, out: &mut Vec<u8>) -> Result<Response, Failure> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let whole = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, bytes, &mut room)
        .is_ok_and(|status| matches!(status, httparse::Status::Complete(len) if len == bytes.len()));
    let (true, Some(status), Some(minor)) = (whole, parsed.code, parsed.version) else {
        return Err(Failure::Malformed);
    };
    match status {
        101 if asked.switching => return switched(parsed.headers, asked.security, out),
        // Nothing was asked to be switched to.
        ..100 | 101 | 600.. => return Err(Failure::Malformed),
        102..200 | 100 => return Ok(Response::Interim),
        200..600 => {}
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    let _infallible = write!(out, "{status} ");
    out.extend_from_slice(parsed.reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let seen = lines(parsed.headers, asked.security, out)?;
    let stated = seen.framing.settle(minor).map_err(|_| Failure::Malformed)?;
    let bodiless = asked.bodiless || status == 204 || status == 304;
    let body = match stated {
        _ if bodiless => BodyEnd::Length(0),
        Some(Framing::Length(length)) => BodyEnd::Length(length),
        Some(Framing::Chunked) => BodyEnd::Chunked,
        Some(Framing::None | Framing::Stream) | None => BodyEnd::Close,
    };
    let rechunk = !matches!(body, BodyEnd::Length(_)) && asked.minor > 0;
    let told = rechunk || matches!(body, BodyEnd::Length(_));
    let keep_alive = asked.keep_alive && told;
    if let (Some(Framing::Length(length)), true) = (stated, status != 204) {
        let _infallible = write!(out, "Content-Length: {length}\r\n");
    } else if rechunk {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    asked.security.write(seen.kept, out);
    if let Some(quota) = asked.quota {
        quota_lines(quota, out);
    }
    if let Some(risk) = asked.risk {
        let _infallible = write!(out, "X-SkyShield-Risk: {risk:.3}\r\n");
    }
    if let Some(held_up) = asked.held_up {
        let millis = held_up.as_secs_f64() * 1000.0;
        let _infallible = write!(out, "Server-Timing: skyshield;dur={millis:.3}\r\n");
    }
    match (keep_alive, asked.minor) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n\r\n"),
        (true, 0) => out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        (true, _) => out.extend_from_slice(b"\r\n"),
    }
    let upstream_stays = if minor == 0 { seen.wishes.keep_alive } else { true } && !seen.wishes.close;
    let doubtful = bodiless && !matches!(stated, None | Some(Framing::None | Framing::Length(0)));
    let reuse = upstream_stays && body != BodyEnd::Close && !(status == 204 && doubtful);
    Ok(Response::Final { status, body, rechunk, reuse, keep_alive, doubtful, timing: seen.timing })
}

/// Appends the head of an upstream's consent to what it was asked to switch to.
fn switched(
    headers: &[httparse::Header<'_>],
    security: &SecurityHeaders,
    out: &mut Vec<u8>,
) -> Result<Response, Failure> {
    let mut upgrades = headers.iter().filter(|header| kind_of(header) == Kind::Upgrade);
    let agreed = upgrades.next().is_some_and(|header| header.value.eq_ignore_ascii_case(b"websocket"));
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    let seen = lines(headers, security, out)?;
    let unframed = seen.framing.settle(1).is_ok_and(|framing| framing.is_none());
    if !agreed || upgrades.next().is_some() || !seen.wishes.upgrade || !unframed {
        return Err(Failure::Malformed);
    }
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Ok(Response::Switched)
}

#[derive(Default)]
struct Seen {
    framing: FramingLines,
    wishes: Wishes,
    kept: Kept,
    timing: ServerTiming,
}

/// Copies the header lines that are the client's to see.
fn lines(
    headers: &[httparse::Header<'_>],
    security: &SecurityHeaders,
    out: &mut Vec<u8>,
) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    for header in headers.iter().filter(|header| kind_of(header) == Kind::Connection) {
        seen.wishes.add(header.value);
    }
    for header in headers {
        let name = header.name.as_bytes();
        match kind_of(header) {
            Kind::ContentLength => {
                seen.framing.content_length(header.value).map_err(|_| Failure::Malformed)?;
                continue;
            }
            Kind::TransferEncoding => {
                seen.framing.transfer_encoding(header.value).map_err(|_| Failure::Malformed)?;
                continue;
            }
            Kind::Connection | Kind::Upgrade | Kind::Dropped => continue,
            Kind::WebSocketKey
            | Kind::WebSocketVersion
            | Kind::Other
            | Kind::Host
            | Kind::Expect
            | Kind::Accept
            | Kind::ForwardedFor
            | Kind::ForwardedProto
            | Kind::ForwardedHost
            | Kind::Forwarded
            | Kind::RealIp => {}
        }
        if name.len() == 13 && name.eq_ignore_ascii_case(b"server-timing") {
            seen.timing.read(header.value);
        }
        if !security.passes(name, &mut seen.kept) {
            continue;
        }
        if seen.wishes.names && is_named(name, headers) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(header.value);
        out.extend_from_slice(b"\r\n");
    }
    Ok(seen)
}

/// What a line of the upstream's means: here a name with `_` is just another name.
fn kind_of(header: &httparse::Header<'_>) -> Kind {
    let name = header.name.as_bytes();
    if memchr::memchr(b'_', name).is_some() { Kind::Other } else { Kind::of(name) }
}

fn is_named(name: &[u8], headers: &[httparse::Header<'_>]) -> bool {
    headers
        .iter()
        .filter(|header| kind_of(header) == Kind::Connection)
        .any(|header| tokens(header.value).any(|token| token.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::security_headers;

    fn translated(bytes: &str, bodiless: bool, minor: u8) -> Result<(Response, String), Failure> {
        let security = SecurityHeaders::new(&security_headers::Config::default());
        let asked = Asked {
            bodiless,
            minor,
            keep_alive: true,
            switching: false,
            risk: None,
            held_up: None,
            quota: None,
            security: &security,
        };
        let mut out = Vec::new();
        let response = translate(bytes.as_bytes(), asked, &mut out)?;
        Ok((response, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn how_a_response_ends_is_read_in_one_way_or_not_at_all() {
        use BodyEnd::{Chunked, Close, Length};
        for (what, head, bodiless, expected) in [
            ("length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, Ok((Length(3), true))),
            ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Ok((Chunked, true))),
            ("until the end", "HTTP/1.1 200 OK\r\n\r\n", false, Ok((Close, false))),
            ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, Ok((Length(3), false))),
            (
                "HTTP/1.0 that stays",
                "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
                false,
                Ok((Length(3), true)),
            ),
            (
                "asked to close",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
                false,
                Ok((Length(3), false)),
            ),
            (
                "204 with a length",
                "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
                false,
                Ok((Length(0), false)),
            ),
            (
                "a name that only looks like one",
                "HTTP/1.1 200 OK\r\nContent_Length: 3\r\n\r\n",
                false,
                Ok((Close, false)),
            ),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, Ok((Length(0), true))),
            (
                "HEAD, chunked",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
                Ok((Length(0), true)),
            ),
            ("204", "HTTP/1.1 204 No Content\r\n\r\n", false, Ok((Length(0), true))),
            (
                "304 with the length it would have",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
                false,
                Ok((Length(0), true)),
            ),
            ("no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, Ok((Length(0), true))),
            (
                "CL and TE",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
                Err(Failure::Malformed),
            ),
            (
                "two CL",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
                false,
                Err(Failure::Malformed),
            ),
            ("CL list", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", false, Err(Failure::Malformed)),
            (
                "unknown TE",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                false,
                Err(Failure::Malformed),
            ),
            (
                "TE in HTTP/1.0",
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
                Err(Failure::Malformed),
            ),
            ("unasked switch", "HTTP/1.1 101 Switching\r\n\r\n", false, Err(Failure::Malformed)),
            ("no status", "HTTP/1.1 OK\r\n\r\n", false, Err(Failure::Malformed)),
            ("status 99", "HTTP/1.1 099 X\r\n\r\n", false, Err(Failure::Malformed)),
            ("status 700", "HTTP/1.1 700 X\r\n\r\n", false, Err(Failure::Malformed)),
            ("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", false, Err(Failure::Malformed)),
            ("not HTTP", "SSH-2.0-x\r\n\r\n", false, Err(Failure::Malformed)),
            ("folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", false, Err(Failure::Malformed)),
            (
                "space before colon",
                "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
                false,
                Err(Failure::Malformed),
            ),
        ] {
            let outcome = translated(head, bodiless, 1).map(|(response, _)| match response {
                Response::Final { body, reuse, .. } => (body, reuse),
                Response::Interim | Response::Switched => panic!("{what}: not final"),
            });
            assert_eq!(outcome, expected, "{what}");
        }
        assert_eq!(
            translated("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", false, 1).unwrap().0,
            Response::Interim
        );
    }

    #[test]
    fn security_headers_are_ours_and_a_policy_is_the_sites_where_it_has_one() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-frame-options: ALLOWALL\r\nServer: s\r\n\
            X-SkyShield-Risk: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Security-Policy: default-src *\r\n\r\n";
        let (_, out) = translated(head, false, 1).unwrap();
        assert_eq!(
            out,
            "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Security-Policy: default-src *\r\nContent-Length: 0\r\n\
             X-Frame-Options: DENY\r\nX-XSS-Protection: 1; mode=block\r\nX-Content-Type-Options: nosniff\r\n\r\n"
        );
        let (_, out) = translated("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 0).unwrap();
        assert!(out.contains("\r\nContent-Security-Policy: object-src 'none'"), "{out}");
        assert!(out.ends_with("\r\nConnection: keep-alive\r\n\r\n"), "{out}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            lines in proptest::collection::vec("[!-~]{0,16}:? ?[ -~]{0,16}(\r\n|\n|)", 0..8),
            noise in proptest::collection::vec((0usize..200, proptest::prelude::any::<u8>()), 0..4),
        ) {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n", lines.concat()).into_bytes();
            for (at, byte) in noise {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let security = SecurityHeaders::new(&security_headers::Config::default());
            let asked = Asked { bodiless: false, minor: 1, keep_alive: true, switching: false, risk: None, held_up: None, quota: None, security: &security };
            let mut out = Vec::new();
            let _any = translate(&bytes, asked, &mut out);
        }
    }
}
