//! A request as a door read it: borrowed bytes, nothing decoded.

/// One header line, name and value as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name in the client's spelling.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
}

/// A request, whole or as far as a door lets it be inspected.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method token.
    pub method: &'a [u8],
    /// The target in origin form: path and query, still encoded.
    pub target: &'a [u8],
    /// The header lines in their order.
    pub headers: &'a [Header<'a>],
    /// The body without its framing; empty where there is none.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The host it asks for, by its first `Host`; empty where it names none.
    pub fn host(&self) -> &'a [u8] {
        let host = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"host"));
        host.map_or(&[], |header| header.value)
    }
}
