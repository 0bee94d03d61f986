//! How header lines are named and ended: what one server takes for a framing line, another does not.

use super::Expected::{Passed, Refused};
use super::{Vector, add as row, post};

/// A smuggled request, for who misses the length.
const BODY: &[u8] = b"abc";

pub(super) fn add(all: &mut Vec<Vector>) {
    add_disguises(all);
    add_bytes_of_names(all);
    add_bytes_of_values(all);
    add_line_ends(all);
    add_folds(all);
    add_named_by_connection(all);
}

fn add_disguises(all: &mut Vec<Vector>) {
    for (name, value, body) in
        [("Content-Length", "3", BODY), ("Transfer-Encoding", "chunked", &b"0\r\n\r\n"[..])]
    {
        let spelled = |line: String| post(format!("{line}\r\n").as_bytes(), body);
        for line in [format!("{}: {value}", name.to_lowercase()), format!("{}: {value}", name.to_uppercase())]
        {
            row(all, "name in another case", line.as_bytes(), spelled(line.clone()), Passed(1));
        }
        let underscored = name.replace('-', "_");
        for line in [
            format!("{name} : {value}"),
            format!("{name}\t: {value}"),
            format!("{name}\u{b}: {value}"),
            format!("{name}\0: {value}"),
            format!("\0{name}: {value}"),
            format!("{name}\u{a0}: {value}"),
            format!("{name}\r: {value}"),
            format!("\"{name}\": {value}"),
            format!("{name}:: {value}"),
            format!(":{name}: {value}"),
            format!("{underscored}: {value}"),
            format!("{}: {value}", underscored.to_lowercase()),
            format!("{name} {value}"),
            format!("{name}= {value}"),
            format!("{name};: {value}"),
            format!("{name},: {value}"),
            format!("{name}/: {value}"),
            format!("{name}@: {value}"),
            format!("{name}\\: {value}"),
            format!("{name}=: {value}"),
            format!("({name}): {value}"),
            name.to_owned(),
        ] {
            row(all, "name in disguise", line.as_bytes(), spelled(line.clone()), Refused(400));
        }
    }
}

/// Every byte that is none of a name's, in the name of a line that nobody needs to know.
fn add_bytes_of_names(all: &mut Vec<Vector>) {
    let separators = b"\"(),/;<=>?@[\\]{}";
    let odd = (0..=b' ').chain(separators.iter().copied()).chain([0x7f, 0x80, 0xa0, 0xff]);
    for byte in odd.filter(|byte| !b"\r\n".contains(byte)) {
        let line = [b"X", &[byte][..], b"A: b\r\n"].concat();
        row(all, "byte in a name", &[byte], post(&line, b""), Refused(400));
    }
    for byte in *b"!#$%&'*+-.^_`|~0" {
        let line = [b"X", &[byte][..], b"A: b\r\n"].concat();
        row(all, "byte in a name", &[byte], post(&line, b""), Passed(1));
    }
}

/// Every control character in a value.
fn add_bytes_of_values(all: &mut Vec<Vector>) {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let line = [b"X-A: b", &[byte][..], b"c\r\n"].concat();
        row(all, "byte in a value", &[byte], post(&line, b""), Refused(400));
    }
    for byte in [b'\t', b' ', 0x80, 0x85, 0xa0, 0xff] {
        let line = [b"X-A: b", &[byte][..], b"c\r\n"].concat();
        row(all, "byte in a value", &[byte], post(&line, b""), Passed(1));
    }
    for (what, line) in [
        ("before a value", &b"X-A:\x0bb\r\n"[..]),
        ("behind a value", b"X-A: b\x0b\r\n"),
        ("before a length", b"Content-Length: \x0b3\r\n"),
        ("behind a length", b"Content-Length: 3\x0b\r\n"),
        ("NUL behind a length", b"Content-Length: 3\x00\r\n"),
        ("NUL before a coding", b"Transfer-Encoding: \x00chunked\r\n"),
        ("NUL behind a coding", b"Transfer-Encoding: chunked\x00\r\n"),
        ("form feed before a coding", b"Transfer-Encoding: \x0cchunked\r\n"),
        ("tab feed behind a coding", b"Transfer-Encoding: chunked\x0b\r\n"),
        ("NUL in a host", b"X-B: c\r\nHost: a\x00b\r\n"),
    ] {
        row(all, "control character", what.as_bytes(), post(line, BODY), Refused(400));
    }
}

