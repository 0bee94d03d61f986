//! Databases of places under a running daemon.

use std::fs;

use tests::loopback::until;
use tests::mmdb::{Mmdb, Value};

use crate::shop::Shop;

fn database(built_at: u64, code: &str) -> Vec<u8> {
    Mmdb::new("GeoLite2-Country", built_at)
        .with("45.0.0.0/8", &Value::country(code))
        .with("46.0.0.0/8", &Value::country("DE"))
        .bytes()
}

#[test]
fn a_place_is_a_term_a_policy_bans_and_a_broken_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("country.mmdb");
    fs::write(&path, database(1_700_000_000, "XK")).unwrap();
    let shop = Shop::open(&format!(
        "[dataplane]\nmax_listed = 1000\nmax_listed_prefixes = 1000\n\n[risk.weights]\ncountries = {{ DE = 0.3 }}\n\n\
         [geoip]\ncountry = \"{}\"\ncheck_secs = 1\n\n\
         [[geoip.policies]]\nname = \"away\"\ncountries = [\"XK\"]\naction = \"ban\"\n",
        path.display()
    ))
    .unwrap();
    let daemon = &shop.daemon.daemon;
    assert_eq!(shop.get("45.1.2.3", "/").unwrap().status, 403);
    assert_eq!(shop.get("46.1.2.3", "/").unwrap().status, 200);
    assert_eq!(shop.get("47.1.2.3", "/").unwrap().status, 200, "nowhere is no offence");
    let explained = daemon.json("/api/v1/explain/46.1.2.3").unwrap();
    assert!(
        explained["terms"].as_array().unwrap().iter().any(|term| term["rule"] == "country"),
        "{explained}"
    );
    let known = daemon.json("/api/v1/reputation/45.1.2.3").unwrap();
    assert_eq!((&known["place"]["country"], &known["unwanted_by"]), (&"XK".into(), &"policy away".into()));

    let places = || daemon.json("/api/v1/places").map(|page| page["items"][0].clone());
    let whole = database(1_700_000_001, "FR");
    for broken in
        [&whole[..whole.len() / 2], b"", b"<html>", &Mmdb::new("GeoLite2-Country", 1).with_a_cycle().bytes()]
    {
        fs::write(&path, broken).unwrap();
        until("it is told of", || Ok(places()?["status"] == "failing")).unwrap();
        assert_eq!(shop.get("45.1.2.3", "/").unwrap().status, 403, "the last one stays");
    }
    fs::write(&path, &whole).unwrap();
    until("the new one is in use", || Ok(places()?["status"] == "ok")).unwrap();
    assert_eq!(shop.get("45.1.2.3", "/").unwrap().status, 200);
    assert!(places().unwrap()["age_seconds"].as_u64().unwrap() > 0);
    fs::remove_file(&path).unwrap();
    until("it is told of", || Ok(places()?["status"] == "failing")).unwrap();
    assert_eq!(daemon.json("/api/v1/reputation/46.1.2.3").unwrap()["place"]["country"], "DE");
}
