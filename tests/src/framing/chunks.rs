//! The chunked coding itself: sizes, extensions, ends of chunks, the last chunk, trailers.

use super::Expected::{Passed, Refused};
use super::{Vector, add as row, chunked};

pub(super) fn add(all: &mut Vec<Vector>) {
    add_sizes(all);
    add_extensions(all);
    add_ends(all);
    add_last_chunks(all);
    add_trailers(all);
}

fn add_sizes(all: &mut Vec<Vector>) {
    let of = |line: &[u8]| chunked(&[line, b"abc\r\n0\r\n\r\n"].concat());
    for line in [&b"3\r\n"[..], b"03\r\n", b"0000000000000003\r\n"] {
        row(all, "chunk size", line, of(line), Passed(1));
    }
    for line in [
        &b"A\r\nabcdefghij\r\n0\r\n\r\n"[..],
        b"a\r\nabcdefghij\r\n0\r\n\r\n",
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    ] {
        row(all, "chunks", line, chunked(line), Passed(1));
    }
    for line in [
        &b"\r\n"[..],
        b" \r\n",
        b" 3\r\n",
        b"\t3\r\n",
        b"3 \r\n",
        b"3\t\r\n",
        b"3 3\r\n",
        b"+3\r\n",
        b"-3\r\n",
        b"0x3\r\n",
        b"0X3\r\n",
        b"x3\r\n",
        b"3h\r\n",
        b"3.\r\n",
        b"3.0\r\n",
        b"3,\r\n",
        b"3_\r\n",
        b"_3\r\n",
        b"3g\r\n",
        b"g\r\n",
        b"\"3\"\r\n",
        b"'3'\r\n",
        b"%33\r\n",
        b"3%\r\n",
        b"3:\r\n",
        b"3=\r\n",
        b"(3)\r\n",
        b"3#\r\n",
        b"\\3\r\n",
        b"3\x00\r\n",
        b"\x003\r\n",
        b"3\x0b\r\n",
        b"3\x0c\r\n",
        b"3\x7f\r\n",
        b"3\xa0\r\n",
        b"\xa03\r\n",
        b"\xef\xbc\x93\r\n",
        b"\xef\xbb\xbf3\r\n",
        b"00000000000000003\r\n",
        b"100000000000000003\r\n",
        b"3e0\x01\r\n",
        b"\r\n3\r\n",
    ] {
        row(all, "chunk size malformed", line, of(line), Refused(400));
    }
    for line in [
        &b"3\n"[..],
        b"3\r",
        b"3\n\r",
        b"3\r\r\n",
        b"3\r \n",
        b"3 \n",
        b"3\x0b\n",
        b"3\x85",
        b"3\xe2\x80\xa8",
        b"\n3\r\n",
    ] {
        row(all, "chunk size line end", line, of(line), Refused(400));
    }
    for size in ["ffffffffffffffff", "fffffffffffffffd", "7fffffffffffffff", "8000000000000000", "ffffffff"] {
        // More than will be looked at: whether it comes is not waited for.
        let body = [format!("{size}\r\n").as_bytes(), &vec![b'a'; (1 << 20) + 70_000]].concat();
        row(all, "chunk size huge", size.as_bytes(), chunked(&body), Refused(413));
    }
}

fn add_extensions(all: &mut Vec<Vector>) {
    let of = |line: &[u8]| chunked(&[line, b"abc\r\n0\r\n\r\n"].concat());
    for line in [
        &b"3;\r\n"[..],
        b"3;a\r\n",
        b"3;a=b\r\n",
        b"3;a=\"b\"\r\n",
        b"3; a = b\r\n",
        b"3;a;b;c\r\n",
        b"3;0\r\n",
        b"3;\t\r\n",
        b"3;a=\"b;c\"\r\n",
        b"3;,\r\n",
        b"3;=\r\n",
    ] {
        row(all, "chunk extension", line, of(line), Passed(1));
    }
    for line in [
        &b"3;a\n"[..],
        b"3;\n",
        b"3;a\nb\r\n",
        b"3;a\r\r\n",
        b"3;a\rb\r\n",
        b"3;\x00\r\n",
        b"3;a\x01b\r\n",
        b"3;a\x7f\r\n",
        b"3;a\x0b\r\n",
        b"3;a=\"\n\"\r\n",
        b"3;a=\"\r\n",
        b"3;\xff\r\n",
        b"3;a=\xc3\xa9\r\n",
        b"3 ;a\r\n",
        b"3\t;a\r\n",
        b"3,a\r\n",
        b";a\r\n",
        b";\r\n",
    ] {
        let expected = if line == b"3;a=\"\r\n" { Passed(1) } else { Refused(400) };
        row(all, "chunk extension odd", line, of(line), expected);
    }
    for length in [256, 257, 16 * 1024] {
        let line = [b"3;", vec![b'x'; length].as_slice(), b"\r\n"].concat();
        let expected = if length > 256 { Refused(400) } else { Passed(1) };
        row(all, "chunk extension of bytes", length.to_string().as_bytes(), of(&line), expected);
    }
}

