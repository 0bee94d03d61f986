//! What stands in `Content-Length`, and how often.

use super::Expected::{Passed, Refused};
use super::{Vector, add as row, post};

/// A length with its line, and the three bytes that it may or may not mean.
fn with(value: &[u8]) -> Vec<u8> {
    post(&[b"Content-Length:", value, b"\r\n"].concat(), b"abc")
}

pub(super) fn add(all: &mut Vec<Vector>) {
    add_values(all);
    add_several(all);
}

fn add_values(all: &mut Vec<Vector>) {
    let well_formed: [&[u8]; 6] = [b" 3", b"3", b"  3", b"\t3", b" 3 ", b" 3\t"];
    for value in well_formed {
        row(all, "length well-formed", value, with(value), Passed(1));
    }
    for value in [&b" 03"[..], b" 003", b" 000000000000000003"] {
        row(all, "length with zeros", value, with(value), Passed(1));
    }
    let malformed: [&[u8]; 54] = [
        b"",
        b" ",
        b" +3",
        b" -3",
        b" -0",
        b" 0x3",
        b" 3h",
        b" 0b11",
        b" 0o3",
        b" 3.0",
        b" 3.",
        b" .3",
        b" 3e0",
        b" 1_0",
        b" 3,",
        b" ,3",
        b" 3,3",
        b" 3, 3",
        b" 3,4",
        b" 3 3",
        b" 3\t3",
        b" 3;",
        b" 3;3",
        b" 3#",
        b" 3%20",
        b" %33",
        b" \"3\"",
        b" '3'",
        b" (3)",
        b" 3x",
        b" x3",
        b" three",
        b" 3 bytes",
        b" 3:",
        b" :3",
        b" 3=3",
        b" 3&3",
        b" 3/3",
        b" 3\\3",
        b" 3|3",
        b" 3\xa0",
        b" \xa03",
        b" \xc2\xa03",
        b" 3\xe2\x80\x8b",
        b" \xd9\xa3",
        b" \xef\xbc\x93",
        b" 3\xff",
        b" NaN",
        b" Infinity",
        b" null",
        b" chunked",
        b" 3*1",
        b" ~3",
        b" $3",
    ];
    for value in malformed {
        row(all, "length malformed", value, with(value), Refused(400));
    }
    for value in [
        &b" 0000000000000000003"[..],
        b" 9223372036854775807",
        b" 9223372036854775808",
        b" 18446744073709551615",
        b" 18446744073709551616",
        b" 18446744073709551619",
        b" 340282366920938463463374607431768211459",
        b" 1000000000000000000000000000000000003",
    ] {
        row(all, "length too long", value, with(value), Refused(400));
    }
    for value in [&b" 1048577"[..], b" 4294967295", b" 4294967299", b" 999999999999999999"] {
        row(all, "length of more than is inspected", value, with(value), Refused(413));
    }
}

fn add_several(all: &mut Vec<Vector>) {
    let pairs: [(&str, &[u8]); 14] = [
        ("equal", b"Content-Length: 3\r\nContent-Length: 3\r\n"),
        ("different", b"Content-Length: 3\r\nContent-Length: 0\r\n"),
        ("different, the longer last", b"Content-Length: 0\r\nContent-Length: 3\r\n"),
        ("apart", b"Content-Length: 3\r\nX-A: b\r\nContent-Length: 3\r\n"),
        ("in other case", b"Content-Length: 3\r\ncontent-length: 3\r\n"),
        ("three", b"Content-Length: 3\r\nContent-Length: 3\r\nContent-Length: 3\r\n"),
        ("the second empty", b"Content-Length: 3\r\nContent-Length:\r\n"),
        ("the first empty", b"Content-Length:\r\nContent-Length: 3\r\n"),
        ("the second signed", b"Content-Length: 3\r\nContent-Length: +3\r\n"),
        ("the second a list", b"Content-Length: 3\r\nContent-Length: 3, 3\r\n"),
        ("the second in disguise", b"Content-Length: 3\r\nContent_Length: 3\r\n"),
        ("the first in disguise", b"Content_Length: 0\r\nContent-Length: 3\r\n"),
        ("with zeros", b"Content-Length: 3\r\nContent-Length: 03\r\n"),
        ("zero twice", b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    ];
    for (what, lines) in pairs {
        row(all, "two lengths", what.as_bytes(), post(lines, b"abc"), Refused(400));
    }
}
