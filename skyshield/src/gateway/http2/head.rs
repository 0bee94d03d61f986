//! Heads from one protocol to the other: a request's into the text that the guard reads, and a
//! response's out of the text that would go to a client of HTTP/1.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::gateway::guard::Cause;

/// The head as a client of HTTP/1.0 would say it: one that sends no chunks and takes none, and whose
/// connection ends with the answer. The guard reads it like any other.
///
/// There is one authority: `Host`, where it comes too, is the same.
pub(super) fn as_text(head: &Parts) -> Result<Vec<u8>, Cause> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) | (None, None, None) => return Err(Cause::Host),
        (Some(authority), Some(host), None)
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            return Err(Cause::Authority);
        }
        (Some(authority), _, None) => authority.as_bytes(),
        (None, Some(host), None) => host.as_bytes(),
    };
    let target = head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    if !target.starts_with('/') && target != "*" {
        // CONNECT has no path, and is not served for what it is.
        return Err(if head.method == http::Method::CONNECT { Cause::Method } else { Cause::Target });
    }
    let mut text = Vec::with_capacity(512);
    let mut put = |pieces: [&[u8]; 4]| pieces.iter().for_each(|piece| text.extend_from_slice(piece));
    put([head.method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.0\r\n"]);
    put([b"Host: ", host, b"\r\n", b""]);
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != HOST && *name != COOKIE) {
        put([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    let mut cookies = head.headers.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        // Crumbs of one line (RFC 9113, section 8.2.3).
        put([b"cookie: ", first.as_bytes(), b"", b""]);
        cookies.for_each(|crumb| put([b"; ", crumb.as_bytes(), b"", b""]));
        put([b"\r\n", b"", b"", b""]);
    }
    put([b"\r\n", b"", b"", b""]);
    Ok(text)
}

/// What a response's head came to.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) response: Response<()>,
    /// How many bytes its body has, where it is said.
    pub(super) length: Option<u64>,
}

/// The head in `text`, as the gateway wrote it, without the empty line.
pub(super) fn out_of_text(text: &[u8]) -> Option<Translated> {
    let mut lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = StatusCode::from_bytes(lines.next()?.get(9..12)?).ok()?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(24);
    let mut length = None;
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // What the connection's own framing says is HTTP/2's to say.
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            continue;
        };
        if name == CONNECTION || name == TRANSFER_ENCODING {
            continue;
        }
        if name == CONTENT_LENGTH {
            length = value.to_str().ok().and_then(|length| length.parse().ok());
        }
        headers.append(name, value);
    }
    Some(Translated { response, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: http::request::Builder) -> Result<String, Cause> {
        let (head, ()) = request.body(()).unwrap().into_parts();
        as_text(&head).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_request_is_said_in_the_words_of_http_1() {
        let request = http::Request::post("https://shop.example/a?b=c")
            .header("cookie", "a=1")
            .header("x-a", "1")
            .header("cookie", "b=2")
            .header("host", "SHOP.example")
            .header("x-a", "2");
        let expected =
            "POST /a?b=c HTTP/1.0\r\nHost: shop.example\r\nx-a: 1\r\nx-a: 2\r\ncookie: a=1; b=2\r\n\r\n";
        assert_eq!(text(request).as_deref(), Ok(expected));
        let by_host = http::Request::get("/").header("host", "a");
        assert_eq!(text(by_host).as_deref(), Ok("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
    }

    #[test]
    fn there_is_one_authority_and_a_path() {
        for (what, request, cause) in [
            ("none", http::Request::get("/"), Cause::Host),
            ("another host", http::Request::get("https://a/").header("host", "b"), Cause::Authority),
            ("two hosts", http::Request::get("/").header("host", "a").header("host", "a"), Cause::Host),
            ("CONNECT", http::Request::connect("a:443"), Cause::Method),
        ] {
            assert_eq!(text(request), Err(cause), "{what}");
        }
    }

    #[test]
    fn a_response_loses_what_is_the_connections() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
            Transfer-Encoding: chunked\r\nConnection: close";
        let Translated { response, length } = out_of_text(head).unwrap();
        assert_eq!((response.status().as_u16(), length), (200, Some(12)));
        let names: Vec<_> = response.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-length", "x-a", "set-cookie", "set-cookie"]);
        assert!(out_of_text(b"HTTP/1.1").is_none());
    }
}
