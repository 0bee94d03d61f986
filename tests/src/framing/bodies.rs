//! Whole requests: bodies where few expect them, requests inside of bodies, several in a row.

use super::Expected::{Ended, Passed, Refused};
use super::{Vector, add as row, chunked, post};

const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) fn add(all: &mut Vec<Vector>) {
    add_bodies_of_methods(all);
    add_requests_in_bodies(all);
    add_several(all);
    add_expectations(all);
    add_upgrades(all);
}

fn add_bodies_of_methods(all: &mut Vec<Vector>) {
    for method in ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "PROPFIND"] {
        for (what, lines, body) in [
            ("a length", "Content-Length: 3\r\n", "abc"),
            ("chunks", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
            ("a length of nothing", "Content-Length: 0\r\n", ""),
        ] {
            let text = format!("{method} /first HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
            let what = format!("{method} with {what}");
            row(all, "body of a method", what.as_bytes(), text.into_bytes(), Passed(1));
        }
    }
    for method in ["DELETE", "OPTIONS", "PUT", "PATCH", "PROPFIND", "POST"] {
        let text = format!("{method} /first HTTP/1.1\r\nHost: a\r\n\r\n");
        let what = format!("{method} without framing");
        row(all, "body of a method", what.as_bytes(), text.into_bytes(), Passed(1));
    }
}

fn add_requests_in_bodies(all: &mut Vec<Vector>) {
    let length = format!("Content-Length: {}\r\n", INNER.len());
    row(all, "request in a body", b"by its length", post(length.as_bytes(), INNER.as_bytes()), Passed(1));
    let chunk = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    row(all, "request in a body", b"as a chunk", chunked(chunk.as_bytes()), Passed(1));
    let chunk = format!("0;x={}\r\n\r\n", INNER.len());
    row(
        all,
        "request in a body",
        b"behind the last chunk",
        chunked(format!("{chunk}{INNER}").as_bytes()),
        Passed(2),
    );
    row(
        all,
        "request in a body",
        b"behind an empty one",
        post(b"Content-Length: 0\r\n", INNER.as_bytes()),
        Passed(2),
    );
    let in_chunks = b"Content-Length: 5\r\n";
    row(all, "request in a body", b"that looks like chunks", post(in_chunks, b"0\r\n\r\n"), Passed(1));
    let smuggled = format!("0\r\n\r\n{INNER}");
    let length = format!("Content-Length: {}\r\n", smuggled.len());
    row(
        all,
        "request in a body",
        b"behind what looks like chunks",
        post(length.as_bytes(), smuggled.as_bytes()),
        Passed(1),
    );
    for lines in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", smuggled.len()),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: {}\r\n", smuggled.len()),
        format!("Transfer-Encoding : chunked\r\nContent-Length: {}\r\n", smuggled.len()),
        format!(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: {}\r\n",
            smuggled.len()
        ),
    ] {
        let expected = if lines.contains("xchunked") { Refused(501) } else { Refused(400) };
        row(
            all,
            "request behind two framings",
            lines.as_bytes(),
            post(lines.as_bytes(), smuggled.as_bytes()),
            expected,
        );
    }
    let text = format!("GET /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{INNER}");
    row(all, "request in a body", b"behind that of a GET", text.into_bytes(), Passed(2));
    row(
        all,
        "request in a body",
        b"behind one line end too many",
        post(b"Content-Length: 3\r\n", b"abc\r\n"),
        Passed(1),
    );
}

fn add_several(all: &mut Vec<Vector>) {
    for count in [2, 10, 50] {
        let what = format!("{count} without a body");
        row(all, "in a row", what.as_bytes(), INNER.repeat(count).into_bytes(), Passed(count));
        let what = format!("{count} with a length");
        let each = post(b"Content-Length: 3\r\n", b"abc");
        row(all, "in a row", what.as_bytes(), each.repeat(count), Passed(count));
        let what = format!("{count} in chunks");
        row(all, "in a row", what.as_bytes(), chunked(b"3\r\nabc\r\n0\r\n\r\n").repeat(count), Passed(count));
    }
    let closing = "GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    row(all, "in a row", b"the first closes", closing.as_bytes().to_vec(), Ended(1));
    let closing = "GET /first HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE ,y\r\n\r\n";
    row(all, "in a row", b"the first closes, in a list", closing.as_bytes().to_vec(), Ended(1));
}

fn add_expectations(all: &mut Vec<Vector>) {
    let of = |value: &str| post(format!("Expect: {value}\r\nContent-Length: 3\r\n").as_bytes(), b"abc");
    for value in ["100-continue", "100-Continue", "100-CONTINUE"] {
        row(all, "expectation", value.as_bytes(), of(value), Passed(1));
    }
    for value in ["", "x", "100-continued", "100-continue, x", "100-continue;a", "200-ok", "100 continue"] {
        row(all, "expectation", value.as_bytes(), of(value), Refused(417));
    }
}

fn add_upgrades(all: &mut Vec<Vector>) {
    for lines in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n",
    ] {
        let text = format!("GET /first HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        row(all, "upgrade", lines.as_bytes(), text.into_bytes(), Passed(1));
    }
}
