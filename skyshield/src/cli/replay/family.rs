//! Families of recorded attacks: those of one category whose payloads are built alike.

use sha2::{Digest, Sha256};

use crate::inspect::Request;

/// Bytes of a payload that its shape is made of.
const SHAPE_BYTES: usize = 24;

/// Whose half a family is in. Rules may be written with the one in sight; the other tells what they are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Development,
    HeldOut,
}

/// The family of `request`: its category, and the shape of what is oddest in it.
pub(super) fn of(category: &str, request: &Request<'_>) -> String {
    format!("{category} {}", shape(&payload(request)))
}

/// Half of all families are in either, by a hash that is the same on every machine.
pub(super) fn half(family: &str) -> Half {
    let even = Sha256::digest(family).first().is_some_and(|byte| byte % 2 == 0);
    if even { Half::Development } else { Half::HeldOut }
}

/// Of path, query values, body and own headers the one with the most marks, decoded once.
fn payload(request: &Request<'_>) -> Vec<u8> {
    const COMMON: [&[u8]; 8] = [
        b"host",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"connection",
        b"content-length",
        b"content-type",
        b"user-agent",
    ];
    let (path, query) = match memchr::memchr(b'?', request.target) {
        Some(at) => (&request.target[..at], &request.target[at + 1..]),
        None => (request.target, &[][..]),
    };
    let query = query.split(|byte| *byte == b'&').map(|pair| match memchr::memchr(b'=', pair) {
        Some(at) => &pair[at + 1..],
        None => pair,
    });
    let own = request.headers.iter().filter(|header| !COMMON.contains(&&*header.name.to_ascii_lowercase()));
    let texts = [path, request.body].into_iter().chain(query).chain(own.map(|header| header.value));
    texts
        .map(unpercent)
        .max_by_key(|text| text.iter().filter(|byte| !byte.is_ascii_alphanumeric()).count())
        .unwrap_or_default()
}

fn unpercent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let value = digit(0).zip(digit(1)).filter(|_| byte == b'%');
        let value = value.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        out.push(value.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        rest = if value.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

/// Words as `a`, numbers as `0`, what repeats once.
fn shape(text: &[u8]) -> String {
    let mut shape: Vec<u8> = Vec::new();
    for byte in text {
        let letter = match byte {
            b'0'..=b'9' if shape.last() == Some(&b'a') => b'a',
            b'0'..=b'9' => b'0',
            byte if byte.is_ascii_alphabetic() || *byte == b'_' => b'a',
            byte if byte.is_ascii_whitespace() => b' ',
            0x21..=0x7e => *byte,
            _ => b'?',
        };
        if letter == b'a' && shape.last() == Some(&b'0') {
            shape.pop();
        }
        shape.push(letter);
        for len in 1..=4 {
            let end = shape.len();
            if end >= 2 * len && shape[end - len..] == shape[end - 2 * len..end - len] {
                shape.truncate(end - len);
                break;
            }
        }
        if shape.len() >= SHAPE_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&shape).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_are_built_alike_are_of_one_family() {
        let shape = |payload: &str| shape(&unpercent(payload.as_bytes()));
        let tag = shape("<img src=x1 onerror=alert(1)>");
        assert_eq!(tag, shape("<video src=y onplay=confirm(22)>"));
        let climb = shape("../../../etc/passwd");
        assert_eq!(climb, shape("..%2f..%2fetc%2fshadow"));
        let condition = shape("1' or 1=1--");
        assert_eq!(condition, shape("27' and 3=3--"));
        assert!(tag != climb && climb != condition && condition != tag);
        assert!(shape(&"<a>'".repeat(100)).len() <= SHAPE_BYTES);
    }

    #[test]
    fn the_oddest_part_tells_the_family_and_either_half_has_some() {
        let request = Request { method: b"GET", target: b"/a?b=c&d=%3Cx%3E'", headers: &[], body: b"" };
        assert_eq!(of("xss", &request), "xss <a>'");
        let held_out = (0..1000).filter(|at| half(&format!("family {at}")) == Half::HeldOut).count();
        assert!((400..600).contains(&held_out), "{held_out}");
    }
}
