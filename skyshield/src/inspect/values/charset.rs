//! In which characters a body is written: what is wider than a byte is read as what it stands for.

use crate::inspect::Request;

use super::kind;

/// How a body is written where a character takes more than a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    /// UTF-16, the greater byte of two first, or the lesser.
    Two { big: bool },
    /// UTF-32, likewise.
    Four { big: bool },
}

/// What is told of the characters of a body, by its type, its first bytes and its own first line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Charset {
    /// The ways to read it beside bytes as they are.
    pub(super) wide: Vec<Wide>,
    /// Its type or its first line says that it is written so.
    pub(super) is_declared_wide: bool,
    /// It may be in characters that are not read at all, and in which ASCII is other bytes.
    pub(super) is_unknown: bool,
}

/// How names, in lower case, of characters begin in which ASCII is itself. Of some the second byte of a pair
/// may be a sign: what a rule looks for stands in single bytes.
const PLAIN: [&[u8]; 38] = [
    b"utf-8",
    b"utf8",
    b"utf_8",
    b"unicode-1-1-utf-8",
    b"us-ascii",
    b"ascii",
    b"ansi",
    b"binary",
    b"iso-8859-",
    b"iso8859",
    b"iso_8859",
    b"latin",
    b"l1",
    b"windows-125",
    b"windows-874",
    b"windows-932",
    b"windows-936",
    b"windows-949",
    b"windows-31j",
    b"cp125",
    b"cp437",
    b"cp85",
    b"cp866",
    b"cp874",
    b"cp932",
    b"cp936",
    b"cp949",
    b"cp950",
    b"ibm850",
    b"ibm866",
    b"koi8-",
    b"mac",
    b"euc-",
    b"gb",
    b"big5",
    b"shift",
    b"sjis",
    b"tis-620",
];

/// What is told of the body of `request`.
pub(super) fn of(request: &Request<'_>) -> Charset {
    let mut charset = Charset::default();
    if let Some(wide) = by_looks(request.body) {
        charset.wide.push(wide);
    }
    // `Lo§"`: how `<?xm` begins where letters are EBCDIC's.
    charset.is_unknown = request.body.starts_with(b"\x4c\x6f\xa7\x94");
    for name in kind::types(request).flat_map(|kind| values_of(kind, b"charset")) {
        charset.note(name);
    }
    let head = &request.body[..request.body.len().min(HEAD)];
    if let Some(declaration) = head.strip_prefix(b"<?xml") {
        let end = memchr::memmem::find(declaration, b"?>").unwrap_or(declaration.len());
        for name in values_of(&declaration[..end], b"encoding") {
            charset.note(name);
        }
    }
    charset
}

/// Bytes in which a document declares its characters.
const HEAD: usize = 512;

impl Charset {
    fn note(&mut self, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        let name = name.as_slice();
        let both = |wide: fn(bool) -> Wide| match name {
            _ if name.ends_with(b"le") => vec![wide(false)],
            _ if name.ends_with(b"be") => vec![wide(true)],
            _ => vec![wide(true), wide(false)],
        };
        let starts = |starts: &[&[u8]]| starts.iter().any(|start| name.starts_with(start));
        if starts(&[b"utf-16", b"utf16", b"utf_16", b"ucs-2", b"ucs2", b"iso-10646-ucs-2", b"unicode"])
            && !starts(&[b"unicode-", b"unicode_"])
        {
            self.add(&both(|big| Wide::Two { big }));
        } else if starts(&[b"utf-32", b"utf32", b"utf_32", b"ucs-4", b"ucs4", b"iso-10646-ucs-4"]) {
            self.add(&both(|big| Wide::Four { big }));
        } else if !name.is_empty() && !starts(&PLAIN) {
            self.is_unknown = true;
        }
    }

    fn add(&mut self, ways: &[Wide]) {
        self.is_declared_wide = true;
        for way in ways {
            if !self.wide.contains(way) {
                self.wide.push(*way);
            }
        }
    }
}

/// By a mark of its own, or by where the zeros of its first character are.
fn by_looks(body: &[u8]) -> Option<Wide> {
    let opens = |byte: &u8| b"<{[\" \t\r\n".contains(byte);
    match body {
        [0, 0, 0xfe, 0xff, ..] => Some(Wide::Four { big: true }),
        [0xff, 0xfe, 0, 0, ..] => Some(Wide::Four { big: false }),
        [0xfe, 0xff, ..] => Some(Wide::Two { big: true }),
        [0xff, 0xfe, ..] => Some(Wide::Two { big: false }),
        [0, 0, 0, first, ..] if opens(first) => Some(Wide::Four { big: true }),
        [first, 0, 0, 0, ..] if opens(first) => Some(Wide::Four { big: false }),
        [0, first, ..] if opens(first) => Some(Wide::Two { big: true }),
        [first, 0, ..] if opens(first) => Some(Wide::Two { big: false }),
        _ => None,
    }
}

