//! Indicators as a STIX 2.1 bundle: what other people's tools read.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::time::rfc3339;
use crate::engine::indicators::{Indicator, Kind};

/// Who made them: the same in every installation, for nothing in it names one.
const IDENTITY: &str = "identity--6f0b1c1e-2a5d-4d5c-9a3e-5b0c5c1d7e21";

/// A bundle of `indicators` as they are at `now`.
pub(super) fn bundle(indicators: &[Indicator], now: SystemTime) -> Value {
    let identity = json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": IDENTITY,
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": "SkyShield",
        "identity_class": "system",
    });
    let objects = indicators.iter().flat_map(|indicator| objects(indicator, now));
    let objects: Vec<Value> = std::iter::once(identity).chain(objects).collect();
    let first = indicators.first().map_or_else(|| "empty".to_owned(), Indicator::id);
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let id = crate::engine::indicators::uuid(&[b"bundle", first.as_bytes(), &millis.to_be_bytes()]);
    json!({ "type": "bundle", "id": format!("bundle--{id}"), "objects": objects })
}

/// The indicator, and how often it was seen.
fn objects(indicator: &Indicator, now: SystemTime) -> [Value; 2] {
    let id = indicator.id();
    let (first, last) = (rfc3339(indicator.first_seen), rfc3339(indicator.last_seen));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let confidence = (indicator.confidence(now) * 100.0).round() as u8;
    // After seven half-lives a hundredth is left.
    let ends = indicator.last_seen + indicator.kind.half_life() * 7;
    let named = indicator.threats.first().cloned().unwrap_or_else(|| "attack".to_owned());
    let described = json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": format!("indicator--{id}"),
        "created_by_ref": IDENTITY,
        "created": first,
        "modified": last,
        "name": format!("{} seen in attacks ({named})", indicator.kind.name().replace('_', " ")),
        "indicator_types": ["malicious-activity"],
        "pattern": pattern(indicator),
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": first,
        "valid_until": rfc3339(ends),
        "confidence": confidence,
        "labels": indicator.threats,
    });
    let sighting = crate::engine::indicators::uuid(&[b"sighting", id.as_bytes()]);
    let seen = json!({
        "type": "sighting",
        "spec_version": "2.1",
        "id": format!("sighting--{sighting}"),
        "created_by_ref": IDENTITY,
        "created": first,
        "modified": last,
        "first_seen": first,
        "last_seen": last,
        "count": indicator.count.min(999_999_999),
        "sighting_of_ref": format!("indicator--{id}"),
    });
    [described, seen]
}

/// What to look for.
fn pattern(indicator: &Indicator) -> String {
    let value = indicator.value.replace('\\', "\\\\").replace('\'', "\\'");
    let family = if value.contains(':') { "ipv6-addr" } else { "ipv4-addr" };
    match indicator.kind {
        Kind::Address => format!("[{family}:value = '{value}']"),
        Kind::Prefix => format!("[{family}:value ISSUBSET '{value}']"),
        Kind::Asn => format!("[autonomous-system:number = {value}]"),
        Kind::UserAgent => {
            format!("[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = '{value}']")
        }
        Kind::HeaderOrder => format!("[x-skyshield-client:header_order = '{value}']"),
        Kind::Ja4 => format!("[x-skyshield-client:ja4 = '{value}']"),
        Kind::Payload => format!("[artifact:hashes.'SHA-256' = '{value}']"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::engine::indicators::Table;

    #[test]
    fn a_bundle_holds_what_readers_of_stix_ask_for() {
        let (mut table, now) = (Table::default(), clock::wall());
        for (kind, value) in [
            (Kind::Address, "45.0.0.1"),
            (Kind::Prefix, "2a00:1::/48"),
            (Kind::Asn, "64496"),
            (Kind::UserAgent, "it's a \\tool"),
            (Kind::Payload, "00ff"),
        ] {
            table.note(kind, value.to_owned(), 0.5, &["sqli".to_owned()], "incident", now);
        }
        let wanted = crate::engine::indicators::Wanted { limit: 10, ..Default::default() };
        let bundle = bundle(&table.page(&wanted, now), now);
        let objects = bundle["objects"].as_array().unwrap();
        assert_eq!((bundle["type"].as_str(), objects.len()), (Some("bundle"), 11));
        let patterns: Vec<_> =
            objects.iter().filter_map(|object| object["pattern"].as_str().map(str::to_owned)).collect();
        assert_eq!(
            patterns,
            [
                "[ipv4-addr:value = '45.0.0.1']",
                "[ipv6-addr:value ISSUBSET '2a00:1::/48']",
                "[autonomous-system:number = 64496]",
                "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'it\\'s a \\\\tool']",
                "[artifact:hashes.'SHA-256' = '00ff']",
            ]
        );
        for object in objects {
            let (kind, id) = (object["type"].as_str().unwrap(), object["id"].as_str().unwrap());
            let uuid = id.strip_prefix(&format!("{kind}--")).unwrap();
            assert!(uuid.len() == 36 && &uuid[14..15] == "4", "{id}");
            for key in ["created", "modified"] {
                assert!(object[key].as_str().unwrap().ends_with('Z'), "{object}");
            }
        }
    }
}
