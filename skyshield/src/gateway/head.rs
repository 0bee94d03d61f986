//! The head of a request: found, parsed once, and held to what every server reads alike.

use std::mem::MaybeUninit;

use memchr::{memchr, memchr_iter};

use super::chunked::is_token;
use super::field::{Field, Kind, MAX_FIELDS, Span, Wishes, drop_named};
use super::framing::{Framing, FramingLines};
use super::guard::Cause;
use super::opening::Opening;

/// How far the search for the end of a head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The end is not among these bytes.
    Partial,
    /// The head is this many bytes, the empty line among them.
    Complete(usize),
}

/// Looks for the end of a head in `bytes`, the first `from` of which were looked at before.
pub(super) fn scan(bytes: &[u8], from: usize) -> Result<Scan, Cause> {
    for at in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
        let line_end = from + at;
        let before = bytes.get(..line_end).unwrap_or_default();
        if before.last() != Some(&b'\r') {
            return Err(Cause::LineEnd);
        }
        if before.ends_with(b"\r\n\r") {
            return Ok(Scan::Complete(line_end + 1));
        }
    }
    Ok(Scan::Partial)
}

/// A parsed head: places in the buffer that holds it, from the head's first byte on.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers, each read where it matters")]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) method: Span,
    /// In origin form, whatever form it came in.
    pub(super) target: Span,
    /// The minor version of HTTP/1.
    pub(super) minor: u8,
    pub(super) fields: Vec<Field>,
    /// Missing in HTTP/1.0 only.
    pub(super) host: Option<Span>,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) prefers_json: bool,
    /// The response has no body, whatever its head says.
    pub(super) bodiless: bool,
    /// It is a whole opening of a `WebSocket`, by RFC 6455.
    pub(super) opens_websocket: bool,
    /// Sending it twice does no more than sending it once.
    pub(super) is_idempotent: bool,
}

impl Head {
    /// Forgets the last request, before anything is known of the next.
    pub(super) fn reset(&mut self) {
        self.fields.clear();
        self.minor = 1;
        (self.bodiless, self.prefers_json) = (false, false);
    }

    /// Parses `bytes`, a whole head of at most `max_fields` header lines.
    ///
    /// An absolute target is turned into origin form where it stands.
    pub(super) fn parse(&mut self, bytes: &mut [u8], max_fields: usize) -> Result<(), Cause> {
        self.reset();
        self.lines(bytes, max_fields)?;
        self.meanings(bytes)?;
        self.origin_form(bytes)
    }

