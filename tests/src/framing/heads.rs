//! Request lines, versions, hosts, and what stands before a head.

use super::Expected::{Ended, Passed, Refused};
use super::{Vector, add as row};

pub(super) fn add(all: &mut Vec<Vector>) {
    add_request_lines(all);
    add_targets(all);
    add_versions(all);
    add_hosts(all);
    add_authorities(all);
    add_beginnings(all);
    add_sizes(all);
}

fn lined(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: a\r\n\r\n"].concat()
}

fn add_request_lines(all: &mut Vec<Vector>) {
    for line in [
        &b"GET /first"[..],
        b"GET",
        b"GET ",
        b" GET /first HTTP/1.1",
        b"\tGET /first HTTP/1.1",
        b"GET  /first HTTP/1.1",
        b"GET /first  HTTP/1.1",
        b"GET\t/first HTTP/1.1",
        b"GET /first\tHTTP/1.1",
        b"GET /first HTTP/1.1 ",
        b"GET /first HTTP/1.1\t",
        b"GET /first HTTP/1.1 x",
        b"GET /fi rst HTTP/1.1",
        b"GET /first\x0bHTTP/1.1",
        b"GET\x0b/first HTTP/1.1",
        b"GET\x00/first HTTP/1.1",
        b"G\x00ET /first HTTP/1.1",
        b"G(ET /first HTTP/1.1",
        b"G\"ET /first HTTP/1.1",
        b"G\xffET /first HTTP/1.1",
        b"G:ET /first HTTP/1.1",
        b"G,ET /first HTTP/1.1",
        b"/first HTTP/1.1",
        b"HTTP/1.1",
        b"GET /first HTTP/1.1\x00",
        b": /first HTTP/1.1",
        b"GET, /first HTTP/1.1",
        b"GET /first HTTP/1.1,",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9.2",
        b"{\"jsonrpc\":\"2.0\"}",
    ] {
        row(all, "request line", line, lined(line), Refused(400));
    }
    for method in ["get", "Get", "X", "M-SEARCH", "A!#$%&'*+.^_`|~B"] {
        let line = format!("{method} /first HTTP/1.1");
        row(all, "method", method.as_bytes(), lined(line.as_bytes()), Passed(1));
    }
    for line in ["CONNECT a:80 HTTP/1.1", "CONNECT /first HTTP/1.1", "TRACE /first HTTP/1.1"] {
        row(all, "method", line.as_bytes(), lined(line.as_bytes()), Refused(405));
    }
}

fn add_targets(all: &mut Vec<Vector>) {
    for target in [
        &b"/"[..],
        b"/first?a=b",
        b"/?",
        b"//first",
        b"/a/../b",
        b"/a/./b",
        b"/%2e%2e/b",
        b"/%00",
        b"/a;b=c",
        b"/a%0d%0ab",
        b"/\"",
        b"/<a>",
        b"/a\\b",
        b"/{a}",
        b"/a|b",
        b"/a^b",
        b"/`a`",
        b"/%zz",
        b"/%",
        b"/a?b?c",
        b"/:80",
    ] {
        let line = [b"GET ", target, b" HTTP/1.1"].concat();
        row(all, "target", target, lined(&line), Passed(1));
    }
    for byte in (0..b'!').chain(0x7f..=0x81).chain([0xa0, 0xc3, 0xe2, 0xfe, 0xff]) {
        if b"\r\n".contains(&byte) {
            continue;
        }
        let line = [b"GET /a", &[byte][..], b"b HTTP/1.1"].concat();
        row(all, "byte in a target", &[byte], lined(&line), Refused(400));
    }
    for target in [
        &b"first"[..],
        b"?a=b",
        b"*",
        b"#a",
        b"/a#b",
        b"a:80",
        b"http:/a/first",
        b"http:a/first",
        b"ftp://a/first",
        b"ws://a/first",
        b"file:///etc/passwd",
        b"javascript://a/",
        b"http://",
        b"://a/first",
        b"\\first",
        b".",
    ] {
        let line = [b"GET ", target, b" HTTP/1.1"].concat();
        row(all, "target that is none", target, lined(&line), Refused(400));
    }
    row(all, "target", b"OPTIONS *", lined(b"OPTIONS * HTTP/1.1"), Passed(1));
}

