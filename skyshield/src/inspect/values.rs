//! Where the values of a request are: path, query, headers, cookies, body.

mod body;
mod charset;
mod kind;
mod matrix;
mod repeated;

use super::budget::{self, Budget};
use super::byteset::bits;
use super::decode::{Encoding, base64};
use super::limits::Limits;
use super::{Header, Request, form};

/// A set of parts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts(u16);

impl Parts {
    pub(super) const NONE: Self = Self(0);
    pub(super) const PATH: Self = Self(1);
    /// Names and values of the query.
    pub(super) const QUERY: Self = Self(2);
    /// Names and values of a form or JSON body.
    pub(super) const FIELD: Self = Self(4);
    /// A body as one text.
    pub(super) const TEXT: Self = Self(8);
    pub(super) const COOKIE: Self = Self(16);
    /// Headers that browsers fill: their odd bytes are honest.
    pub(super) const BROWSER: Self = Self(32);
    /// All other headers.
    pub(super) const HEADER: Self = Self(64);

    /// An uploaded file, or a body of a binary type: what it holds is seldom acted on.
    pub(super) const FILE: Self = Self(128);
    /// The name a client gives an uploaded file.
    pub(super) const FILENAME: Self = Self(256);

    /// What the client calls itself.
    pub(super) const AGENT: Self = Self(512);

    /// The page that a client says it comes from.
    pub(super) const REFERER: Self = Self(1024);

    /// A segment of the path that holds what a statement is made of.
    pub(super) const SEGMENT: Self = Self(2048);

    /// The name that a client logs in by, in `Authorization: Basic`.
    pub(super) const LOGIN: Self = Self(4096);

    pub(super) const PARAMS: Self = Self(2 | 4 | 4096);
    pub(super) const INPUT: Self = Self(1 | 2 | 4 | 8 | 256 | 4096);
    /// What a client sends along with each request, and applications keep.
    pub(super) const SENT: Self = Self(16 | 64 | 512 | 1024);
    pub(super) const ALL: Self = Self(127 | 256 | 512 | 1024 | 4096);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// How many parts there are.
    pub(super) const COUNT: usize = 13;

    /// The parts in the set, each as its number.
    pub(super) fn numbers(self) -> impl Iterator<Item = usize> {
        bits(self.0.into())
    }
}

/// One value, as it stood in the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) part: Parts,
    /// Of the parameter, the header, the cookie or the field.
    pub(super) name: &'a [u8],
    pub(super) text: &'a [u8],
    pub(super) encoding: Encoding,
}

/// Calls `see` with each value of `request`, as far as `limits` let it.
pub(super) fn walk(
    request: &Request<'_>,
    limits: &Limits,
    budget: &mut Budget,
    see: &mut dyn FnMut(Value<'_>, &mut Budget),
) {
    let mut walker = Walker { limits, budget, see };
    let (path, query) = path_and_query(request.target);
    walker.value(Parts::PATH, b"", path, Encoding::Percent);
    for segment in path.split(|byte| *byte == b'/').filter(|segment| may_state(segment)) {
        walker.value(Parts::SEGMENT, b"", segment, Encoding::Percent);
    }
    for (name, value) in matrix::parameters(path) {
        walker.value(Parts::QUERY, name, value, Encoding::Percent);
    }
    walker.pairs(Parts::QUERY, query);
    let reached = repeated::joined(form::pairs(query), limits, |name, value| {
        walker.value(Parts::QUERY, name, value, Encoding::Form)
    });
    reached.into_iter().flatten().for_each(|bound| walker.budget.reach(bound));
    for header in request.headers {
        walker.header(*header);
    }
    walker.body(request);
}

/// The same with nothing but the body: by its type, or as the bytes of a file.
pub(super) fn walk_body(
    request: &Request<'_>,
    as_file: bool,
    limits: &Limits,
    budget: &mut Budget,
    see: &mut dyn FnMut(Value<'_>, &mut Budget),
) {
    let mut walker = Walker { limits, budget, see };
    if as_file {
        walker.value(Parts::FILE, b"", request.body, Encoding::Plain);
    } else {
        walker.body(request);
    }
}

/// What stands before the first question mark, and what behind it.
fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[]),
    }
}

struct Walker<'w> {
    limits: &'w Limits,
    budget: &'w mut Budget,
    see: &'w mut dyn FnMut(Value<'_>, &mut Budget),
}