    fn lines(&mut self, bytes: &[u8], max_fields: usize) -> Result<(), Cause> {
        // The parser passes over empty lines; how many of them may be is not its to decide.
        if !bytes.first().copied().is_some_and(is_token) {
            return Err(Cause::RequestLine);
        }
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let room = &mut room[..max_fields.min(MAX_FIELDS)];
        let status = parsed.parse_with_uninit_headers(bytes, room).map_err(|error| cause_of(error, bytes))?;
        if !matches!(status, httparse::Status::Complete(len) if len == bytes.len()) {
            return Err(Cause::HeaderLine);
        }
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Cause::RequestLine);
        };
        self.len = bytes.len();
        self.method = Span::of(method.as_bytes(), bytes);
        self.target = Span::of(target.as_bytes(), bytes);
        self.minor = minor;
        self.fields.extend(parsed.headers.iter().map(|header| Field {
            name: Span::of(header.name.as_bytes(), bytes),
            value: Span::of(header.value, bytes),
            kind: Kind::of(header.name.as_bytes()),
        }));
        Ok(())
    }

    fn meanings(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let method = self.method.at(bytes);
        match method {
            b"CONNECT" | b"TRACE" => return Err(Cause::Method),
            _ => {}
        }
        self.bodiless = method == b"HEAD";
        self.is_idempotent = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE");
        (self.host, self.expects_continue) = (None, false);
        let mut framing = FramingLines::default();
        let mut wishes = Wishes::default();
        let mut opening = Opening::default();
        let mut hosts = 0;
        for field in &mut self.fields {
            if field.kind == Kind::Other {
                continue;
            }
            let value = field.value.at(bytes);
            let disguised = memchr(b'_', field.name.at(bytes)).is_some();
            match field.kind {
                Kind::ContentLength | Kind::TransferEncoding if disguised => return Err(Cause::Framing),
                Kind::Host if disguised => return Err(Cause::Host),
                _ if disguised => field.kind = Kind::Dropped,
                Kind::ContentLength => framing.content_length(value)?,
                Kind::TransferEncoding => framing.transfer_encoding(value)?,
                Kind::Host => {
                    hosts += 1;
                    self.host = Some(field.value);
                }
                Kind::Connection => wishes.add(value),
                Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                    self.expects_continue = self.minor > 0;
                }
                Kind::Expect => return Err(Cause::Expectation),
                Kind::Accept => self.prefers_json = prefers_json(value),
                Kind::Upgrade => opening.protocol(value),
                Kind::WebSocketKey => opening.key(value),
                Kind::WebSocketVersion => opening.version(value),
                Kind::Other
                | Kind::ForwardedFor
                | Kind::ForwardedProto
                | Kind::ForwardedHost
                | Kind::Forwarded
                | Kind::RealIp
                | Kind::Dropped => {}
            }
        }
        let host = self.host.map(|host| host.at(bytes));
        if hosts > 1 || !host.map_or(self.minor == 0, is_host) {
            return Err(Cause::Host);
        }
        self.framing = framing.settle(self.minor)?.unwrap_or_default();
        self.keep_alive = if self.minor == 0 { wishes.keep_alive && !wishes.close } else { !wishes.close };
        self.opens_websocket = self.minor > 0
            && method == b"GET"
            && self.framing == Framing::None
            && wishes.upgrade
            && opening.is_whole();
        if wishes.names {
            drop_named(bytes, &mut self.fields);
        }
        Ok(())
    }

    fn origin_form(&mut self, bytes: &mut [u8]) -> Result<(), Cause> {
        let target = self.target.at(bytes);
        if target.iter().any(|&byte| !matches!(byte, b'!'..=b'~') || byte == b'#') {
            return Err(Cause::Target);
        }
        if target.first() == Some(&b'/') || (target == b"*" && self.method.at(bytes) == b"OPTIONS") {
            return Ok(());
        }
        let authority_at = ["http://", "https://"].into_iter().map(str::as_bytes).find_map(|scheme| {
            let start = target.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
        });
        let authority_at = authority_at.ok_or(Cause::Target)?;
        let rest = target.get(authority_at..).unwrap_or_default();
        let authority_len = rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let authority = rest.get(..authority_len).unwrap_or_default();
        if !self.host.is_some_and(|host| authority.eq_ignore_ascii_case(host.at(bytes))) {
            return Err(Cause::Authority);
        }
        let mut path_at = self.target.start + authority_at + authority_len;
        let target_end = self.target.start + self.target.len;
        if bytes.get(path_at) != Some(&b'/') {
            // No path: it is the root, and the authority's last byte, compared by now, makes room for it.
            path_at -= 1;
            if let Some(byte) = bytes.get_mut(path_at) {
                *byte = b'/';
            }
        }
        self.target = Span { start: path_at, len: target_end - path_at };
        Ok(())
    }
}

/// What is wrong with a head of which only a part has come, if that can be told already.
pub(super) fn early_problem(bytes: &[u8]) -> Option<Cause> {
    memchr(b'\n', bytes)?;
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    parsed.parse_with_uninit_headers(bytes, &mut room).err().map(|error| cause_of(error, bytes))
}

fn cause_of(error: httparse::Error, bytes: &[u8]) -> Cause {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Cause::HeaderLine,
        httparse::Error::NewLine => Cause::LineEnd,
        httparse::Error::TooManyHeaders => Cause::TooManyHeaders,
        httparse::Error::Version if names_a_version(bytes) => Cause::Version,
        httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => Cause::RequestLine,
    }
}

/// Whether the request line ends in a well-formed version: then it is one we do not serve.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.get(..memchr(b'\r', bytes).unwrap_or(0)).unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2);
    words.next().is_none()
        && matches!(version, Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']))
}

/// Whether `host` is a name or an address, with a port or without.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = if host.first() == Some(&b'[') {
        let Some(end) = memchr(b']', host) else { return false };
        let address = host.get(1..end).unwrap_or_default();
        let address =
            std::str::from_utf8(address).ok().and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        if address.is_none() {
            return false;
        }
        (&b"v6"[..], host.get(end + 1..).unwrap_or_default())
    } else {
        host.split_at(memchr(b':', host).unwrap_or(host.len()))
    };
    let name_is_one = !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
    let port_is_one = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_one && port_is_one
}

fn prefers_json(accept: &[u8]) -> bool {
    let text = String::from_utf8_lossy(accept);
    let html = text.find("text/html");
    ["application/json", "application/problem+json"]
        .iter()
        .filter_map(|json| text.find(json))
        .any(|json| html.is_none_or(|html| json < html))
}

#[cfg(test)]
mod tests;
