//! What fuzzers hold each part of inspection to: any bytes are read without a panic, within what was
//! paid for, and what is handed on lies in what came in.
#![expect(clippy::missing_panics_doc, clippy::expect_used, reason = "a panic is how a fuzzer is told")]

use super::budget::Budget;
use super::content;
use super::decode::{self, Encoding, base64};
use super::inspector::Inspector;
use super::limits::Limits;
use super::{Header, Inspection, Request, form, graphql, json, multipart, own, values};

/// Every reading of a value.
pub fn decoders(bytes: &[u8]) {
    let limits = Limits::default();
    for encoding in [Encoding::Plain, Encoding::Percent, Encoding::Form] {
        let read = |steps| {
            let mut budget = Budget::new(&Limits { steps, ..limits.clone() });
            let (texts, cut) = decode::texts(bytes, encoding, limits.decode_depth, &mut budget);
            assert!(budget.spent() <= steps);
            assert!((1..=7).contains(&texts.len()));
            assert!(texts.iter().all(|text| text.bytes.len() <= bytes.len() * 2 + 8));
            (texts.into_iter().map(|text| text.bytes.into_owned()).collect::<Vec<_>>(), cut)
        };
        assert_eq!(read(limits.steps), read(limits.steps));
        read(bytes.len() as u64 * 5);
    }
    let decoded = base64::text(bytes, true);
    assert!(decoded.is_none() || base64::opens(bytes));
    assert!(decoded.is_none_or(|text| text.len() <= bytes.len()));
}

/// Forms and cookies.
pub fn pairs(bytes: &[u8]) {
    let mut total = 0;
    for (name, value) in form::pairs(bytes).chain(form::cookies(bytes)) {
        within(bytes, name);
        within(bytes, value);
        total += name.len() + value.len();
    }
    assert!(total <= bytes.len() * 2);
    form::looks_like_form(bytes);
}

/// JSON, valid or not.
pub fn strings(bytes: &[u8]) {
    for depth in [0, 1, 32] {
        let mut total = 0;
        json::strings(bytes, depth, |path, _, string| {
            assert!(path.len() <= 300, "a path of {} bytes", path.len());
            total += string.len();
            true
        });
        assert!(total <= bytes.len() * 2);
        json::strings(bytes, depth, |_, _, _| false);
    }
    json::looks_like_json(bytes);
}

/// Multipart bodies: the first line is the content type.
pub fn parts(bytes: &[u8]) {
    let (kind, body) = match memchr::memchr(b'\n', bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b""[..], bytes),
    };
    let limits = Limits::default();
    let mut budget = Budget::new(&limits);
    for reading in multipart::readings(body, std::iter::once(kind), &mut budget) {
        let mut total = 0;
        for piece in reading.pieces() {
            let text = match piece {
                multipart::Piece::Beside(text) | multipart::Piece::Part(text) => text,
            };
            within(body, text);
            total += text.len();
            let Some(part) = multipart::part(text, &mut budget) else { continue };
            part.names.iter().chain(&part.filenames).for_each(|name| within(body, name));
            within(body, part.content);
        }
        assert!(total <= body.len());
    }
    assert!(budget.spent() <= limits.steps);
}

/// Documents of GraphQL, or what looks like one.
pub fn documents(bytes: &[u8]) {
    let mut total = 0;
    graphql::read(bytes, |string| {
        total += string.len();
        true
    });
    assert!(total <= bytes.len() * 2);
    graphql::read(bytes, |_| false);
    graphql::looks_like_a_document(bytes);
}

/// A file of an operator's rules: what is wrong is told, and what is taken can be asked.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(written) = own::read(text) else { return };
    let mut draft = own::Draft::default();
    let origin = "fuzz.toml".into();
    for (span, rule) in written {
        assert!(span.end <= text.len());
        if let Err(what) = draft.add(rule, &origin) {
            assert!(!what.is_empty());
            return;
        }
    }
    let inspector = Inspector::without_built_in(Limits { own: draft.finish(), ..Limits::default() });
    let headers = [Header { name: b"content-type", value: b"text/plain" }];
    let request = Request { method: b"POST", target: b"/a?b=c", headers: &headers, body: bytes };
    let found = inspector.inspect_on("default", &request);
    assert_eq!(found, inspector.inspect_on("default", &request));
    assert!(inspector.steps(&request) <= inspector.limits().steps);
    assert_sound(&found, inspector.limits());
}