fn add_versions(all: &mut Vec<Vector>) {
    for version in ["HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        let line = format!("GET /first {version}");
        row(all, "version", version.as_bytes(), lined(line.as_bytes()), Refused(505));
    }
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.1.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/11",
        "HTTP/1,1",
        "http/1.1",
        "Http/1.1",
        "HTTP 1.1",
        "HTTP/ 1.1",
        "HTTP\\1.1",
        "HTTPS/1.1",
        "HTP/1.1",
        "XTTP/1.1",
        "HTTP/1.1a",
        "HTTP/x.y",
        "HTTP/+1.1",
        "HTTP/-1.1",
        "HTTP/2",
        "ICY/1.0",
        "RTSP/1.0",
    ] {
        let line = format!("GET /first {version}");
        row(all, "version malformed", version.as_bytes(), lined(line.as_bytes()), Refused(400));
    }
    for (what, text, expected) in [
        ("closes", "GET /first HTTP/1.0\r\nHost: a\r\n\r\n", Ended(1)),
        ("without a host", "GET /first HTTP/1.0\r\n\r\n", Ended(1)),
        ("stays", "GET /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", Passed(1)),
        (
            "stays with a body",
            "POST /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
            Passed(1),
        ),
        ("of two minds", "GET /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", Ended(1)),
    ] {
        row(all, "HTTP/1.0", what.as_bytes(), text.as_bytes().to_vec(), expected);
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    row(all, "version", b"the preface of HTTP/2", preface, Refused(505));
}

fn add_hosts(all: &mut Vec<Vector>) {
    let of = |lines: &str| format!("GET /first HTTP/1.1\r\n{lines}\r\n").into_bytes();
    for host in
        ["a", "a:80", "a.example", "A.EXAMPLE", "127.0.0.1", "[::1]", "[::1]:80", "a_b", "a:", "xn--e1afmkfd"]
    {
        row(all, "host", host.as_bytes(), of(&format!("Host: {host}\r\n")), Passed(1));
    }
    for lines in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nhost: a\r\n",
        "Host: a\r\nHost:\r\n",
        "Host: a\r\nX-A: b\r\nHost: a\r\n",
        "Host_: a\r\n",
        "Host : a\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a, a\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: u@a\r\n",
        "Host: http://a\r\n",
        "Host: a:b\r\n",
        "Host: a:80:80\r\n",
        "Host: a:123456\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: [a]\r\n",
        "Host: [::1]x\r\n",
        "Host: [::1%25eth0]\r\n",
        "Host: a\\b\r\n",
        "Host: \"a\"\r\n",
        "Host: a;b\r\n",
        "Host: a%2eb\r\n",
        "Host: a\u{e9}\r\n",
        "Host: (a)\r\n",
        "Host: a|b\r\n",
        "Host: a:-80\r\n",
        "Host: a:+80\r\n",
        "Host: *\r\n",
        "Host: a$b\r\n",
    ] {
        row(all, "host malformed", lines.as_bytes(), of(lines), Refused(400));
    }
}

fn add_authorities(all: &mut Vec<Vector>) {
    let of = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    for (target, host) in [
        ("http://a/first", "a"),
        ("HTTP://a/first", "a"),
        ("http://A/first", "a"),
        ("http://a", "a"),
        ("http://a?b", "a"),
        ("https://a/first", "a"),
        ("http://a:80/first", "a:80"),
        ("http://[::1]/first", "[::1]"),
    ] {
        row(all, "absolute target", format!("{target} of {host}").as_bytes(), of(target, host), Passed(1));
    }
    for (target, host) in [
        ("http://b/first", "a"),
        ("http://a:80/first", "a"),
        ("http://a/first", "a:80"),
        ("http://u@a/first", "a"),
        ("http://a@b/first", "b"),
        ("http://a%2e/first", "a"),
        ("http:///first", "a"),
        ("http://a\\b/first", "a"),
        ("http://a./first", "a"),
        ("http://a:/first", "a"),
        ("http://a,b/first", "a"),
        ("http://a;b/first", "a"),
    ] {
        row(
            all,
            "authority that is not the host",
            format!("{target} of {host}").as_bytes(),
            of(target, host),
            Refused(400),
        );
    }
}

fn add_beginnings(all: &mut Vec<Vector>) {
    let get = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    row(all, "beginning", b"one empty line", [b"\r\n", &get[..]].concat(), Passed(1));
    for before in [
        &b"\r\n\r\n"[..],
        b"\n",
        b"\r",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\n\r\n",
        b"\r\n\n",
        b"0\r\n\r\n",
        b" \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ] {
        row(all, "beginning", before, [before, &get[..]].concat(), Refused(400));
    }
}

fn add_sizes(all: &mut Vec<Vector>) {
    let of = |lines: &str| format!("GET /first HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    row(all, "size", b"99 more lines", of(&"A: b\r\n".repeat(99)), Passed(1));
    row(all, "size", b"100 more lines", of(&"A: b\r\n".repeat(100)), Refused(431));
    row(all, "size", b"1000 more lines", of(&"A: b\r\n".repeat(1000)), Refused(431));
    for (bytes, expected) in [(1024, Passed(1)), (33 * 1024, Refused(431)), (1 << 20, Refused(431))] {
        let line = format!("X: {}\r\n", "x".repeat(bytes));
        row(all, "size of a line", bytes.to_string().as_bytes(), of(&line), expected);
    }
    for (bytes, expected) in [(1024, Passed(1)), (33 * 1024, Refused(414)), (1 << 20, Refused(414))] {
        let text = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes));
        row(all, "size of a target", bytes.to_string().as_bytes(), text.into_bytes(), expected);
    }
}
