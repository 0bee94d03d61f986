use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::inspect::{Inspector, Limits, Place};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// `hello, world` as Brotli has it: one metablock that is not compressed, and the last, empty one.
const BROTLI_HELLO: &[u8] = b"\x8b\x05\x80hello, world\x03";
/// A megabyte of `a`, by Brotli at its best.
const BROTLI_BOMB: &[u8] = b"\x5b\xff\xff\x8f\x5f\x22\x2c\x1e\x0b\x04\x72\xef\x1f\x00";

fn undo(codings: &[&str], body: &[u8], config: &Config) -> Option<(Vec<u8>, Option<&'static str>)> {
    let headers: Vec<_> =
        codings.iter().map(|coding| Header { name: b"Content-Encoding", value: coding.as_bytes() }).collect();
    let request = Request { method: b"POST", target: b"/", headers: &headers, body };
    decoded(&request, config, &mut Budget::new(&Limits::default()))
        .map(|content| (content.body, content.reached))
}

#[test]
fn each_coding_comes_off_in_the_order_it_was_put_on() {
    let text = b"hello, world".as_slice();
    let twice = [gzip(b"hello, "), gzip(b"world")].concat();
    let frames = [zstd(b"hello, "), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(b"world")].concat();
    for (what, codings, body) in [
        ("gzip", &["gzip"][..], gzip(text)),
        ("its old name, in capitals", &["X-GZIP"], gzip(text)),
        ("two members", &["gzip"], twice),
        ("zlib", &["deflate"], zlib(text)),
        ("bare deflate", &["deflate"], bare(text)),
        ("brotli", &["br"], BROTLI_HELLO.to_vec()),
        ("zstd", &["zstd"], zstd(text)),
        ("several frames", &["zstd"], frames),
        ("one on the other", &["gzip, zstd"], zstd(&gzip(text))),
        ("in lines of their own", &["gzip", "identity, zstd"], zstd(&gzip(text))),
    ] {
        assert_eq!(undo(codings, &body, &Config::default()), Some((text.to_vec(), None)), "{what}");
    }
    assert_eq!(undo(&[], text, &Config::default()), None);
    assert_eq!(undo(&["identity"], text, &Config::default()), None);
    assert_eq!(undo(&["gzip"], b"", &Config::default()), None);
}

#[test]
fn what_cannot_be_read_is_told_with_what_could_be() {
    let text = b"hello, world".as_slice();
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 3].to_vec();
    let behind = |bytes: Vec<u8>| [bytes, b"a=<script>".to_vec()].concat();
    for (what, coding, body, decoded) in [
        ("a coding nobody knows", "compress", text.to_vec(), ""),
        ("not what it says", "gzip", text.to_vec(), ""),
        ("gzip cut short", "gzip", cut(gzip(text)), "hello, world"),
        ("bytes behind gzip", "gzip", behind(gzip(text)), "hello, world"),
        ("bytes behind zlib", "deflate", behind(zlib(text)), "hello, world"),
        ("bytes behind brotli", "br", behind(BROTLI_HELLO.to_vec()), "hello, world"),
        ("bytes behind zstd", "zstd", behind(zstd(text)), "hello, world"),
        ("zstd cut short", "zstd", zstd(text)[..8].to_vec(), ""),
        ("a frame to be skipped beyond the end", "zstd", b"\x50\x2a\x4d\x18\xff\xff\xff\xffabc".to_vec(), ""),
        ("brotli cut short", "br", BROTLI_HELLO[..9].to_vec(), "hello,"),
    ] {
        let expected = Some((decoded.as_bytes().to_vec(), Some("content_coding")));
        assert_eq!(undo(&[coding], &body, &Config::default()), expected, "{what}");
    }
}

#[test]
fn bombs_end_at_a_bound_with_its_name() {
    let megabytes = vec![b'a'; 8 * 1024 * 1024];
    let config = Config::default();
    for (coding, body) in
        [("gzip", gzip(&megabytes)), ("zstd", zstd(&megabytes)), ("br", BROTLI_BOMB.to_vec())]
    {
        let (found, reached) = undo(&[coding], &body, &config).unwrap();
        assert_eq!(reached, Some("decoded_ratio"), "{coding}: {} bytes", body.len());
        assert_eq!(found.len(), config.most_of(body.len()), "{coding}");
        assert!(found.iter().all(|&byte| byte == b'a'));
        assert!(found.capacity() <= 2 * (found.len() + STEP), "{coding}: {}", found.capacity());
    }
    let lenient = Config { ratio: 100_000, bytes: 1_000_000, ..config };
    let (found, reached) = undo(&["gzip"], &gzip(&megabytes), &lenient).unwrap();
    assert_eq!((found.len(), reached), (1_000_000, Some("decoded_bytes")));
    let exact = Config { bytes: megabytes.len(), ..lenient };
    assert_eq!(undo(&["gzip"], &gzip(&megabytes), &exact), Some((megabytes.clone(), None)));
    // A bomb in a bomb is held to what came, not to what the first one made of it.
    let nested = gzip(&gzip(&megabytes));
    let (found, reached) = undo(&["gzip, gzip"], &nested, &Config::default()).unwrap();
    assert_eq!((found.len(), reached), (64 * 1024, Some("decoded_ratio")));
    let (_, reached) = undo(&["gzip, gzip, gzip"], &gzip(&gzip(&gzip(b"a"))), &Config::default()).unwrap();
    assert_eq!(reached, Some("decoded_layers"));
}

