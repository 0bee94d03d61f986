use std::mem::MaybeUninit;

use super::*;
use crate::forward_auth::proxy::Proxy;
use crate::forward_auth::wire::{self, MAX_FIELDS};

fn door(proxy: &str, more: &str) -> Door {
    toml::from_str(&format!("listen = \"127.0.0.1:1\"\nproxy = \"{proxy}\"\n{more}")).unwrap()
}

/// What `door` takes for the original of the question with these lines.
fn asked(door: &Door, line: &str, lines: &[&str]) -> Result<(String, Client), Unasked> {
    let lines: String = lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: asked.example\r\n{lines}\r\n");
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let head = wire::parse(head.as_bytes(), &mut room).unwrap();
    let original = Original::of(door, &head)?;
    let request = original.request(b"");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{} {}{}", text(request.method), text(request.host()), text(request.target));
    Ok((said, original.client))
}

const NGINX: [&str; 4] =
    ["X-Original-Method: POST", "X-Original-URI: /a?b=c", "X-Original-Host: shop", "X-Real-IP: 203.0.113.7"];

#[test]
fn each_proxy_is_understood_in_its_own_words() {
    let forwarded = [
        "X-Forwarded-Method: POST",
        "X-Forwarded-Uri: /a?b=c",
        "X-Forwarded-Host: shop",
        "X-Forwarded-For: 203.0.113.7",
    ];
    let whole = ["X-Forwarded-For: 1.1.1.1, 203.0.113.7"];
    let accel = ["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 9.9.9.9"];
    for (proxy, line, lines, said) in [
        ("nginx", "GET /_skyshield", &NGINX[..], "POST shop/a?b=c"),
        ("haproxy", "POST /", &NGINX, "POST shop/a?b=c"),
        ("traefik", "GET /", &forwarded, "POST shop/a?b=c"),
        ("caddy", "GET /", &forwarded, "POST shop/a?b=c"),
        ("envoy", "PUT /a?b=c", &whole, "PUT asked.example/a?b=c"),
        ("nginx-accel", "PUT /a?b=c", &accel, "PUT asked.example/a?b=c"),
    ] {
        let (found, client) = asked(&door(proxy, ""), line, lines).unwrap();
        assert_eq!((found.as_str(), client.address.to_string().as_str()), (said, "203.0.113.7"), "{proxy}");
        assert!(client.by_proxy, "{proxy}");
    }
}

#[test]
fn what_a_client_says_in_another_proxys_words_is_not_believed() {
    let lies = [
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /harmless",
        "X-Forwarded-Host: other",
        "X-Forwarded-For: 198.51.100.1",
        "X-SkyShield-Peer: 203.0.113.7",
    ];
    let lines = [&NGINX[..], &lies].concat();
    let (found, client) = asked(&door("nginx", ""), "GET /_skyshield", &lines).unwrap();
    assert_eq!(found, "POST shop/a?b=c");
    assert_eq!(client.address.to_string(), "203.0.113.7");
    let lines = ["X-Original-URI: /harmless", "X-Real-IP: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"];
    let (found, client) = asked(&door("envoy", ""), "GET /evil", &lines).unwrap();
    assert_eq!(found, "GET asked.example/evil");
    assert_eq!(client.address.to_string(), "203.0.113.7");
}

#[test]
fn a_proxy_that_does_not_say_what_it_asks_about_is_told_so() {
    for (proxy, lines, error) in [
        ("nginx", &NGINX[1..], Unasked::Missing("x-original-method")),
        ("nginx", &NGINX[..3], Unasked::Missing("x-real-ip")),
        ("traefik", &["X-Forwarded-Uri: /", "X-Forwarded-For: ::1"], Unasked::Missing("x-forwarded-method")),
        ("envoy", &[], Unasked::Missing("x-forwarded-for")),
        ("envoy", &["X-Forwarded-For: unknown"], Unasked::NoAddress("x-forwarded-for")),
        ("nginx-accel", &["X-Real-IP: nobody"], Unasked::NoAddress("x-real-ip")),
        ("nginx-accel", &["X-Real-IP: ::1", "x-real-ip: ::2"], Unasked::Twice("x-real-ip")),
    ] {
        assert_eq!(asked(&door(proxy, ""), "GET /", lines), Err(error), "{proxy} {lines:?}");
    }
}

#[test]
fn the_client_is_the_first_from_the_right_whom_nobody_trusts() {
    let trusting = "trusted_proxies = [\"10.0.0.0/8\"]";
    for (proxy, more, lines, address, by_proxy) in [
        ("traefik", "", &["X-Forwarded-For: 1.1.1.1, 203.0.113.7"][..], "203.0.113.7", true),
        ("traefik", trusting, &["X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7", true),
        (
            "traefik",
            trusting,
            &["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.0.0.2"],
            "203.0.113.7",
            true,
        ),
        ("traefik", trusting, &["X-Forwarded-For: x, 10.0.0.2"], "10.0.0.2", true),
        ("traefik", trusting, &["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], "10.0.0.3", true),
        ("envoy", "bans = \"kernel\"", &["X-Forwarded-For: 203.0.113.7"], "203.0.113.7", false),
        ("envoy", "bans = \"kernel\"", &["X-Forwarded-For: ::ffff:203.0.113.7"], "203.0.113.7", false),
        (
            "envoy",
            "bans = \"kernel\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
            &["X-Forwarded-For: 203.0.113.7, 10.0.0.2"],
            "203.0.113.7",
            true,
        ),
        ("nginx-accel", "", &["X-Real-IP: 203.0.113.7"], "203.0.113.7", true),
        ("nginx-accel", "bans = \"kernel\"", &["X-Real-IP: 203.0.113.7"], "203.0.113.7", false),
        (
            "nginx-accel",
            "bans = \"kernel\"",
            &["X-Real-IP: 203.0.113.7", "X-SkyShield-Peer: 203.0.113.7"],
            "203.0.113.7",
            false,
        ),
        // nginx's realip took the client from a proxy's word: the packets are the proxy's.
        (
            "nginx-accel",
            "bans = \"kernel\"",
            &["X-Real-IP: 203.0.113.7", "X-SkyShield-Peer: 10.0.0.2"],
            "203.0.113.7",
            true,
        ),
        (
            "nginx-accel",
            "bans = \"kernel\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
            &["X-Real-IP: 10.0.0.2", "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.2"],
            "203.0.113.7",
            true,
        ),
    ] {
        let lines = [&["X-Forwarded-Method: GET", "X-Forwarded-Uri: /"], lines].concat();
        let (_, client) = asked(&door(proxy, more), "GET /", &lines).unwrap();
        assert_eq!(
            (client.address.to_string().as_str(), client.by_proxy),
            (address, by_proxy),
            "{lines:?} {more}"
        );
    }
}

#[test]
fn a_target_is_read_in_origin_form_and_without_the_proxys_prefix() {
    let prefixed = door("envoy", "path_prefix = \"/verify\"");
    for (target, read) in [
        ("/verify/a?b", "/a?b"),
        ("/verifya", "/verifya"),
        ("/a", "/a"),
        ("http://asked.example/a?b", "/a?b"),
        ("HTTPS://asked.example?b", "?b"),
        ("http://asked.example", "/"),
        ("*", "*"),
    ] {
        let (found, _) =
            asked(&prefixed, &format!("GET {target}"), &["X-Forwarded-For: 203.0.113.7"]).unwrap();
        assert_eq!(found, format!("GET asked.example{read}"));
    }
    assert_eq!(prefixed.proxy, Proxy::Envoy);
}
