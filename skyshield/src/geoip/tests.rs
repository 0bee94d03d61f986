//! Databases written here, sound and broken in every way that is known.

#[expect(unreachable_pub, reason = "the harness of the other tests has it too")]
#[path = "../../../tests/src/mmdb.rs"]
mod mmdb;

use std::fs;
use std::path::Path;

use prometheus::Registry;

use self::mmdb::{Mmdb, Value, pointer};
use super::read::from_bytes;
use super::*;
use crate::clock;
use crate::engine::decision::{self, DecisionId};
use crate::engine::ruling::{self, Docket, Ruling};
use crate::engine::standing::Origin;
use crate::engine::view::View;

fn sound(built_at: u64) -> Mmdb {
    Mmdb::new("GeoLite2-Country", built_at)
        .with("45.0.0.0/8", &Value::country("GB"))
        .with("46.0.0.0/16", &Value::country("DE"))
        .with("2a00::/12", &Value::country("FR"))
}

fn config(dir: &Path) -> Config {
    Config { country: Some(dir.join("country.mmdb")), ..Config::default() }
}

fn keeper(config: &Config) -> (Result<Keeper, String>, std::sync::Arc<View>) {
    let view = std::sync::Arc::<View>::default();
    let metrics = Metrics::new(&Registry::new()).unwrap();
    (Keeper::open(config, std::sync::Arc::clone(&view), metrics), view)
}

fn country(view: &View, address: &str) -> Option<String> {
    let code = view.atlas().origin_of(address.parse().unwrap())?.country?;
    Some(String::from_utf8_lossy(&code).into_owned())
}

#[test]
fn every_record_size_says_the_same() {
    for bits in [24, 28, 32] {
        let (table, facts) = from_bytes(sound(7).records_of(bits).bytes(), Kind::Country).unwrap();
        let of = |address: &str| table.of(address.parse().unwrap()).and_then(|entry| entry.origin.country);
        assert_eq!(of("45.255.255.255"), Some(*b"GB"), "{bits}");
        assert_eq!(of("46.0.0.0"), Some(*b"DE"));
        assert_eq!((of("46.1.0.0"), of("44.255.255.255")), (None, None));
        assert_eq!(of("2a0f:ffff::1"), Some(*b"FR"));
        assert_eq!((facts.database_type.as_str(), facts.stretches), ("GeoLite2-Country", 3));
    }
}

#[test]
fn every_kind_is_read_and_every_field_may_be_absent() {
    let asn = Mmdb::new("GeoLite2-ASN", 1)
        .with("1.128.0.0/11", &Value::network(1221, "Telstra Pty Ltd"))
        .with("12.81.96.0/19", &Value::Map(vec![("autonomous_system_number", Value::Number(7018))]));
    let (table, _) = from_bytes(asn.bytes(), Kind::Asn).unwrap();
    let entry = table.of("1.130.0.1".parse().unwrap()).unwrap();
    assert_eq!((entry.origin.asn, &*entry.network), (Some(1221), "Telstra Pty Ltd"));
    assert_eq!(table.of("12.81.96.1".parse().unwrap()).unwrap().origin.asn, Some(7018));
    let anonymous = Mmdb::new("GeoIP2-Anonymous-IP", 1)
        .with("1.124.213.1/32", &Value::flags(&["is_anonymous", "is_anonymous_vpn", "is_tor_exit_node"]))
        .with("71.160.223.0/24", &Value::flags(&["is_anonymous", "is_hosting_provider"]));
    let (table, _) = from_bytes(anonymous.bytes(), Kind::Anonymous).unwrap();
    let of = |address: &str| table.of(address.parse().unwrap()).unwrap().origin;
    assert_eq!(of("1.124.213.1"), Origin { is_tor: true, is_proxy: true, ..Origin::default() });
    assert_eq!(of("71.160.223.9"), Origin { is_hosting: true, ..Origin::default() });
}

#[test]
fn a_database_of_something_else_is_named() {
    let asn = Mmdb::new("GeoLite2-ASN", 1).with("1.128.0.0/11", &Value::network(1221, "x")).bytes();
    let error = from_bytes(asn, Kind::Country).unwrap_err();
    assert!(matches!(&error, ReadError::WrongKind { found, .. } if found == "GeoLite2-ASN"), "{error}");
}

