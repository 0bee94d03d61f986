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
        let named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(b"content-type");
        let kind = request.headers.iter().find(named).map_or(&[][..], |header| header.value);
        let kind =
            kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        if kind.ends_with(b"/x-www-form-urlencoded") {
            return Self::Form;
        }
        if kind.ends_with(b"json") || json::looks_like_json(request.body) {
            return Self::Json;
        }
        if kind.starts_with(b"multipart/") {
            return Self::Multipart;
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
