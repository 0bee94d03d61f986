//! All databases together, and the policies: what a request asks.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::feeds::special_purpose;
use super::super::ranges::Ranges;
use super::super::standing::Origin;
use super::policy::{Action, Policies, Policy};
use super::table::Table;
use super::{PlaceAct, PlacePolicy, Places};

/// Where sources are, as far as any database says.
#[derive(Debug, Default)]
pub struct Atlas {
    tables: Vec<Arc<Table>>,
    policies: Policies,
}

/// What is known of an address's place, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Where it is.
    pub origin: Origin,
    /// What its network is called.
    pub network: Option<String>,
}

impl Atlas {
    /// What `tables` say, the first that says something first, under `policies`.
    pub fn new(tables: Vec<Arc<Table>>, policies: Policies) -> Self {
        Self { tables, policies }
    }

    /// Where `address` is; none where no database says.
    pub fn origin_of(&self, address: IpAddr) -> Option<Origin> {
        let mut known: Option<Origin> = None;
        for entry in self.tables.iter().filter_map(|table| table.of(address)) {
            known = Some(known.map_or(entry.origin, |known| known.with(entry.origin)));
        }
        known
    }

    /// The same, for people.
    pub fn describe(&self, address: IpAddr) -> Option<Described> {
        let network = self.tables.iter().filter_map(|table| table.of(address));
        let network = network.map(|entry| &*entry.network).find(|network| !network.is_empty());
        let origin = self.origin_of(address)?;
        Some(Described { origin, network: network.map(str::to_owned) })
    }

    /// The first policy that does something with `address`. An unknown place is under none.
    pub fn policy_of(&self, address: IpAddr) -> Option<&Policy> {
        if self.policies.is_empty() {
            return None;
        }
        self.policies.of(&self.origin_of(address)?)
    }

    /// The addresses at whose place `wanted` is true.
    pub fn ranges(&self, wanted: impl Fn(&Origin) -> bool) -> Ranges {
        self.tables.iter().fold(Ranges::default(), |all, table| all.and(&table.ranges(&wanted)))
    }

    /// What policies want of the kernel: of each policy, where it is the first that takes an address; of
    /// `spared` nothing.
    pub fn places(&self, spared: &Ranges) -> Places {
        let mut places = Places::default();
        let mut taken = special_purpose().and(spared);
        for policy in self.policies.iter() {
            let here = self.ranges(|origin| policy.takes(origin));
            let act = match policy.action {
                Action::Ban => Some(PlaceAct::Ban),
                Action::Limit => {
                    let packets_per_sec = policy.packets_per_sec;
                    Some(PlaceAct::Limit { packets_per_sec, burst: packets_per_sec.saturating_mul(2) })
                }
                Action::Pass | Action::Weigh => None,
            };
            // There are fewer policies than the kernel takes.
            if let (Some(act), Ok(index)) = (act, u8::try_from(places.policies.len())) {
                places.policies.push(PlacePolicy { name: policy.name.clone(), act, dry_run: false });
                places.prefixes.extend(here.without(&taken).prefixes().map(|prefix| (prefix, index)));
            }
            taken = taken.and(&here);
        }
        places
    }

    /// Whether nothing is known of any place.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Entry;
    use super::*;

    /// Public addresses: of others nothing is decided.
    const BASE: u32 = 0x2d00_0000;

    fn table(rows: &[(u32, u32, Origin, &str)]) -> Arc<Table> {
        let mut table = Table::new();
        for (first, last, origin, network) in rows {
            let number = table.number(Entry { origin: *origin, network: (*network).into() }).unwrap();
            table.note_v4(BASE + first, BASE + last, number).unwrap();
        }
        Arc::new(table.finished())
    }

    fn in_country(code: [u8; 2]) -> Origin {
        Origin { country: Some(code), ..Origin::default() }
    }

    #[test]
    fn databases_complete_one_another_and_the_first_policy_that_takes_a_place_decides() {
        let asn = Origin { asn: Some(64_496), ..Origin::default() };
        let tor = Origin { is_tor: true, ..Origin::default() };
        let tables = vec![
            table(&[(10, 19, in_country(*b"DE"), ""), (20, 29, in_country(*b"FR"), "")]),
            table(&[(15, 24, asn, "Example Net")]),
            table(&[(18, 18, tor, "")]),
        ];
        let policies: Vec<Policy> = [
            r#"{"name":"net","asns":[64496],"action":"limit"}"#,
            r#"{"name":"land","countries":["DE"],"action":"ban"}"#,
        ]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
        let atlas = Atlas::new(tables, Policies::new(policies));
        let address = |bits: u32| IpAddr::V4((BASE + bits).into());
        let known = atlas.describe(address(18)).unwrap();
        assert_eq!(known.origin, Origin { asn: Some(64_496), is_tor: true, ..in_country(*b"DE") });
        assert_eq!(known.network.as_deref(), Some("Example Net"));
        assert_eq!(atlas.origin_of(address(5)), None);
        let policy = |bits| atlas.policy_of(address(bits)).map(|policy| policy.name.as_str());
        assert_eq!(
            (policy(10), policy(15), policy(22), policy(28), policy(5)),
            (Some("land"), Some("net"), Some("net"), None, None)
        );
        let places = atlas.places(&Ranges::default());
        let acts: Vec<_> = places.policies.iter().map(|policy| policy.act).collect();
        assert_eq!(acts, [PlaceAct::Limit { packets_per_sec: 200, burst: 400 }, PlaceAct::Ban]);
        let at = |bits: u32| {
            let found = places.prefixes.iter().find(|(prefix, _)| prefix.contains(&address(bits)));
            found.map(|(_, index)| *index)
        };
        assert_eq!((at(10), at(15), at(22), at(28)), (Some(1), Some(0), Some(0), None));
    }
}
