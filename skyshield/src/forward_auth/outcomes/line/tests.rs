use super::*;

fn told(format: Format, line: &str) -> Option<(String, u16, bool, Option<f64>)> {
    let outcome = parse(format, line.as_bytes())?;
    let address = outcome.address.map(|address| address.to_string()).unwrap_or_default();
    let asked = format!("{address} {} {}{}", outcome.method, outcome.host, outcome.target);
    Some((asked, outcome.status, outcome.is_ours, outcome.secs))
}

#[expect(clippy::unnecessary_wraps, reason = "beside rows that tell nothing")]
fn is(
    asked: &str,
    status: u16,
    is_ours: bool,
    secs: Option<f64>,
) -> Option<(String, u16, bool, Option<f64>)> {
    Some((asked.to_owned(), status, is_ours, secs))
}

#[test]
fn combined_lines_are_read_whatever_stands_in_them() {
    for (line, expected) in [
        (
            r#"203.0.113.7 - - [28/Nov/2026:00:00:00 +0000] "GET /a?b=c HTTP/1.1" 404 153 "-" "curl/8.5""#,
            is("203.0.113.7 GET /a?b=c", 404, false, None),
        ),
        (
            r#"2001:db8::7 - anna [28/Nov/2026:00:00:00 +0000] "POST /login HTTP/2.0" 401 0 "-" "a \x22b\x22""#,
            is("2001:db8::7 POST /login", 401, false, None),
        ),
        // A name that a client has chosen.
        (
            r#"203.0.113.7 - x [1] \x22GET / HTTP/1.1\x22 200 [28/Nov/2026:00:00:00 +0000] "GET /own HTTP/1.1" 401 1 "-" "-""#,
            is("203.0.113.7 GET /own", 401, false, None),
        ),
        (r#"203.0.113.7 - - [t] "GET /a b HTTP/1.1" 400 1"#, is("203.0.113.7 GET /a b", 400, false, None)),
        (r#"203.0.113.7 - - [t] "\x16\x03\x01" 400 1 "-" "-""#, None),
        (r#"203.0.113.7 - - [t] "GET / HTTP/1.1" 999 1 "-" "-""#, None),
        (r#"example.org - - [t] "GET / HTTP/1.1" 200 1 "-" "-""#, None),
        (r#"203.0.113.7 - - [t] "GET / HTTP/1.1"#, None),
        ("", None),
    ] {
        assert_eq!(told(Format::Combined, line), expected, "{line}");
    }
}

#[test]
fn traefik_lines_tell_how_long_and_who_answered() {
    let line = |agent: &str, server: &str| {
        format!(
            r#"203.0.113.7 - - [28/Nov/2026:00:00:00 +0000] "GET /a HTTP/1.1" 404 19 "-" "{agent}" 12 "shop@file" {server} 7ms"#
        )
    };
    let served = line("curl", r#""http://10.0.0.1:80""#);
    assert_eq!(told(Format::Traefik, &served), is("203.0.113.7 GET /a", 404, false, Some(0.007)));
    let refused = line("curl", r#""-""#);
    assert_eq!(told(Format::Traefik, &refused), is("203.0.113.7 GET /a", 404, true, Some(0.007)));
    let forged = line(r#"x" "y"#, r#""http://10.0.0.1:80""#);
    assert_eq!(told(Format::Traefik, &forged), None);
}

#[test]
fn envoy_lines_that_a_client_could_have_forged_are_not_taken() {
    let line = |chain: &str, agent: &str, upstream: &str| {
        format!(
            r#"[2026-11-28T00:00:00.000Z] "GET /a HTTP/1.1" 503 UF 0 91 12 - "{chain}" "{agent}" "id" "shop" "{upstream}""#
        )
    };
    let served = line("1.1.1.1, 203.0.113.7", "curl", "10.0.0.1:80");
    assert_eq!(told(Format::Envoy, &served), is("203.0.113.7 GET shop/a", 503, false, Some(0.012)));
    assert!(told(Format::Envoy, &line("203.0.113.7", "curl", "-")).unwrap().2);
    assert_eq!(told(Format::Envoy, &line(r#"9.9.9.9" "x, 203.0.113.7"#, "curl", "10.0.0.1:80")), None);
    assert_eq!(told(Format::Envoy, &line("203.0.113.7", r#"a" "b"#, "10.0.0.1:80")), None);
    assert_eq!(told(Format::Envoy, &line("203.0.113.7", r#"a"b"#, "10.0.0.1:80")), None);
}

#[test]
fn haproxy_lines_tell_what_it_answered_by_itself() {
    let line = |client: &str, served: &str| {
        format!(
            "{client} [28/Nov/2026:00:00:00.000] front {served} 0/0/1/2/+9 401 +212 - - ---- 1/1/0/0/0 0/0 \"POST /login HTTP/1.1\""
        )
    };
    let served = line("203.0.113.7:4711", "back/one");
    assert_eq!(told(Format::Haproxy, &served), is("203.0.113.7 POST /login", 401, false, Some(0.009)));
    assert_eq!(
        told(Format::Haproxy, &line("2001:db8::7:4711", "back/one")).unwrap().0,
        "2001:db8::7 POST /login"
    );
    assert!(told(Format::Haproxy, &line("203.0.113.7:4711", "front/<NOSRV>")).unwrap().2);
    assert_eq!(told(Format::Haproxy, "Proxy front started."), None);
}

#[test]
fn json_lines_are_read_by_each_proxys_names() {
    for (line, expected) in [
        (
            r#"{"remote_addr":"203.0.113.7","method":"GET","uri":"/a","host":"shop","status":404,"request_time":0.012}"#,
            is("203.0.113.7 GET shop/a", 404, false, Some(0.012)),
        ),
        (
            r#"{"remote_addr":"203.0.113.7","method":"GET","uri":"/a","host":"shop","status":"403","skyshield_incident":"01J"}"#,
            is("203.0.113.7 GET shop/a", 403, true, None),
        ),
        (
            r#"{"ClientHost":"203.0.113.7","RequestMethod":"GET","RequestPath":"/a","RequestHost":"shop","DownstreamStatus":404,"OriginStatus":404,"Duration":12000000}"#,
            is("203.0.113.7 GET shop/a", 404, false, Some(0.012)),
        ),
        (
            r#"{"ClientHost":"203.0.113.7","RequestMethod":"GET","RequestPath":"/a","RequestHost":"shop","DownstreamStatus":403,"OriginStatus":0,"Duration":1000000}"#,
            is("203.0.113.7 GET shop/a", 403, true, Some(0.001)),
        ),
        (
            r#"{"downstream_remote_address":"203.0.113.7:4711","method":"GET","path":"/a","authority":"shop","response_code":200,"duration":12}"#,
            is("203.0.113.7 GET shop/a", 200, false, Some(0.012)),
        ),
        (
            r#"{"x_forwarded_for":"1.1.1.1, 203.0.113.7","method":"GET","path":"/a","authority":"shop","response_code":200,"duration":12}"#,
            is("203.0.113.7 GET shop/a", 200, false, Some(0.012)),
        ),
        (
            r#"{"request":{"remote_ip":"10.0.0.1","client_ip":"203.0.113.7","method":"GET","host":"shop","uri":"/a"},"status":200,"duration":0.012}"#,
            is("203.0.113.7 GET shop/a", 200, false, Some(0.012)),
        ),
        (
            r#"{"request":{"client_ip":"203.0.113.7"},"status":403,"resp_headers":{"X-Skyshield-Incident":["01J"]}}"#,
            is("203.0.113.7  ", 403, true, None),
        ),
        (r#"{"status":99}"#, None),
        ("[1]", None),
        ("{", None),
    ] {
        assert_eq!(told(Format::Json, line), expected, "{line}");
    }
    let awaited = r#"{"status":200,"skyshield_request":"00000000000000ff"}"#;
    assert_eq!(parse(Format::Json, awaited.as_bytes()).unwrap().awaited, Some(255));
    let no_id = r#"{"status":200,"skyshield_request":"-"}"#;
    assert_eq!(parse(Format::Json, no_id.as_bytes()).unwrap().awaited, None);
}

proptest::proptest! {
    #[test]
    fn no_line_makes_it_panic(line in ".{0,200}", bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
        for format in [Format::Json, Format::Combined, Format::Traefik, Format::Envoy, Format::Haproxy] {
            let _whatever = parse(format, line.as_bytes());
            let _whatever = parse(format, &bytes);
            let _whatever = parse(format, format!("203.0.113.7 - - [t] \"{line}").as_bytes());
        }
    }
}