/// Broken databases by what is wrong with them.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let with = |value: &Value| sound(1).with("47.0.0.0/8", value).bytes();
    let code = |value: Value| Value::Map(vec![("country", Value::Map(vec![("iso_code", value)]))]);
    let without_marker: Vec<u8> =
        sound(1).bytes().iter().map(|byte| if *byte == 0xab { 0 } else { *byte }).collect();
    let mut deep = Value::Text("x".to_owned());
    for _ in 0..600 {
        deep = Value::Array(vec![deep]);
    }
    // Each level points twice to the one before it: 2^30 strings, if somebody follows.
    let mut fan_out = Mmdb::new("GeoLite2-Country", 1);
    let mut level = fan_out.data_len();
    fan_out.add_data(&Value::Text("x".to_owned()).bytes());
    for _ in 0..30 {
        let next = fan_out.data_len();
        fan_out.add_data(&Value::Array(vec![pointer(level), pointer(level)]).bytes());
        level = next;
    }
    let fan_out = fan_out.with("47.0.0.0/8", &Value::Map(vec![("country", pointer(level))])).bytes();
    let own_offset = sound(1).data_len();
    vec![
        ("empty", Vec::new()),
        ("one byte", vec![1]),
        ("no marker", without_marker),
        ("only a marker", b"\xab\xcd\xefMaxMind.com".to_vec()),
        ("packed", b"\x1f\x8b\x08\0\0\0\0\0".to_vec()),
        ("a page", b"<html>404</html>".to_vec()),
        ("country as a number", with(&Value::Map(vec![("country", Value::Number(1))]))),
        ("code as a number", with(&code(Value::Number(1)))),
        ("code that is no UTF-8", with(&code(Value::Raw(b"\x42\xff\xfe".to_vec())))),
        ("a length past the end", with(&code(Value::Raw(vec![0x5f, 0xff, 0xff, 0xff])))),
        ("an unknown type", with(&Value::Raw(vec![0x00, 0xff]))),
        ("a key that is no text", with(&Value::Raw(vec![0xe1, 0xc1, 0x05, 0xc1, 0x05]))),
        ("a pointer to itself", with(&pointer(own_offset))),
        ("deep", with(&Value::Map(vec![("country", deep)]))),
        ("fan-out", fan_out),
        ("a cycle", sound(1).with_a_cycle().bytes()),
        ("no nodes", sound(1).bytes_saying(0, 28)),
        ("2^32 nodes", sound(1).bytes_saying(1 << 32, 28)),
        ("more nodes than there are", sound(1).bytes_saying(1_000_000, 28)),
        ("records of no bits", sound(1).bytes_saying(1, 0)),
        ("records of 33 bits", sound(1).bytes_saying(1, 33)),
        ("nothing but nets of nobody", Mmdb::new("GeoLite2-Country", 1).bytes()),
    ]
}