fn add_ends(all: &mut Vec<Vector>) {
    for end in [
        &b"\n"[..],
        b"\r",
        b"",
        b"\n\r",
        b" \r\n",
        b"\t\r\n",
        b"\r\r\n",
        b"\n\n",
        b"\x00\r\n",
        b"d\r\n",
        b"\r \n",
        b"\x0b\n",
        b"\r\n\r\n",
        b"\r\n ",
        b"\r\n\n",
        b";\r\n",
        b"0\r\n",
    ] {
        let body = [b"3\r\nabc", end, b"0\r\n\r\n"].concat();
        row(all, "end of a chunk", end, chunked(&body), Refused(400));
    }
    let one_short = b"4\r\nabc\r\n0\r\n\r\n";
    row(all, "end of a chunk", b"a byte less than said", chunked(one_short), Refused(400));
    let one_long = b"2\r\nabc\r\n0\r\n\r\n";
    row(all, "end of a chunk", b"a byte more than said", chunked(one_long), Refused(400));
}

fn add_last_chunks(all: &mut Vec<Vector>) {
    for end in [&b"00\r\n\r\n"[..], b"0000000000000000\r\n\r\n", b"0;a\r\n\r\n", b"0;\r\n\r\n"] {
        row(all, "last chunk", end, chunked(&[b"3\r\nabc\r\n", end].concat()), Passed(1));
    }
    for end in [
        &b"0\n\n"[..],
        b"0\r\n\n",
        b"0\n\r\n",
        b"0 \r\n\r\n",
        b"0\t\r\n\r\n",
        b"-0\r\n\r\n",
        b"+0\r\n\r\n",
        b"0x0\r\n\r\n",
        b"\r\n\r\n",
        b"0\r\r\n\r\n",
        b"0\r\n\r\r\n",
        b"0\r\n \r\n",
        b"0\r\n\t\r\n",
        b"0\r\n\x00\r\n",
        b"0\r\n0\r\n\r\n",
        b"00000000000000000\r\n\r\n",
        b"0;a\n\r\n",
        b"0,\r\n\r\n",
        b"o\r\n\r\n",
    ] {
        row(all, "last chunk odd", end, chunked(&[b"3\r\nabc\r\n", end].concat()), Refused(400));
    }
}

fn add_trailers(all: &mut Vec<Vector>) {
    let of = |lines: &[u8]| chunked(&[b"3\r\nabc\r\n0\r\n", lines, b"\r\n"].concat());
    for lines in [
        &b"X-A: b\r\n"[..],
        b"X-A:\r\n",
        b"X-A: b\r\nX-C: d\r\n",
        b"Content-Length: 50\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
        b"Authorization: x\r\n",
        b"Connection: close\r\n",
        b"Content-Length: x\r\n",
        b"Trailer: X-A\r\n",
        b"X-A: \xff\r\n",
        b"X-Forwarded-For: 1.2.3.4\r\n",
        b"Upgrade: websocket\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Set-Cookie: a=b\r\n",
    ] {
        row(all, "trailer", lines, of(lines), Passed(1));
    }
    for lines in [
        &b"X-A: b\n"[..],
        b"X-A : b\r\n",
        b"X-A\t: b\r\n",
        b" X-A: b\r\n",
        b"\tX-A: b\r\n",
        b"X-A: b\r\n c\r\n",
        b"X-A\r\n",
        b": b\r\n",
        b"X A: b\r\n",
        b"X-A: b\x00\r\n",
        b"X-A: b\rc\r\n",
        b"X-A: b\x01\r\n",
        b"X-\xff: b\r\n",
        b"X-A: b\r\r\n",
        b"GET /smuggled HTTP/1.1\r\n",
        b"X(A): b\r\n",
        b"X-A: b\x7f\r\n",
    ] {
        row(all, "trailer malformed", lines, of(lines), Refused(400));
    }
    let many = b"X-A: b\r\n".repeat(2000);
    row(all, "trailer malformed", b"2000 lines", of(&many), Refused(400));
}
