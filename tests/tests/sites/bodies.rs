//! Bodies: what is inspected of them, and what arrives.

use std::io::Write;

use anyhow::ensure;
use flate2::Compression;
use flate2::write::GzEncoder;
use tests::http::{Answer, field};
use tests::loopback::Loopback;
use tests::nginx::Nginx;

fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn put(guard: &Loopback, target: &str, coding: &str, body: &[u8]) -> anyhow::Result<Answer> {
    let length = body.len();
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    guard.ask(&[head.as_bytes(), body].concat())
}

/// An nginx that keeps what is put.
pub(crate) fn keeping() -> anyhow::Result<Nginx> {
    Nginx::start("location / { dav_methods PUT; create_full_put_path on; }")
}

pub(crate) fn coded() -> anyhow::Result<()> {
    let nginx = keeping()?;
    let guard = Loopback::start(&format!(
        "upstream = \"{}\"\n[[routes]]\nname = \"lenient\"\npaths = [\"/lenient/**\"]\nover_limit = \"pass-and-count\"\n",
        nginx.address
    ))?;
    let honest = gzip(br#"{"name":"a customer","order":[1,2,3]}"#)?;
    ensure!(put(&guard, "/honest", "gzip", &honest)?.status == 201);
    ensure!(std::fs::read(nginx.dir().join("honest"))? == honest, "the upstream gets what the client sent");

    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024])?;
    let answer = put(&guard, "/bomb", "gzip", &bomb)?;
    ensure!(answer.status == 413, "{} bytes: {}", bomb.len(), answer.head);
    let answer = put(&guard, "/unknown", "compress", b"anything")?;
    ensure!(answer.status == 415, "{}", answer.head);
    ensure!(field(&answer.head, "accept-encoding") == Some("gzip, deflate, br, zstd"), "{}", answer.head);
    ensure!(!nginx.dir().join("bomb").exists() && !nginx.dir().join("unknown").exists());

    for (target, coding, body) in
        [("/lenient/bomb", "gzip", &bomb[..]), ("/lenient/unknown", "compress", b"anything")]
    {
        let answer = put(&guard, target, coding, body)?;
        ensure!(answer.status == 201, "{target}: {}", answer.head);
        ensure!(std::fs::read(nginx.dir().join(&target[1..]))? == body, "{target}");
    }
    for (limit, times) in [("decoded_bytes", 2.0), ("content_coding", 2.0)] {
        let counted =
            guard.metric(&format!("skyshield_inspection_limits_reached_total{{limit=\"{limit}\"}}"))?;
        ensure!((counted - times).abs() < 0.5, "{limit}: {counted}");
    }

    let large = vec![b'x'; 3 * 1024 * 1024];
    ensure!(put(&guard, "/large", "identity", &large)?.status == 413);
    ensure!(put(&guard, "/lenient/large", "identity", &large)?.status == 201);
    ensure!(std::fs::read(nginx.dir().join("lenient/large"))? == large);
    let passed = guard.metric("skyshield_gateway_bodies_over_limit_total{action=\"pass\"}")?;
    ensure!((passed - 1.0).abs() < 0.5, "{passed}");

    // Last, as its sender is banned for it.
    let attack = gzip(br#"{"q":"1' UNION SELECT password FROM users--"}"#)?;
    let answer = put(&guard, "/lenient/attack", "gzip", &attack)?;
    ensure!(answer.status == 403 && !nginx.dir().join("lenient/attack").exists(), "{}", answer.head);
    Ok(())
}