#[test]
fn no_broken_database_is_taken_or_takes_long_and_the_last_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let path = config.country.clone().unwrap();
    fs::write(&path, sound(1).bytes()).unwrap();
    let (keeper, view) = keeper(&config);
    let mut keeper = keeper.unwrap();
    assert_eq!(country(&view, "45.1.2.3").as_deref(), Some("GB"));
    for (what, bytes) in broken() {
        fs::write(&path, &bytes).unwrap();
        assert!(!keeper.look(), "{what} was taken");
        assert_eq!(country(&view, "45.1.2.3").as_deref(), Some("GB"), "{what}");
        let state = keeper.states().borrow()[0].clone();
        assert!(state.problem.is_some() && state.in_use.is_some(), "{what}: {state:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(!keeper.look());
    assert_eq!(country(&view, "45.1.2.3").as_deref(), Some("GB"));
    fs::write(&path, sound(2).with("47.0.0.0/8", &Value::country("SE")).bytes()).unwrap();
    assert!(keeper.look());
    assert_eq!(country(&view, "47.1.2.3").as_deref(), Some("SE"));
    assert_eq!(keeper.states().borrow()[0].problem, None);
    fs::write(&path, sound(1).bytes()).unwrap();
    assert!(!keeper.look(), "an older one was taken");
    assert_eq!(country(&view, "47.1.2.3").as_deref(), Some("SE"));
}

#[test]
fn a_database_cut_short_anywhere_never_crashes_and_is_never_taken() {
    let whole = sound(1).bytes();
    for end in 0..whole.len() {
        assert!(from_bytes(whole[..end].to_vec(), Kind::Country).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn a_file_that_is_rewritten_while_it_is_read_is_taken_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let path = config.country.clone().unwrap();
    let one = sound(1).bytes();
    let other = Mmdb::new("GeoLite2-Country", 1).with("45.0.0.0/8", &Value::country("SE")).bytes();
    fs::write(&path, &one).unwrap();
    let (keeper, view) = keeper(&config);
    let mut keeper = keeper.unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for bytes in [&one, &other, &other[..other.len() / 3].to_vec()] {
                    // In place, as no careful updater does it.
                    fs::write(&path, bytes).unwrap();
                }
            }
        });
        for _ in 0..300 {
            keeper.look();
            let found = country(&view, "45.1.2.3");
            assert!(matches!(found.as_deref(), Some("GB" | "SE")), "{found:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn without_its_database_a_place_is_unknown_and_a_policy_that_bans_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (opened, view) = keeper(&config(dir.path()));
    assert!(opened.is_ok());
    assert_eq!(country(&view, "45.1.2.3"), None);
    let policy = "name = \"away\"\ncountries = [\"GB\"]\naction = \"ban\"\n";
    let policies = vec![toml::from_str(policy).unwrap()];
    let banning = Config { policies: policies.clone(), ..config(dir.path()) };
    assert_eq!(banning.problem(), None);
    assert!(Config { country: None, ..banning.clone() }.problem().is_some());
    let told = keeper(&banning).0.err().unwrap();
    assert!(told.contains("country.mmdb") && told.contains("on_missing"), "{told}");
    let patient = Config { on_missing: OnMissing::Start, ..banning.clone() };
    let (opened, view) = keeper(&patient);
    let mut opened = opened.unwrap();
    assert_eq!(view.unwanted("45.1.2.3".parse().unwrap(), clock::now()), None);
    fs::write(banning.country.as_ref().unwrap(), sound(1).bytes()).unwrap();
    assert!(opened.look());
    assert!(view.unwanted("45.1.2.3".parse().unwrap(), clock::now()).is_some());
    let mut docket = Docket::default();
    let allowed = Ruling {
        id: DecisionId(1),
        kind: ruling::Kind::Allow,
        subject: "country:GB".parse().unwrap(),
        origin: decision::Origin::Operator,
        reason: "partners".to_owned(),
        comment: None,
        requests_per_min: 0,
        made_at: clock::wall(),
        until: None,
    };
    docket.put(allowed);
    view.set_book(docket.book());
    assert_eq!(view.unwanted("45.1.2.3".parse().unwrap(), clock::now()), None, "let through beats a policy");
    assert_eq!(
        view.atlas().places(&crate::engine::ranges::Ranges::default()).prefixes,
        [("45.0.0.0/8".parse().unwrap(), 0)]
    );
}

#[test]
fn a_file_that_is_no_file_or_too_large_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("country.mmdb");
    fs::write(&path, sound(1).bytes()).unwrap();
    assert!(matches!(read(&path, Kind::Country, 10), Err(ReadError::TooLarge { .. })));
    assert!(matches!(read(dir.path(), Kind::Country, 1 << 20), Err(ReadError::Io(_))));
}

proptest::proptest! {
    #[test]
    fn no_change_of_a_byte_makes_it_panic(at in 0_usize..2000, byte in proptest::prelude::any::<u8>()) {
        let mut bytes = sound(1).with("47.0.0.0/8", &Value::network(5, "net")).bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        if let Ok((table, _)) = from_bytes(bytes, Kind::Country) {
            let _any = table.of("45.1.2.3".parse().unwrap());
        }
    }
}
