use super::*;

/// What becomes of the bytes of one head.
fn parsed(bytes: &[u8]) -> Result<(Head, Vec<u8>), Cause> {
    let len = match scan(bytes, 0)? {
        Scan::Complete(len) => len,
        Scan::Partial => return Err(early_problem(bytes).unwrap_or(Cause::TooSlow)),
    };
    let mut bytes = bytes[..len].to_vec();
    let mut head = Head::default();
    head.parse(&mut bytes, 100)?;
    Ok((head, bytes))
}

/// A GET with these further header lines.
fn with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n").into_bytes()
}

fn expect_refused(what: &str, bytes: &[u8], cause: Cause) {
    let outcome = parsed(bytes).map(|(head, _)| head.framing);
    assert_eq!(outcome, Err(cause), "{what}");
}

#[test]
fn framings_that_servers_read_differently_are_refused() {
    for (what, bytes, cause) in [
        ("CL before TE", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), Cause::Framing),
        ("TE before CL", with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), Cause::Framing),
        ("two equal CL", with("Content-Length: 3\r\nContent-Length: 3\r\n"), Cause::Framing),
        ("two different CL", with("Content-Length: 3\r\nContent-Length: 4\r\n"), Cause::Framing),
        ("CL list", with("Content-Length: 3, 3\r\n"), Cause::Framing),
        ("CL +3", with("Content-Length: +3\r\n"), Cause::Framing),
        ("CL -3", with("Content-Length: -3\r\n"), Cause::Framing),
        ("CL 0x3", with("Content-Length: 0x3\r\n"), Cause::Framing),
        ("CL empty", with("Content-Length:\r\n"), Cause::Framing),
        ("CL 2^64", with("Content-Length: 18446744073709551616\r\n"), Cause::Framing),
        ("CL with a space inside", with("Content-Length: 3 3\r\n"), Cause::Framing),
        ("CL space before colon", with("Content-Length : 3\r\n"), Cause::HeaderLine),
        ("CL underscore", with("Content_Length: 3\r\n"), Cause::Framing),
        ("TE underscore", with("Transfer_Encoding: chunked\r\n"), Cause::Framing),
        (
            "Host underscore has no other spelling",
            b"GET / HTTP/1.1\r\nHOST: a\r\nhost: a\r\n\r\n".to_vec(),
            Cause::Host,
        ),
        ("TE xchunked", with("Transfer-Encoding: xchunked\r\n"), Cause::Coding),
        ("TE gzip", with("Transfer-Encoding: gzip\r\n"), Cause::Coding),
        ("TE chunked, identity", with("Transfer-Encoding: chunked, identity\r\n"), Cause::Framing),
        ("TE identity, chunked", with("Transfer-Encoding: identity, chunked\r\n"), Cause::Coding),
        ("TE gzip, chunked", with("Transfer-Encoding: gzip, chunked\r\n"), Cause::Coding),
        ("TE chunked, chunked", with("Transfer-Encoding: chunked, chunked\r\n"), Cause::Framing),
        ("TE ,chunked", with("Transfer-Encoding: ,chunked\r\n"), Cause::Framing),
        ("TE empty", with("Transfer-Encoding:\r\n"), Cause::Framing),
        ("TE \"chunked\"", with("Transfer-Encoding: \"chunked\"\r\n"), Cause::Framing),
        ("TE chunked;q=1", with("Transfer-Encoding: chunked;q=1\r\n"), Cause::Framing),
        ("TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Cause::Framing),
        (
            "TE chunked, then identity",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            Cause::Framing,
        ),
        ("TE \\x0bchunked", with("Transfer-Encoding: \x0bchunked\r\n"), Cause::HeaderLine),
        ("TE space before colon", with("Transfer-Encoding : chunked\r\n"), Cause::HeaderLine),
        (
            "TE in HTTP/1.0",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            Cause::Framing,
        ),
    ] {
        expect_refused(what, &bytes, cause);
    }
}

