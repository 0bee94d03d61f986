//! The catalog's examples, put wherever in a request they may stand.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{FORM, inspect};
use crate::inspect::{Limits, own};

/// What `%XX` stands for; a percent sign before anything else is itself.
fn unpercent(text: &str) -> Vec<u8> {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        if let Some(byte) = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            out.push(byte);
            out.extend_from_slice(&piece.as_bytes()[2..]);
        } else {
            out.push(b'%');
            out.extend_from_slice(piece.as_bytes());
        }
    }
    out
}

/// The rules that `example` meets, wherever in a request it stands.
fn found_anywhere(example: &str) -> Vec<Cow<'static, str>> {
    let text = unpercent(example);
    let encoded = text.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    });
    let plain = String::from_utf8_lossy(&text).into_owned();
    let file = |name: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=f; filename=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n--b--\r\n"].concat()
    };
    let multipart = [("Content-Type", "multipart/form-data; boundary=b")];
    let all = [
        inspect(&format!("/search?q={encoded}"), &[], b""),
        inspect(&plain, &[], b""),
        inspect("/", &[("Content-Type", FORM)], format!("q={encoded}").as_bytes()),
        inspect("/", &[("User-Agent", &plain)], b""),
        inspect("/", &multipart, &file(&plain, b"x")),
        inspect("/", &multipart, &file("x.bin", &text)),
        inspect("/", &[("Content-Type", "application/json")], &text),
    ];
    all.into_iter().flat_map(|found| found.findings).map(|finding| finding.rule).collect()
}

#[test]
fn each_rule_meets_its_own_example_and_lets_the_honest_one_through() {
    let mut wrong = Vec::new();
    for info in own::infos(&Limits::default()) {
        assert!(!info.about.is_empty(), "{} is not in the catalog", info.id);
        assert!(!info.attacks.is_empty() && !info.honest.is_empty(), "{} has no examples", info.id);
        let missed = info.attacks.iter().filter(|attack| !found_anywhere(attack).contains(&info.id));
        wrong.extend(missed.map(|attack| format!("{} misses {attack}", info.id)));
        let met = info.honest.iter().filter(|honest| found_anywhere(honest).contains(&info.id));
        wrong.extend(met.map(|honest| format!("{} meets {honest}", info.id)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
