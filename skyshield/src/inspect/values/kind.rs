//! What a body is, by its type or by its looks.

use crate::inspect::{Header, Request, form, json};

/// How a body is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Form,
    Json,
    Multipart,
    GraphQl,
    Text,
    Binary,
}

impl BodyKind {
    /// By content type; by its looks where the type says nothing, since applications look as well.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let kind = types(request).next().unwrap_or_default();
        let kind =
            kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        if kind.starts_with(MULTIPART) {
            return Self::Multipart;
        }
        if kind.ends_with(b"/x-www-form-urlencoded") {
            return Self::Form;
        }
        if kind.ends_with(b"json") || json::looks_like_json(request.body) {
            return Self::Json;
        }
        if kind.ends_with(b"/graphql") {
            return Self::GraphQl;
        }
        if is_binary(&kind) {
            return Self::Binary;
        }
        let is_text = kind.starts_with(b"text/") || kind.ends_with(b"xml");
        if !is_text && looks_binary(request.body) {
            return Self::Binary;
        }
        let is_vague = kind.is_empty() || kind == b"text/plain" || kind == b"*/*";
        if is_vague && form::looks_like_form(request.body) { Self::Form } else { Self::Text }
    }
}

const MULTIPART: &[u8] = b"multipart/";

/// What the request says of its body's type, in each of its lines.
pub(super) fn types<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> {
    let named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(b"content-type");
    request.headers.iter().filter(named).map(|header| header.value)
}

/// Whether some line of it says multipart.
pub(super) fn says_multipart(request: &Request<'_>) -> bool {
    let says = |window: &[u8]| window.eq_ignore_ascii_case(MULTIPART);
    types(request).any(|kind| kind.windows(MULTIPART.len()).any(says))
}

/// Whether bodies of this type are no text to whoever reads them. SVG is: it is XML.
fn is_binary(kind: &[u8]) -> bool {
    const STARTS: [&[u8]; 9] = [
        b"image/",
        b"video/",
        b"audio/",
        b"font/",
        b"application/octet-stream",
        b"application/zip",
        b"application/gzip",
        b"application/pdf",
        b"application/x-protobuf",
    ];
    !kind.ends_with(b"xml") && STARTS.iter().any(|start| kind.starts_with(start))
}

/// Whether a body opens with more control characters than any text has.
fn looks_binary(body: &[u8]) -> bool {
    let head = &body[..body.len().min(512)];
    let controls = head.iter().filter(|byte| matches!(byte, 0..=8 | 0x0e..=0x1f)).count();
    controls * 32 > head.len()
}