/// A bare LF or CR ends a line for one server and not for another.
fn add_line_ends(all: &mut Vec<Vector>) {
    let whole = "POST /first HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 3\r\n\r\n";
    let ends: Vec<usize> = whole.match_indices("\r\n").map(|(at, _)| at).collect();
    for (number, &at) in ends.iter().enumerate() {
        for end in ["\n", "\r", "\r\r\n", "\n\r", "\n\n", "\r \n"] {
            let text = format!("{}{end}{}abc", &whole[..at], &whole[at + 2..]);
            let what = format!("{} as end {number}", end.escape_default());
            row(all, "line end", what.as_bytes(), text.into_bytes(), Refused(400));
        }
    }
    let bare = whole.replace("\r\n", "\n") + "abc";
    row(all, "line end", b"LF alone everywhere", bare.into_bytes(), Refused(400));
    let hidden = "X-A: b\rTransfer-Encoding: chunked\r\n";
    row(all, "line end", b"a coding behind a bare CR", post(hidden.as_bytes(), BODY), Refused(400));
    let hidden = "X-A: b\nTransfer-Encoding: chunked\r\n";
    row(all, "line end", b"a coding behind a bare LF", post(hidden.as_bytes(), BODY), Refused(400));
}

fn add_folds(all: &mut Vec<Vector>) {
    for (what, lines) in [
        ("a value by a space", &b"X-A: b\r\n c\r\n"[..]),
        ("a value by a tab", b"X-A: b\r\n\tc\r\n"),
        ("an empty value", b"X-A:\r\n b\r\n"),
        ("to nothing", b"X-A: b\r\n \r\n"),
        ("a length", b"Content-Length:\r\n 3\r\n"),
        ("a length in two", b"Content-Length: 3\r\n 0\r\n"),
        ("a coding", b"Transfer-Encoding:\r\n chunked\r\n"),
        ("a coding by a tab", b"Transfer-Encoding:\r\n\tchunked\r\n"),
        ("a coding in two", b"Transfer-Encoding: chun\r\n ked\r\n"),
        ("a coding behind a comma", b"Transfer-Encoding: gzip,\r\n chunked\r\n"),
        ("a length into a value", b"X-A: b\r\n Content-Length: 3\r\n"),
        ("a coding into a value", b"X-A: b\r\n Transfer-Encoding: chunked\r\n"),
    ] {
        row(all, "folded line", what.as_bytes(), post(lines, BODY), Refused(400));
    }
    for first in [" Host: a", "\tHost: a", " X-A: b\r\nHost: a", "  \r\nHost: a"] {
        let text = format!("GET /first HTTP/1.1\r\n{first}\r\n\r\n");
        row(all, "folded first line", first.as_bytes(), text.into_bytes(), Refused(400));
    }
}

/// Who drops the lines that `Connection` names must not drop the one that frames.
fn add_named_by_connection(all: &mut Vec<Vector>) {
    for name in [
        "Content-Length",
        "Host",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "X-SkyShield-Risk",
        "Expect",
        "Connection",
        "TE",
        "Trailer",
        "Cookie",
    ] {
        let lines = format!("Connection: {name}\r\nContent-Length: 3\r\n");
        row(all, "named by Connection", name.as_bytes(), post(lines.as_bytes(), BODY), Passed(1));
    }
    let lines = "Connection: Transfer-Encoding, keep-alive\r\nTransfer-Encoding: chunked\r\n";
    row(all, "named by Connection", b"a coding in use", post(lines.as_bytes(), b"0\r\n\r\n"), Passed(1));
    let lines = "Connection: \"content-length\"\r\nContent-Length: 3\r\n";
    row(all, "named by Connection", b"in quotes", post(lines.as_bytes(), BODY), Passed(1));
}
