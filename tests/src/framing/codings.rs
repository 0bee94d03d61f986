//! What stands in `Transfer-Encoding`, how often, and beside which `Content-Length`.

use super::Expected::{Passed, Refused};
use super::{Vector, add as row, post};

/// A body that is empty to who reads chunks, and five bytes to who does not.
const EMPTY: &[u8] = b"0\r\n\r\n";

fn with(value: &[u8]) -> Vec<u8> {
    post(&[b"Transfer-Encoding:", value, b"\r\n"].concat(), EMPTY)
}

pub(super) fn add(all: &mut Vec<Vector>) {
    for value in [&b" chunked"[..], b"chunked", b"  chunked", b"\tchunked", b" chunked ", b" chunked\t"] {
        row(all, "coding well-formed", value, with(value), Passed(1));
    }
    for value in [&b" Chunked"[..], b" CHUNKED", b" cHuNkEd"] {
        row(all, "coding in another case", value, with(value), Passed(1));
    }
    for value in [
        &b" gzip"[..],
        b" deflate",
        b" compress",
        b" br",
        b" zstd",
        b" x-gzip",
        b" identity",
        b" cow",
        b" xchunked",
        b" chunkedx",
        b" x-chunked",
        b" chunked-x",
        b" chunke",
        b" hunked",
        b" chunked1",
        b" chunked.",
        b" chunked_",
        b" 'chunked'",
        b" gzip, chunked",
        b" identity, chunked",
        b" deflate, chunked",
        b" cow, chunked",
        b" gzip,chunked",
        b" gzip, deflate",
        b" gzip, identity",
        b" xchunked, chunked",
    ] {
        row(all, "coding not implemented", value, with(value), Refused(501));
    }
    for value in [
        &b""[..],
        b" ",
        b" ,",
        b" chunked,",
        b" ,chunked",
        b" , chunked",
        b" chunked, chunked",
        b" chunked,chunked",
        b" chunked, identity",
        b" chunked, gzip",
        b" chunked, cow",
        b" chunked chunked",
        b" chunk ed",
        b" chun\tked",
        b" chunked;",
        b" chunked;q=1",
        b" chunked; q=0",
        b" chunked ; a=b",
        b" \"chunked\"",
        b" (chunked)",
        b" <chunked>",
        b" [chunked]",
        b" {chunked}",
        b" chunked=1",
        b" =chunked",
        b" chunked:",
        b" :chunked",
        b" chunked/1",
        b" chunked@",
        b" chunked\\",
        b" chunked?",
        b" \xa0chunked",
        b" chunked\xa0",
        b" \xc2\xa0chunked",
        b" chunked\xe2\x80\x8b",
        b" \xef\xbb\xbfchunked",
        b" chunked\xff",
        b" ch\xc3\xbcnked",
        b" gzip;, chunked",
        b" gzip chunked",
        b" gzip; chunked",
        b" \"gzip\", chunked",
    ] {
        row(all, "coding malformed", value, with(value), Refused(400));
    }
    add_several(all);
    add_beside_lengths(all);
    add_to_old_versions(all);
}

fn add_several(all: &mut Vec<Vector>) {
    let te = |values: &[&str]| {
        let lines = values.iter().map(|value| format!("Transfer-Encoding: {value}\r\n"));
        let lines = lines.collect::<Vec<_>>().concat();
        post(lines.as_bytes(), EMPTY)
    };
    for (values, status) in [
        (&["chunked", "chunked"][..], 400),
        (&["chunked", "identity"], 400),
        (&["chunked", "gzip"], 400),
        (&["chunked", "cow"], 400),
        (&["chunked", ""], 400),
        (&["", "chunked"], 400),
        (&["identity", "chunked"], 501),
        (&["gzip", "chunked"], 501),
        (&["cow", "chunked"], 501),
        (&["xchunked", "chunked"], 501),
        (&["chunked", "chunked", "chunked"], 400),
        (&["chunked;", "chunked"], 400),
        (&["identity", "identity"], 501),
    ] {
        row(all, "several codings", values.join(" | ").as_bytes(), te(values), Refused(status));
    }
}

/// One of the two is not to be believed, and nobody can know which.
fn add_beside_lengths(all: &mut Vec<Vector>) {
    for length in ["0", "3", "5", "6", "50"] {
        for (what, lines) in [
            ("before", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
            ("behind", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
            (
                "on both sides",
                format!(
                    "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n"
                ),
            ),
            (
                "behind, apart",
                format!("Transfer-Encoding: chunked\r\nX-A: b\r\nContent-Length: {length}\r\n"),
            ),
            (
                "before, coding in capitals",
                format!("Content-Length: {length}\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
            ),
        ] {
            let what = format!("{length} {what}");
            row(all, "length beside coding", what.as_bytes(), post(lines.as_bytes(), EMPTY), Refused(400));
        }
    }
    for (coding, status) in [
        ("identity", 501),
        ("gzip", 501),
        ("xchunked", 501),
        ("gzip, chunked", 501),
        ("chunked, identity", 400),
        ("chunked;", 400),
        ("\"chunked\"", 400),
        ("", 400),
        ("chunk ed", 400),
    ] {
        for order in ["before", "behind"] {
            let (length, coded) = ("Content-Length: 5\r\n", format!("Transfer-Encoding: {coding}\r\n"));
            let lines =
                if order == "before" { format!("{length}{coded}") } else { format!("{coded}{length}") };
            let what = format!("{coding} with a length {order}");
            row(
                all,
                "odd coding beside length",
                what.as_bytes(),
                post(lines.as_bytes(), EMPTY),
                Refused(status),
            );
        }
    }
}

fn add_to_old_versions(all: &mut Vec<Vector>) {
    let old =
        |lines: &str| [format!("POST /first HTTP/1.0\r\nHost: a\r\n{lines}\r\n").as_bytes(), EMPTY].concat();
    for lines in [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "TE: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        row(all, "coding in HTTP/1.0", lines.as_bytes(), old(lines), Refused(400));
    }
    row(all, "coding in HTTP/1.0", b"identity", old("Transfer-Encoding: identity\r\n"), Refused(501));
}