/// The values of a request whose body is of any type: the first byte chooses it.
pub fn body(bytes: &[u8]) {
    const KINDS: [&[u8]; 8] = [
        b"application/graphql",
        b"text/xml",
        b"application/json",
        b"multipart/form-data; boundary=b",
        b"application/x-www-form-urlencoded",
        b"",
        b"text/plain",
        b"image/png",
    ];
    let Some((kind, body)) = bytes.split_first() else { return };
    let headers = [Header { name: b"content-type", value: KINDS[usize::from(*kind) % KINDS.len()] }];
    let request = Request { method: b"POST", target: b"/", headers: &headers, body };
    let limits = Limits { values: 50, ..Limits::default() };
    let mut count = 0;
    values::walk(&request, &limits, &mut Budget::new(&limits), &mut |value, _| {
        assert!(!value.text.is_empty() && value.text.len() <= body.len() * 2 + 64);
        count += 1;
    });
    assert!(count <= limits.values);
}

/// Codings of bodies: the first byte chooses them.
pub fn codings(bytes: &[u8]) {
    const CODINGS: [&[u8]; 6] = [b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"deflate, zstd, x"];
    let Some((coding, body)) = bytes.split_first() else { return };
    let headers =
        [Header { name: b"content-encoding", value: CODINGS[usize::from(*coding) % CODINGS.len()] }];
    let request = Request { method: b"POST", target: b"/", headers: &headers, body };
    let config = content::Config::default();
    if let Some(content) = content::decoded(&request, &config, &mut Budget::new(&Limits::default())) {
        assert!(content.body.len() <= config.bytes);
    }
}

/// The whole: lines are the target, the headers and, after an empty one, the body.
#[derive(Debug)]
pub struct Engine {
    plenty: Inspector,
    hurried: Inspector,
}

impl Engine {
    /// Compiles the rules.
    pub fn new() -> Self {
        let hurried = Limits {
            steps: 40_000,
            values: 20,
            value_bytes: 100,
            grammar_bytes: 30,
            findings: 2,
            json_depth: 2,
            decode_depth: 1,
            ..Limits::default()
        };
        Self { plenty: Inspector::new(Limits::default()), hurried: Inspector::new(hurried) }
    }

    /// Inspects one request.
    pub fn inspect(&self, bytes: &[u8]) {
        let (head, body) = match memchr::memmem::find(bytes, b"\n\n") {
            Some(at) => (&bytes[..at], &bytes[at + 2..]),
            None => (bytes, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let target = lines.next().unwrap_or_default();
        let headers: Vec<_> = lines
            .map(|line| match memchr::memchr(b':', line) {
                Some(at) => Header { name: &line[..at], value: line[at + 1..].trim_ascii() },
                None => Header { name: b"content-type", value: line },
            })
            .collect();
        let request = Request { method: b"POST", target, headers: &headers, body };
        for inspector in [&self.plenty, &self.hurried] {
            let found = inspector.inspect(&request);
            assert_eq!(found, inspector.inspect(&request));
            assert!(inspector.steps(&request) <= inspector.limits().steps);
            assert_sound(&found, inspector.limits());
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

fn assert_sound(found: &Inspection, limits: &Limits) {
    assert!(found.findings.len() <= limits.findings);
    assert!(found.findings.is_sorted_by(|a, b| a.confidence >= b.confidence));
    for finding in &found.findings {
        assert!((0.0..=1.0).contains(&finding.confidence.value()));
        assert!(finding.matched.chars().count() <= limits.matched_chars);
        assert!(!finding.matched.chars().any(char::is_control));
    }
    for name in &found.limits_reached {
        assert!(super::LIMIT_NAMES.contains(name), "{name}");
    }
}

/// That `piece` is a part of `whole`, or empty.
fn within(whole: &[u8], piece: &[u8]) {
    let (whole, piece) = (whole.as_ptr_range(), piece.as_ptr_range());
    assert!(
        piece.is_empty() || (whole.start <= piece.start && piece.end <= whole.end),
        "a piece from elsewhere"
    );
}