#[test]
fn lines_hosts_and_targets_that_servers_read_differently_are_refused() {
    let many = with(&"A: b\r\n".repeat(100));
    for (what, bytes, cause) in [
        ("bare LF header lines", b"GET / HTTP/1.1\nHost: a\n\n".to_vec(), Cause::LineEnd),
        ("one bare LF", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".to_vec(), Cause::LineEnd),
        ("bare LF as the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n".to_vec(), Cause::LineEnd),
        ("bare CR in value", with("X: a\rb\r\n"), Cause::HeaderLine),
        ("bare CR as line end", with("X: a\rY: b\r\n"), Cause::HeaderLine),
        ("NUL in value", with("X: a\0b\r\n"), Cause::HeaderLine),
        ("NUL in name", with("X\0: ab\r\n"), Cause::HeaderLine),
        ("obs-fold", with("X: a\r\n b\r\n"), Cause::HeaderLine),
        ("leading space first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_vec(), Cause::HeaderLine),
        ("header without colon", with("nonsense\r\n"), Cause::HeaderLine),
        ("header without name", with(": a\r\n"), Cause::HeaderLine),
        ("name with a space", with("X Y: a\r\n"), Cause::HeaderLine),
        ("name not ASCII", with("Xä: a\r\n"), Cause::HeaderLine),
        ("no Host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n".to_vec(), Cause::Host),
        ("no header at all", b"GET / HTTP/1.1\r\n\r\n".to_vec(), Cause::Host),
        ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n".to_vec(), Cause::Host),
        ("two Hosts", with("Host: b.example\r\n"), Cause::Host),
        ("two equal Hosts", with("Host: a.example\r\n"), Cause::Host),
        ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_vec(), Cause::Host),
        ("Host with a user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_vec(), Cause::Host),
        ("Host list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_vec(), Cause::Host),
        ("Host with a worded port", b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n".to_vec(), Cause::Host),
        ("Host in half a bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".to_vec(), Cause::Host),
        ("abs-URI vs Host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Authority),
        ("abs-URI with user", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Authority),
        ("abs-URI without Host", b"GET http://a/ HTTP/1.1\r\n\r\n".to_vec(), Cause::Host),
        ("abs-URI of HTTP/1.0 without Host", b"GET http://a/ HTTP/1.0\r\n\r\n".to_vec(), Cause::Authority),
        ("abs-URI, other scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Target),
        ("target without slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Target),
        ("asterisk of a GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Target),
        ("fragment in target", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Target),
        ("space in target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("tab delimiters", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("space at the line's end", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n".to_vec(), Cause::LineEnd),
        ("raw utf8 target", "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes().to_vec(), Cause::Target),
        ("raw 0xff target", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("NUL in target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("DEL in target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_vec(), Cause::Version),
        ("HTTP/2.0 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Cause::Version),
        ("http/1.1", b"GET / http/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::RequestLine),
        ("HTTP/0.9", b"GET /\r\n".to_vec(), Cause::RequestLine),
        ("not HTTP", b"\x16\x03\x01\x02\x00\n\r\n\r\n".to_vec(), Cause::LineEnd),
        (
            "two leading CRLFs, one is taken before",
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            Cause::RequestLine,
        ),
        ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_vec(), Cause::Method),
        ("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Cause::Method),
        ("Expect: garbage", with("Expect: garbage\r\n"), Cause::Expectation),
        ("101 headers", many, Cause::TooManyHeaders),
    ] {
        expect_refused(what, &bytes, cause);
    }
}

#[test]
fn what_all_servers_read_alike_is_taken() {
    for (what, bytes, target, framing) in [
        ("plain", with(""), "/", Framing::None),
        ("GET with a body", with("Content-Length: 3\r\n"), "/", Framing::Length(3)),
        ("leading zeros", with("Content-Length: 003\r\n"), "/", Framing::Length(3)),
        ("chunked in capitals", with("transfer-encoding: \t CHUNKED \r\n"), "/", Framing::Chunked),
        ("origin form", b"GET /a?b=c%23 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "/a?b=c%23", Framing::None),
        (
            "absolute form",
            b"GET http://A:81/p?q HTTP/1.1\r\nHost: a:81\r\n\r\n".to_vec(),
            "/p?q",
            Framing::None,
        ),
        (
            "absolute form without path",
            b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            "/",
            Framing::None,
        ),
        (
            "absolute form, query alone",
            b"GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            "/?q",
            Framing::None,
        ),
        ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "*", Framing::None),
        (
            "address as Host",
            b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n".to_vec(),
            "/",
            Framing::None,
        ),
        ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n".to_vec(), "/", Framing::None),
        ("two slashes", b"GET //b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "//b/", Framing::None),
        ("100 headers", with(&"A: b\r\n".repeat(99)), "/", Framing::None),
        ("not ASCII in a value", with("X: \u{e4}\r\n"), "/", Framing::None),
        ("empty value", with("X:\r\n"), "/", Framing::None),
    ] {
        let (head, bytes) = parsed(&bytes).unwrap_or_else(|cause| panic!("{what}: {cause}"));
        assert_eq!((head.target.at(&bytes), head.framing), (target.as_bytes(), framing), "{what}");
    }
}

#[test]
fn a_connection_lives_on_as_its_version_and_its_wishes_say() {
    for (version, lines, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        let (head, _) = parsed(bytes.as_bytes()).unwrap();
        assert_eq!(head.keep_alive, keep_alive, "{version} {lines}");
    }
}

#[test]
fn what_is_meant_for_this_connection_goes_no_further() {
    let lines = "Connection: X-Private, host, upgrade\r\nX-Private: a\r\nX-Public: b\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AA\r\nX-SkyShield-Risk: 0\r\nx_skyshield_risk: 0\r\nX_Forwarded_For: 1.1.1.1\r\n\
         Keep-Alive: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nForwarded: for=1.1.1.1\r\n";
    let (head, bytes) = parsed(&with(lines)).unwrap();
    let passed: Vec<_> = head
        .fields
        .iter()
        .filter(|field| field.kind == Kind::Other)
        .map(|field| String::from_utf8_lossy(field.name.at(&bytes)).into_owned())
        .collect();
    assert_eq!(passed, ["X-Public"]);
    assert_eq!(head.host.map(|host| host.at(&bytes).to_vec()), Some(b"a.example".to_vec()));
    let kinds: Vec<_> = head.fields.iter().filter(|field| field.kind == Kind::ForwardedFor).collect();
    assert!(kinds.is_empty(), "a disguised X-Forwarded-For is nobody's word");
}

#[test]
fn json_is_answered_to_who_asks_for_it_first() {
    for (accept, json) in [
        ("application/json", true),
        ("application/problem+json, text/html", true),
        ("text/html,application/xhtml+xml,application/json;q=0.9", false),
        ("*/*", false),
    ] {
        let (head, _) = parsed(&with(&format!("Accept: {accept}\r\n"))).unwrap();
        assert_eq!(head.prefers_json, json, "{accept}");
    }
}

#[test]
fn a_head_is_found_however_it_is_split() {
    let bytes = with("X: y\r\n");
    for cut in 1..bytes.len() {
        assert_eq!(scan(&bytes[..cut], 0), Ok(Scan::Partial), "{cut}");
        assert_eq!(scan(&bytes, cut), Ok(Scan::Complete(bytes.len())), "{cut}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        start in "(GET|POST|\\PC{0,5}) [ -~]{0,20} HTTP/1\\.[01]\r\n",
        lines in proptest::collection::vec("[!-~]{0,12}:? ?[ -~]{0,12}(\r\n|\n|)", 0..8),
        noise in proptest::collection::vec((0usize..200, proptest::prelude::any::<u8>()), 0..4),
    ) {
        let mut bytes = format!("{start}Host: a\r\n{}\r\n", lines.concat()).into_bytes();
        for (at, byte) in noise {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok((head, bytes)) = parsed(&bytes) {
            let target = head.target.at(&bytes);
            proptest::prop_assert!(target.starts_with(b"/") || target == b"*");
        }
    }
}