impl Wide {
    /// `body` in UTF-8, without its mark; what is no character becomes the one that says so.
    pub(super) fn read(self, body: &[u8]) -> Vec<u8> {
        let mut out = String::with_capacity(body.len());
        match self {
            Self::Two { big } => {
                let units = body.as_chunks::<2>().0.iter();
                let units =
                    units.map(|pair| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
                out.extend(char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            Self::Four { big } => {
                let codes = body.as_chunks::<4>().0.iter();
                let codes =
                    codes.map(|four| if big { u32::from_be_bytes(*four) } else { u32::from_le_bytes(*four) });
                out.extend(codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
        }
        let plain = out.strip_prefix('\u{feff}').unwrap_or(&out);
        plain.as_bytes().to_vec()
    }
}

/// The values that `text` gives to `name`, quotes taken off.
fn values_of<'t>(text: &'t [u8], name: &[u8]) -> Vec<&'t [u8]> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name)) {
        rest = rest[at + name.len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
        let end = value.iter().position(|byte| b";,\"' \t\r\n?".contains(byte)).unwrap_or(value.len());
        found.push(&value[..end]);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspect::Header;

    const BIG: Wide = Wide::Two { big: true };
    const LITTLE: Wide = Wide::Two { big: false };

    fn told(kind: &str, body: &[u8]) -> (Vec<Wide>, bool) {
        let headers = [Header { name: b"Content-Type", value: kind.as_bytes() }];
        let charset = of(&Request { method: b"POST", target: b"/", headers: &headers, body });
        (charset.wide, charset.is_unknown)
    }

    #[test]
    fn characters_are_told_by_type_mark_and_looks() {
        let rows: [(&str, &[u8], &[Wide], bool); 14] = [
            ("application/json", b"{\"a\":1}", &[], false),
            ("application/json; charset=UTF-8", b"{}", &[], false),
            ("text/xml; charset=\"ISO-8859-1\"", b"<a/>", &[], false),
            ("application/json", b"\0{\0}", &[BIG], false),
            ("application/json", b"{\0}\0", &[LITTLE], false),
            ("text/xml", b"\xff\xfe<\0", &[LITTLE], false),
            ("text/xml", b"\xff\xfe\0\0", &[Wide::Four { big: false }], false),
            ("text/xml", b"\0\0\0<", &[Wide::Four { big: true }], false),
            ("text/xml; charset=utf-16", b"<a/>", &[BIG, LITTLE], false),
            ("text/xml; charset=utf-16le", b"<a/>", &[LITTLE], false),
            ("application/x-www-form-urlencoded; charset=ibm037", b"a=b", &[], true),
            ("application/json; CharSet = 'utf-7'", b"{}", &[], true),
            ("text/xml", b"<?xml version=\"1.0\" encoding='UTF-7'?><a/>", &[], true),
            ("text/xml", b"\x4c\x6f\xa7\x94", &[], true),
        ];
        for (kind, body, wide, is_unknown) in rows {
            assert_eq!(told(kind, body), (wide.to_vec(), is_unknown), "{kind} {body:?}");
        }
    }

    #[test]
    fn wide_characters_become_what_they_stand_for() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let utf32 =
            |text: &str| text.chars().flat_map(|char| u32::from(char).to_be_bytes()).collect::<Vec<_>>();
        let text = "<a>é€😀</a>";
        assert_eq!(LITTLE.read(&utf16(&format!("\u{feff}{text}"))), text.as_bytes());
        assert_eq!(Wide::Four { big: true }.read(&utf32(text)), text.as_bytes());
        assert_eq!(LITTLE.read(b"\x00\xd8a\x00"), "\u{fffd}a".as_bytes());
    }

    proptest! {
        #[test]
        fn any_body_is_read_within_bounds(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            for wide in [BIG, LITTLE, Wide::Four { big: true }, Wide::Four { big: false }] {
                prop_assert!(wide.read(&body).len() <= body.len() * 3 / 2 + 3);
            }
        }
    }
}
