use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn reader(config: &Config) -> Reader {
    Reader::new(Arc::new(Reading::of(config)))
}

/// What a reader makes of `pieces`: each request as one line, and how it went.
fn told(reader: &mut Reader, pieces: &[&[u8]]) -> (Vec<String>, Vec<Progress>) {
    let (mut requests, mut progress) = (Vec::new(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            let step = reader.read(PEER, &mut |client, request| {
                requests.push(format!(
                    "{} {} {} {}",
                    client.address,
                    request.method.escape_ascii(),
                    request.target.escape_ascii(),
                    request.body.escape_ascii()
                ));
            });
            if step == Progress::More {
                break;
            }
            progress.push(step);
            if matches!(step, Progress::Lost(_)) {
                return (requests, progress);
            }
        }
    }
    (requests, progress)
}

const TWO: &[u8] =
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b?c HTTP/1.1\r\nHost: a\r\n\r\n\
                     POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";

#[test]
fn requests_are_shown_one_after_the_other() {
    let mut reader = reader(&Config::default());
    let (requests, progress) = told(&mut reader, &[TWO]);
    assert_eq!(requests, ["203.0.113.7 POST /a abc", "203.0.113.7 GET /b?c ", "203.0.113.7 POST /d xyz"]);
    assert!(progress.iter().all(|step| *step == Progress::Seen { whole: true }), "{progress:?}");
    assert!(reader.is_between() && reader.held() == 0);
}

#[test]
fn whom_a_trusted_proxy_names_is_whose_request_it_is() {
    let trusting = Config { trusted_proxies: vec!["203.0.113.0/24".parse().unwrap()], ..Config::default() };
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n";
    assert_eq!(told(&mut reader(&trusting), &[request]).0, ["198.51.100.9 GET / "]);
    assert_eq!(told(&mut reader(&Config::default()), &[request]).0, ["203.0.113.7 GET / "]);
}

#[test]
fn what_is_beyond_the_limit_is_thrown_away_or_need_not_come() {
    let mut config = Config::default();
    config.limits.inspected_body_bytes = 4;
    let mut reader = reader(&config);
    let head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcdef";
    let (requests, progress) = told(&mut reader, &[head]);
    assert_eq!((requests.len(), progress), (1, vec![Progress::Seen { whole: false }]));
    assert!(reader.unwanted() <= 6 && reader.skip(1));
    let left = reader.unwanted();
    assert!(!reader.skip(left + 1) && reader.skip(left) && reader.is_between());
    assert_eq!(told(&mut reader, &[b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"]).0, ["203.0.113.7 GET /b "]);
    assert!(!reader.skip(1), "what is missing of a head is missed");
}

#[test]
fn what_the_gateway_refuses_is_shown_as_others_may_read_it() {
    for (what, bytes, cause, shown) in [
        ("bare line ends", "GET /x?a=1 HTTP/1.1\nHost: a\n\n", "line_end", "203.0.113.7 GET /x?a=1 "),
        ("two hosts", "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "host", "203.0.113.7 GET /x "),
        (
            "a space in the target",
            "GET /x y HTTP/1.1\r\nHost: a\r\n\r\n",
            "request_line",
            "203.0.113.7 GET /x y ",
        ),
        (
            "a body behind it",
            "POST /x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
            "line_end",
            "203.0.113.7 POST /x abc",
        ),
    ] {
        let (requests, progress) = told(&mut reader(&Config::default()), &[bytes.as_bytes()]);
        assert_eq!(requests, [shown], "{what}");
        assert_eq!(progress, [Progress::Refused(cause)], "{what}");
        let every: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(told(&mut reader(&Config::default()), &every).0, [shown], "{what}, byte by byte");
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let mut config = Config::default();
    config.limits.head_bytes = 1_024;
    let long = [b"GET /".to_vec(), vec![b'a'; 5_000]].concat();
    let (requests, progress) = told(&mut reader(&config), &[&long]);
    assert_eq!((requests.len(), progress), (0, vec![Progress::Lost("target_too_long")]));
}

#[test]
fn what_begins_a_request_is_known_at_first_sight() {
    for yes in ["GET /", "OPTIONS *", "GET http://a/", "PROPFIND /x"] {
        assert!(may_begin_a_request(yes.as_bytes()), "{yes}");
    }
    for no in ["", "GET", "get /", " GET /", "\x16\x03\x01", "HTTP/1.1 200", "PRI "] {
        assert!(!may_begin_a_request(no.as_bytes()), "{no}");
    }
}

proptest! {
    #[test]
    fn any_split_of_a_stream_shows_the_same(cuts in prop::collection::vec(0..TWO.len(), 0..12)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([TWO.len()]) {
            pieces.push(&TWO[from..to]);
            from = to;
        }
        prop_assert_eq!(told(&mut reader(&Config::default()), &pieces).0.len(), 3);
    }

    #[test]
    fn no_bytes_are_beyond_it(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        told(&mut reader(&Config::default()), &pieces);
    }
}