impl Walker<'_> {
    /// Hands on one value; false when there may be no more.
    fn value(&mut self, part: Parts, name: &[u8], text: &[u8], encoding: Encoding) -> bool {
        if text.is_empty() {
            return true;
        }
        let (limit, most) = match part {
            Parts::FILE => ("file_bytes", self.limits.file_bytes),
            _ => ("value_bytes", self.limits.value_bytes),
        };
        let text = match text.get(..most) {
            Some(head) if head.len() < text.len() => {
                self.budget.reach(limit);
                head
            }
            _ => text,
        };
        if !self.budget.take_value(text.len()) {
            return false;
        }
        (self.see)(Value { part, name, text, encoding }, self.budget);
        true
    }

    fn pairs(&mut self, part: Parts, text: &[u8]) -> bool {
        form::pairs(text).all(|(name, value)| {
            self.value(part, name, name, Encoding::Form) && self.value(part, name, value, Encoding::Form)
        })
    }

    fn header(&mut self, header: Header<'_>) {
        if header.name.eq_ignore_ascii_case(b"cookie") {
            form::cookies(header.value).all(|(name, value)| {
                self.value(Parts::COOKIE, name, name, Encoding::Percent)
                    && self.value(Parts::COOKIE, name, value, Encoding::Percent)
            });
            return;
        }
        if header.name.eq_ignore_ascii_case(b"authorization") {
            self.login(header);
        }
        let part = match header.name {
            name if name.eq_ignore_ascii_case(b"user-agent") => Parts::AGENT,
            name if name.eq_ignore_ascii_case(b"referer") => Parts::REFERER,
            name if is_browsers(name) => Parts::BROWSER,
            _ => Parts::HEADER,
        };
        self.value(part, header.name, header.value, Encoding::Percent);
    }

    /// Name and password of a login that is sent along.
    fn login(&mut self, header: Header<'_>) {
        const SCHEME: &[u8] = b"basic ";
        let Some((scheme, coded)) = header.value.split_at_checked(SCHEME.len()) else { return };
        let is_paid =
            scheme.eq_ignore_ascii_case(SCHEME) && self.budget.take_bytes(coded.len(), budget::BASE64_BYTE);
        let Some(text) = is_paid.then(|| base64::text(coded.trim_ascii(), true)).flatten() else { return };
        let (name, password) = match memchr::memchr(b':', &text) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (&*text, &[][..]),
        };
        // What a password holds is for nobody to read, and may be any signs.
        if self.value(Parts::LOGIN, header.name, name, Encoding::Plain) {
            self.value(Parts::HEADER, header.name, password, Encoding::Plain);
        }
    }
}

/// Whether a segment of a path holds a quote, a parenthesis or white space, encoded or not: what is looked
/// up by it is a name or a number, and seldom has any.
fn may_state(segment: &[u8]) -> bool {
    let is_sign = |byte: &u8| b"'\"( ".contains(byte);
    let is_code = |pair: &[u8]| matches!(pair, [b'%', b'0' | b'2' | b'u' | b'U']);
    segment.iter().any(is_sign) || segment.windows(2).any(is_code)
}

fn is_browsers(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"origin",
        b"host",
        b"if-none-match",
        b"if-modified-since",
        b"content-type",
        b"cache-control",
        b"authorization",
        b"x-client-data",
    ];
    let starts =
        |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) || starts(b"accept") || starts(b"sec-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, headers: &[(&str, &str)], body: &str) -> Vec<(u16, String, String)> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let request =
            Request { method: b"POST", target: target.as_bytes(), headers: &headers, body: body.as_bytes() };
        let limits = Limits::default();
        let mut seen = Vec::new();
        walk(&request, &limits, &mut Budget::new(&limits), &mut |value, _| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            seen.push((value.part.0, text(value.name), text(value.text)));
        });
        seen
    }

    fn row(part: Parts, name: &str, text: &str) -> (u16, String, String) {
        (part.0, name.into(), text.into())
    }

    #[test]
    fn every_part_of_a_request_is_walked() {
        let seen = read("/a?b=c", &[("Cookie", "d=e"), ("User-Agent", "f"), ("X-Own", "g")], "h=i");
        let expected = [
            row(Parts::PATH, "", "/a"),
            row(Parts::QUERY, "b", "b"),
            row(Parts::QUERY, "b", "c"),
            row(Parts::COOKIE, "d", "d"),
            row(Parts::COOKIE, "d", "e"),
            row(Parts::AGENT, "User-Agent", "f"),
            row(Parts::HEADER, "X-Own", "g"),
            row(Parts::FIELD, "h", "h"),
            row(Parts::FIELD, "h", "i"),
        ];
        assert_eq!(seen, expected);
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn parameters_in_the_path_and_those_that_come_twice_are_walked() {
        let seen = read("/a;b=c/d?e=1&e=2", &[("content-type", FORM)], "e=3");
        for (part, name, text) in [
            (Parts::PATH, "", "/a;b=c/d"),
            (Parts::QUERY, "b", "c"),
            (Parts::QUERY, "e", "1,2"),
            (Parts::FIELD, "e", "3"),
            (Parts::FIELD, "e", "1,2,3"),
        ] {
            assert!(seen.contains(&row(part, name, text)), "{text}: {seen:?}");
        }
    }

    #[test]
    fn a_body_is_taken_apart_by_its_type_or_its_looks() {
        let rows = [
            ("typed JSON", "application/problem+json", "{\"a\":\"b\"}", Parts::FIELD, "b"),
            ("JSON by its looks", "text/plain", "{\"a\":\"b\"}", Parts::FIELD, "b"),
            ("a typed form", "application/x-www-form-urlencoded; charset=utf-8", "a=b", Parts::FIELD, "b"),
            ("text", "text/plain", "Dear all", Parts::TEXT, "Dear all"),
            ("JSON under a form's type", FORM, "{\"a\":\"b\"}", Parts::FIELD, "b"),
            ("a form under JSON's type", "application/json", "a=b", Parts::FIELD, "b"),
            ("a form under multipart's type", "multipart/form-data", "a=b", Parts::FIELD, "b"),
            ("a GraphQL document", "application/graphql", "{ a }", Parts::FIELD, "{ a }"),
            ("a document, piece by piece", "text/xml", "<a>b</a>", Parts::FIELD, "b"),
        ];
        for (what, kind, body, part, text) in rows {
            let seen = read("/", &[("content-type", kind)], body);
            let last = seen.last().expect("a body has a value");
            assert_eq!((last.0, last.2.as_str()), (part.0, text), "{what}");
        }
    }
}
