//! What an incident has to say: which indicators, and how much for each.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::indicator::{Kind, hex};
use super::table::Table;
use crate::engine::incident::Incident;
use crate::engine::place::Atlas;
use crate::engine::source::Source;

/// What a client is like, beside its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traits {
    /// What it says it is, shortened, as text.
    pub user_agent: String,
    /// The names of its headers in their order, hashed; empty where it sent none.
    pub header_order: String,
    /// Its TLS handshake (JA4), where there was one.
    pub ja4: Option<String>,
    /// Whether its headers name another client, as a proxy's do.
    pub forwards: bool,
}

/// Headers that come and go with the request, and say nothing of the client.
const PASSING: &[&[u8]] = &[
    b"cookie",
    b"referer",
    b"content-length",
    b"content-type",
    b"transfer-encoding",
    b"authorization",
    b"origin",
    b"range",
    b"if-none-match",
    b"if-modified-since",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-real-ip",
    b"forwarded",
    b"via",
];
/// Header lines that are looked at.
const LINES: usize = 64;

impl Traits {
    /// The hash of these header names in their order.
    pub fn order_of<'a>(names: impl Iterator<Item = &'a [u8]>) -> String {
        let mut digest = Sha256::new();
        let mut any = false;
        for name in names.take(LINES) {
            let name = name.to_ascii_lowercase();
            if !PASSING.contains(&name.as_slice()) {
                digest.update(&name);
                digest.update(b",");
                any = true;
            }
        }
        if any { hex(&digest.finalize()[..8]) } else { String::new() }
    }
}

/// Something about an incident that other attacks may have in common with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// What it is about.
    pub kind: Kind,
    /// Which.
    pub value: String,
    /// How much a sighting is believed, 0 to 1. What names an innocent crowd (a network, a browser's name)
    /// is believed little each time.
    weight: f64,
}

/// Payloads of an incident that are signs of it.
const PAYLOADS: usize = 4;

/// The signs of `incident`, whose source is where `atlas` says.
pub fn signs(incident: &Incident, atlas: &Atlas) -> Vec<Sign> {
    let address = incident.client.address;
    let Traits { user_agent, header_order, ja4, forwards: _ } = &incident.traits;
    let asn = atlas.origin_of(address).and_then(|origin| origin.asn);
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let one = [
        (Kind::Address, Some(address.to_string()), 0.6),
        (Kind::Prefix, neighbourhood_of(address).map(|prefix| Source::prefix(prefix).to_string()), 0.2),
        (Kind::Asn, asn.map(|asn| asn.to_string()), 0.02),
        (Kind::UserAgent, said(user_agent), 0.05),
        (Kind::HeaderOrder, said(header_order), 0.05),
        (Kind::Ja4, ja4.clone(), 0.05),
    ];
    let mut payloads: Vec<String> = incident
        .findings
        .iter()
        .filter(|finding| finding.confidence.value() >= 0.5 && finding.matched.len() >= 8)
        .map(|finding| hex(&Sha256::digest(finding.matched.as_bytes())))
        .collect();
    payloads.sort_unstable();
    payloads.dedup();
    let payloads = payloads.into_iter().take(PAYLOADS).map(|payload| (Kind::Payload, Some(payload), 0.5));
    let all = one.into_iter().chain(payloads);
    all.filter_map(|(kind, value, weight)| Some(Sign { kind, value: value?, weight })).collect()
}

/// Notes what `incident` has to say in `table`.
pub fn observe(table: &mut Table, incident: &Incident, atlas: &Atlas) {
    let score = incident.assessment.bill.of_the_request().score().value();
    if score <= 0.0 {
        return;
    }
    let id = incident.id.to_string();
    let mut threats: Vec<String> = incident.findings.iter().map(|finding| finding.class.name()).collect();
    threats.dedup();
    let mut is_new = false;
    for Sign { kind, value, weight } in signs(incident, atlas) {
        // A prefix is as bad as it has bad addresses, however often each of them is seen.
        if kind != Kind::Prefix || is_new {
            let is_first = table.note(kind, value, weight * score, &threats, &id, incident.at);
            is_new |= kind == Kind::Address && is_first;
        }
    }
}

/// The prefix that stands for the neighbourhood of `address`: a /24, of IPv6 a /48.
pub(super) fn neighbourhood_of(address: IpAddr) -> Option<IpNet> {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).ok().map(|prefix| prefix.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_headers_is_that_of_the_client_and_not_of_the_request() {
        let order = |names: &[&str]| Traits::order_of(names.iter().map(|name| name.as_bytes()));
        let plain = order(&["Host", "User-Agent", "Accept"]);
        assert_eq!(plain, order(&["host", "user-agent", "Cookie", "accept"]));
        assert_ne!(plain, order(&["User-Agent", "Host", "Accept"]));
        assert_eq!((plain.len(), order(&["Cookie"]).as_str()), (16, ""));
    }
}
