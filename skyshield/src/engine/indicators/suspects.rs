//! The sources that indicators speak against, as the doors ask for them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::SystemTime;

use ipnet::IpNet;

use super::indicator::{Indicator, Kind};
use super::observe::neighbourhood_of;
use crate::engine::behaviour::source_of;

/// Below this confidence an indicator says nothing of a request.
const LEAST: f64 = 0.2;

/// Addresses and prefixes, and how sure their indicators are.
#[derive(Debug, Default)]
pub struct Suspects {
    addresses: HashMap<IpAddr, f32>,
    /// By their first address: each family has one length.
    prefixes: HashMap<IpAddr, f32>,
}

impl Suspects {
    /// Those of `indicators` that are sure enough at `at`.
    pub fn new<'a>(indicators: impl Iterator<Item = &'a Indicator>, at: SystemTime) -> Self {
        let mut suspects = Self::default();
        for indicator in indicators {
            let sure = indicator.confidence(at);
            if sure < LEAST {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
            let sure = sure as f32;
            let value = &indicator.value;
            match indicator.kind {
                Kind::Address => {
                    let Ok(address) = value.parse() else { continue };
                    let known = suspects.addresses.entry(source_of(address)).or_default();
                    *known = known.max(sure);
                }
                Kind::Prefix => {
                    let Ok(prefix) = value.parse::<IpNet>() else { continue };
                    suspects.prefixes.insert(prefix.network(), sure);
                }
                Kind::Asn | Kind::UserAgent | Kind::HeaderOrder | Kind::Ja4 | Kind::Payload => {}
            }
        }
        suspects
    }

    /// How sure the surer of the indicators of `address` and of its neighbourhood is, 0 to 1.
    pub fn of(&self, address: IpAddr) -> Option<f32> {
        let own = self.addresses.get(&source_of(address)).copied();
        let around = || self.prefixes.get(&neighbourhood_of(address)?.network()).copied();
        let around = if self.prefixes.is_empty() { None } else { around() };
        match (own, around) {
            (Some(own), Some(around)) => Some(own.max(around)),
            (own, around) => own.or(around),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_source_is_as_suspect_as_the_surer_of_itself_and_its_neighbourhood() {
        let now = clock::wall();
        let seen = |kind, value: &str, weight| {
            let mut indicator = Indicator::new(kind, value.to_owned(), now);
            indicator.seen(weight, &[], "incident", now);
            indicator
        };
        let all = [
            seen(Kind::Address, "45.0.0.1", 0.5),
            seen(Kind::Address, "2001:db8:7:7::1", 0.5),
            seen(Kind::Prefix, "45.0.0.0/24", 0.75),
            seen(Kind::Prefix, "2001:db8:1::/48", 0.25),
            seen(Kind::Address, "45.9.0.1", 0.125),
            seen(Kind::Address, "no address", 0.5),
            seen(Kind::Payload, "45.8.0.1", 0.5),
        ];
        let of = |address: &str, at| Suspects::new(all.iter(), at).of(address.parse().unwrap());
        for (address, sure) in [
            ("45.0.0.1", Some(0.75)),
            ("::ffff:45.0.0.9", Some(0.75)),
            ("2001:db8:7:7::2", Some(0.5)),
            ("2001:db8:1:9::1", Some(0.25)),
            ("45.9.0.1", None),
            ("45.8.0.1", None),
            ("45.0.1.1", None),
        ] {
            assert_eq!(of(address, now), sure, "{address}");
        }
        assert_eq!(of("45.0.0.1", now + Kind::Prefix.half_life() * 3), None);
    }
}
