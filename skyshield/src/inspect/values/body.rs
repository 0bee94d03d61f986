//! A body taken apart: by its type, by its looks, and in the characters it may be written in.

use super::charset;
use super::kind::{self, BodyKind};
use super::repeated;
use super::{Parts, Walker, path_and_query};
use crate::inspect::budget;
use crate::inspect::decode::{self, Encoding};
use crate::inspect::limits::CHARSET;
use crate::inspect::multipart::{self, Piece};
use crate::inspect::{Request, form, json};

/// What UTF-8 may begin with.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

impl Walker<'_> {
    /// The values of a body, in each of the characters that it may be written in.
    pub(super) fn body(&mut self, request: &Request<'_>) {
        let body = request.body.strip_prefix(UTF8_MARK).unwrap_or(request.body);
        let request = &Request { body, ..*request };
        if body.is_empty() {
            return;
        }
        let kind = BodyKind::of(request);
        let charset = charset::of(request);
        // What stands in pairs and parts is written twice: its percent signs and heads in bytes, what they
        // hold in wider ones.
        let is_mixed = charset.is_declared_wide && matches!(kind, BodyKind::Form | BodyKind::Multipart);
        if (charset.is_unknown || is_mixed) && kind != BodyKind::Binary {
            self.budget.reach(CHARSET);
        }
        self.taken_apart(request, kind);
        for wide in charset.wide {
            if !self.budget.take_bytes(body.len(), budget::WIDE_BYTE) {
                return;
            }
            let body = wide.read(body);
            let request = Request { body: &body, ..*request };
            self.taken_apart(&request, BodyKind::of(&request));
        }
    }

    fn taken_apart(&mut self, request: &Request<'_>, kind: BodyKind) {
        let body = request.body;
        let price = match kind {
            BodyKind::Form | BodyKind::GraphQl | BodyKind::Text | BodyKind::Binary => budget::SPLIT_BYTE,
            BodyKind::Json => budget::JSON_BYTE,
            // Each way to read it has its price.
            BodyKind::Multipart => 0,
        };
        if !self.budget.take_bytes(body.len(), price) {
            return;
        }
        match kind {
            BodyKind::Form => {
                self.form(request);
                // An application that goes by the looks reads it otherwise than its type says.
                if json::looks_like_json(body) && self.budget.take_bytes(body.len(), budget::JSON_BYTE) {
                    self.json(body);
                } else if body.starts_with(b"--") && !kind::says_multipart(request) {
                    self.multipart(request);
                }
            }
            BodyKind::Json => {
                self.json(body);
                if form::looks_like_form(body) && self.budget.take_bytes(body.len(), budget::SPLIT_BYTE) {
                    self.form(request);
                }
            }
            BodyKind::Multipart => {
                self.multipart(request);
                if json::looks_like_json(body) && self.budget.take_bytes(body.len(), budget::JSON_BYTE) {
                    self.json(body);
                } else if form::looks_like_form(body)
                    && self.budget.take_bytes(body.len(), budget::SPLIT_BYTE)
                {
                    self.form(request);
                }
            }
            BodyKind::GraphQl => {
                self.value(Parts::FIELD, b"query", body, Encoding::Plain);
            }
            BodyKind::Text => {
                self.value(Parts::TEXT, b"", request.body, Encoding::Plain);
                if request.body.trim_ascii_start().first() == Some(&b'<') {
                    self.document(request.body);
                }
            }
            BodyKind::Binary => {
                self.value(Parts::FILE, b"", request.body, Encoding::Plain);
            }
        }
        // A second content type that an application may go by.
        if kind != BodyKind::Multipart && kind::says_multipart(request) {
            self.multipart(request);
        }
    }
}

impl Walker<'_> {
    /// The pairs of a form, and those that the query has too joined with them.
    fn form(&mut self, request: &Request<'_>) {
        let (_, query) = path_and_query(request.target);
        if self.pairs(Parts::FIELD, request.body) {
            let all = form::pairs(query).chain(form::pairs(request.body));
            let limits = self.limits;
            let see = |name: &[u8], value: &[u8]| self.value(Parts::FIELD, name, value, Encoding::Form);
            let reached = repeated::joined(all, limits, see);
            reached.into_iter().flatten().for_each(|bound| self.budget.reach(bound));
        }
    }

    fn json(&mut self, body: &[u8]) {
        let too_deep = json::strings(body, self.limits.json_depth, |path, _, string| {
            self.value(Parts::FIELD, path, string, Encoding::Plain)
        });
        if too_deep {
            self.budget.reach("json_depth");
        }
    }

    /// What stands between the tags of a document, each as a field: an application reads it as one.
    fn document(&mut self, body: &[u8]) {
        if !self.budget.take_bytes(body.len(), budget::DOCUMENT_BYTE) {
            return;
        }
        for piece in body.split(|byte| *byte == b'<').skip(1) {
            let Some(end) = memchr::memchr(b'>', piece) else { continue };
            let (tag, text) = (&piece[..end], piece[end + 1..].trim_ascii());
            let name = tag.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            let plain = decode::entities(text);
            if !self.value(Parts::FIELD, name, plain.as_deref().unwrap_or(text), Encoding::Plain) {
                return;
            }
        }
    }

    /// Fields as parameters, files as text, in each way that the body can be read. One that has no parts is
    /// read as text.
    fn multipart(&mut self, request: &Request<'_>) {
        let readings = multipart::readings(request.body, kind::types(request), self.budget);
        if readings.is_empty() {
            self.value(Parts::TEXT, b"", request.body, Encoding::Plain);
        }
        let mut pieces = readings.iter().flat_map(multipart::Reading::pieces);
        pieces.all(|piece| match piece {
            Piece::Beside(text) => self.value(Parts::TEXT, b"", text.trim_ascii(), Encoding::Plain),
            Piece::Part(text) => self.part(text),
        });
    }

    fn part(&mut self, text: &[u8]) -> bool {
        let Some(part) = multipart::part(text, self.budget) else { return false };
        let name = part.names.first().copied().unwrap_or_default();
        let places: &[Parts] = match part.kind {
            multipart::Kind::Field => &[Parts::FIELD],
            multipart::Kind::File => &[Parts::FILE],
            multipart::Kind::Either => &[Parts::FIELD, Parts::FILE],
        };
        part.names.iter().all(|name| self.value(Parts::FIELD, name, name, Encoding::Plain))
            && part
                .filenames
                .iter()
                .all(|filename| self.value(Parts::FILENAME, name, filename, Encoding::Percent))
            && places.iter().all(|place| self.value(*place, name, part.content, Encoding::Plain))
    }
}