#[test]
fn a_frame_that_asks_for_a_hundred_megabytes_gets_none() {
    for (what, frame) in [
        ("a window of 3.75 TB", &b"\x28\xb5\x2f\xfd\x00\xff\x01\0\0"[..]),
        ("a window of 9 MiB", b"\x28\xb5\x2f\xfd\x00\x69\x01\0\0"),
        ("a segment of 64 MiB", b"\x28\xb5\x2f\xfd\xa0\0\0\0\x04\x01\0\0"),
    ] {
        assert_eq!(
            undo(&["zstd"], frame, &Config::default()),
            Some((Vec::new(), Some("decoded_bytes"))),
            "{what}"
        );
    }
}

#[test]
fn a_coded_body_is_read_as_the_application_reads_it() {
    let inspector = Inspector::new(Limits::default());
    let inspect = |coding: &str, body: &[u8]| {
        let headers = [
            Header { name: b"Content-Type", value: b"application/x-www-form-urlencoded" },
            Header { name: b"Content-Encoding", value: coding.as_bytes() },
        ];
        inspector.inspect(&Request { method: b"POST", target: b"/", headers: &headers, body })
    };
    let attack = "name=x&q=1'+UNION+SELECT+password+FROM+users--";
    let found = inspect("gzip", &gzip(attack.as_bytes()));
    assert_eq!(found.left_unread(), None);
    assert!(found.findings.iter().any(|finding| finding.place == Place::Body("q".into())), "{found:?}");
    assert!(inspect("gzip", &gzip(b"name=x&q=hello")).findings.is_empty());
    for (what, coding, body) in [
        ("who ignores the coding reads it plainly", "gzip", attack.as_bytes().to_vec()),
        ("a coding nobody knows", "compress", attack.as_bytes().to_vec()),
        ("behind what was decoded", "gzip", [gzip(b"a=b"), attack.as_bytes().to_vec()].concat()),
        ("before what cannot be decoded", "gzip", [gzip(attack.as_bytes()), b"?".to_vec()].concat()),
    ] {
        let found = inspect(coding, &body);
        assert_eq!(found.left_unread(), Some("content_coding"), "{what}");
        if !what.starts_with("behind") {
            assert!(!found.findings.is_empty(), "{what}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_outgrow_its_bounds(
        start in 0_usize..5,
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        at in 0_usize..100,
    ) {
        let text: Vec<u8> = (0..2000_u32).flat_map(|step| (step * step).to_le_bytes()).collect();
        let whole = [gzip(&text), zlib(&text), bare(&text), zstd(&text), BROTLI_BOMB.to_vec()];
        let mut body = whole[start].clone();
        let at = at.min(body.len());
        let end = (at + noise.len()).min(body.len());
        body.splice(at..end, noise);
        let config = Config { bytes: 50_000, ..Config::default() };
        for coding in ["gzip", "deflate", "br", "zstd"] {
            if let Some((found, _)) = undo(&[coding], &body, &config) {
                proptest::prop_assert!(found.len() <= 50_000);
            }
        }
    }
}

/// Decoding is work even where nothing comes out: tables of codes without a text, members and frames of
/// no bytes. It is paid, and ends when it can be paid no more.
#[test]
fn what_decodes_to_nothing_is_paid_too() {
    let empty_frame = b"\x28\xb5\x2f\xfd\x20\0\x01\0\0";
    let stored_blocks = [b"\0\0\0\xff\xff".repeat(40_000), b"\x01\0\0\xff\xff".to_vec()].concat();
    for (what, coding, body) in [
        ("members", "gzip", gzip(b"").repeat(5000)),
        ("frames", "zstd", empty_frame.repeat(5000)),
        ("blocks", "deflate", stored_blocks),
    ] {
        let (decoded, reached) = undo(&[coding], &body, &Config::default()).expect("it says it is coded");
        assert_eq!((decoded.len(), reached), (0, Some("steps")), "{what}");
    }
    let headers = [Header { name: b"Content-Encoding", value: b"br" }];
    let request = Request { method: b"POST", target: b"/", headers: &headers, body: BROTLI_HELLO };
    let mut budget = Budget::new(&Limits { steps: 1_000_000, ..Limits::default() });
    assert_eq!(decoded(&request, &Config::default(), &mut budget).unwrap().reached, Some("steps"));
}
