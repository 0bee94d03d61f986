//! Header lines as places in a buffer, and which of them the gateway itself acts on.

use super::chunked::is_token;

/// Header lines in one head at the most, whatever is configured.
pub(super) const MAX_FIELDS: usize = 256;

/// A place in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Span {
    /// Where `part` lies in `whole`, of which it is a slice.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let inside = start.checked_add(part.len()).is_some_and(|end| end <= whole.len());
        if inside { Self { start, len: part.len() } } else { Self::default() }
    }

    /// The bytes at this place of `whole`.
    pub(super) fn at(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) kind: Kind,
}

/// What a header line means to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it is passed on as it is.
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Accept,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    /// Another word on where a request came from, which only a trusted proxy may speak.
    Forwarded,
    RealIp,
    Upgrade,
    WebSocketKey,
    WebSocketVersion,
    /// Meant for this connection alone, or ours: never passed on.
    Dropped,
}

impl Kind {
    /// The kind of a header called `name`.
    ///
    /// `_` is read as `-`, as gateways behind us may (CGI does): a name that only looks like one of
    /// these is never passed on.
    pub(super) fn of(name: &[u8]) -> Self {
        let candidates: &[(&str, Self)] = match name.len() {
            2 => &[("te", Self::Dropped)],
            4 => &[("host", Self::Host)],
            6 => &[("accept", Self::Accept), ("expect", Self::Expect)],
            7 => &[("upgrade", Self::Upgrade), ("trailer", Self::Dropped)],
            9 => &[("x-real-ip", Self::RealIp), ("forwarded", Self::Dropped)],
            10 => &[("connection", Self::Connection), ("keep-alive", Self::Dropped)],
            14 => &[("content-length", Self::ContentLength), ("http2-settings", Self::Dropped)],
            15 => &[("x-forwarded-for", Self::ForwardedFor)],
            16 => &[("x-forwarded-host", Self::ForwardedHost), ("proxy-connection", Self::Dropped)],
            17 => &[
                ("transfer-encoding", Self::TransferEncoding),
                ("x-forwarded-proto", Self::ForwardedProto),
                ("sec-websocket-key", Self::WebSocketKey),
            ],
            18 => &[("proxy-authenticate", Self::Dropped)],
            19 => &[("proxy-authorization", Self::Dropped)],
            21 => &[("sec-websocket-version", Self::WebSocketVersion)],
            _ => &[],
        };
        if let Some(&(_, kind)) = candidates.iter().find(|(known, _)| reads_as(name, known)) {
            return kind;
        }
        if name.len() > 11 && matches!(name.first(), Some(b'x' | b'X')) {
            if reads_as(&name[..12], "x-forwarded-") {
                return Self::Forwarded;
            }
            if reads_as(&name[..12], "x-skyshield-") {
                return Self::Dropped;
            }
        }
        Self::Other
    }
}

fn reads_as(name: &[u8], known: &str) -> bool {
    name.len() == known.len()
        && name
            .iter()
            .zip(known.bytes())
            .all(|(&byte, known)| byte.to_ascii_lowercase() == known || (byte == b'_' && known == b'-'))
}

/// What a `Connection` header's value asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent wishes, any of which may be spoken")]
pub(super) struct Wishes {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Other header lines are named in it.
    pub(super) names: bool,
}

impl Wishes {
    pub(super) fn add(&mut self, value: &[u8]) {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !token.is_empty() {
                self.names = true;
            }
        }
    }
}

/// Marks as dropped whatever a `Connection` line in `fields` names, but never what frames, routes or
/// attributes a message: no client takes those away.
pub(super) fn drop_named(head: &[u8], fields: &mut [Field]) {
    for at in 0..fields.len() {
        if fields[at].kind != Kind::Connection {
            continue;
        }
        let names = fields[at].value;
        for token in tokens(names.at(head)) {
            for field in &mut *fields {
                let passed_on = matches!(field.kind, Kind::Other | Kind::Accept | Kind::Forwarded);
                if passed_on && field.name.at(head).eq_ignore_ascii_case(token) {
                    field.kind = Kind::Dropped;
                }
            }
        }
    }
}

/// The elements of a comma-separated list, without the white space around them.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// `value` without surrounding spaces and tabs.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether all of `bytes`, and there are some, may stand in a header's name.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token(byte))
}
