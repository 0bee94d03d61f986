//! Rules made into the tables that the program looks them up in.

use std::net::IpAddr;

use ipnet::IpNet;
use skyshield_common::Rate;
use skyshield_common::rules::{Act, MOST, NO_PORTS, Part, ROWS, Row, kind};

use super::super::clock;
use super::{Action, Ports, Rule, WITH_PORTS};

/// A generation's rows.
pub(in crate::dataplane) type Image = Vec<Row>;

/// The tables for `rules`, of which there are 256 at the most.
pub(in crate::dataplane) fn compile(rules: &[Rule]) -> Image {
    let rules = rules.get(..MOST).unwrap_or(rules);
    let mut image = vec![Row::default(); ROWS as usize];
    for protocol in 0..=u8::MAX {
        let suits = rules.iter().map(|rule| {
            // Who names a port means the protocols that have any.
            let asks_ports = rule.port.is_some() || rule.from_port.is_some();
            rule.protocol.is_none_or(|wanted| wanted.0 == protocol)
                && (!asks_ports || WITH_PORTS.contains(&protocol))
        });
        put(&mut image, Part::Protocols, protocol.into(), bits(suits));
    }
    let from_ports: Vec<_> = rules.iter().map(|rule| rule.from_port).collect();
    let to_ports: Vec<_> = rules.iter().map(|rule| rule.port).collect();
    put_ports(&mut image, (Part::FromPorts, Part::FromPortClasses), &from_ports);
    put_ports(&mut image, (Part::Ports, Part::PortClasses), &to_ports);
    put_sources(&mut image, rules);
    for (at, rule) in rules.iter().enumerate() {
        put(&mut image, Part::Acts, at, act(rule).row());
    }
    image
}

fn put(image: &mut Image, part: Part, index: usize, row: Row) {
    if let Some(place) = image.get_mut(part as usize + index) {
        *place = row;
    }
}

/// A bit for each rule that suits.
fn bits(suits: impl Iterator<Item = bool>) -> Row {
    let mut bits = Row::default();
    for (rule, _) in suits.enumerate().filter(|(_, suits)| *suits) {
        if let Some(word) = bits.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }
    bits
}

/// The table from ports to classes, and what suits each class. A packet without ports is of a class of
/// its own, which suits only who asks for none.
fn put_ports(image: &mut Image, (table, classes): (Part, Part), wanted: &[Option<Ports>]) {
    put(image, classes, NO_PORTS as usize, bits(wanted.iter().map(Option::is_none)));
    let spans = wanted.iter().flatten().map(|ports| (u32::from(ports.first), u32::from(ports.last)));
    let firsts = boundaries(spans, |last| last.checked_add(1));
    for (at, &first) in firsts.iter().enumerate() {
        let class = at + 1;
        let end = firsts.get(at + 1).copied().unwrap_or(1 << 16);
        for port in first..end {
            if let Some(row) = image.get_mut(table as usize + port as usize / 16) {
                row[port as usize % 16 / 4] |= (class as u64) << (port % 4 * 16);
            }
        }
        let is_in = |ports: &Ports| (u32::from(ports.first)..=u32::from(ports.last)).contains(&first);
        let suits = wanted.iter().map(|ports| ports.as_ref().is_none_or(is_in));
        put(image, classes, class, bits(suits));
    }
}

/// Where the class of a source becomes another, and what suits each class, of both families.
fn put_sources(image: &mut Image, rules: &[Rule]) {
    let prefixes: Vec<Option<IpNet>> = rules.iter().map(Rule::prefix).collect();
    let suits = |address: IpAddr| {
        bits(prefixes.iter().map(|prefix| prefix.is_none_or(|prefix| prefix.contains(&address))))
    };
    let v4 = prefixes.iter().flatten().filter_map(|prefix| match prefix {
        IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
        IpNet::V6(_) => None,
    });
    let v4 = boundaries(v4, |last: u32| last.checked_add(1));
    for (class, &first) in v4.iter().enumerate() {
        put(image, Part::EdgesV4, class, [first.into(), class as u64, 0, 0]);
        put(image, Part::SourcesV4, class, suits(IpAddr::V4(first.into())));
    }
    let v6 = prefixes.iter().flatten().filter_map(|prefix| match prefix {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
    });
    let v6 = boundaries(v6, |last: u128| last.checked_add(1));
    for (class, &first) in v6.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
        let halves = [(first >> 64) as u64, first as u64];
        put(image, Part::EdgesV6, class, [halves[0], halves[1], class as u64, 0]);
        put(image, Part::SourcesV6, class, suits(IpAddr::V6(first.into())));
    }
    put(image, Part::Counts, 0, [v4.len() as u64, v6.len() as u64, 0, 0]);
}

/// The least of all, and where a span begins or has ended: what lies between two suits the same.
fn boundaries<A: Copy + Ord + Default>(
    spans: impl Iterator<Item = (A, A)>,
    next: impl Fn(A) -> Option<A>,
) -> Vec<A> {
    let mut all = vec![A::default()];
    for (first, last) in spans {
        all.push(first);
        all.extend(next(last));
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn act(rule: &Rule) -> Act {
    let kind = match rule.action {
        Action::Drop => kind::DROP,
        Action::Limit => kind::LIMIT,
        Action::Tap => kind::TAP,
        Action::Pass => kind::PASS,
    };
    let burst = if rule.burst == 0 { rule.packets_per_sec.saturating_mul(2) } else { rule.burst };
    let rate = match rule.action {
        Action::Limit => Rate::per_sec(rule.packets_per_sec, burst, clock::jiffy_ns()),
        Action::Drop | Action::Tap | Action::Pass => Rate::default(),
    };
    Act { kind: if rule.dry_run { kind | kind::DRY_RUN } else { kind }, rate }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skyshield_common::Address;
    use skyshield_common::rules::{Layer4, Rows, first};

    use super::super::Protocol;
    use super::*;

    struct Memory(Image);

    impl Rows for Memory {
        fn row(&self, index: u32) -> Option<Row> {
            self.0.get(index as usize).copied()
        }
    }

    /// What a rule says, without tables.
    fn suits(rule: &Rule, source: IpAddr, protocol: u8, ports: Option<(u16, u16)>) -> bool {
        let in_range = |wanted: Option<Ports>, port: Option<u16>| {
            wanted.is_none_or(|wanted| port.is_some_and(|port| (wanted.first..=wanted.last).contains(&port)))
        };
        rule.protocol.is_none_or(|wanted| wanted.0 == protocol)
            && in_range(rule.from_port, ports.map(|ports| ports.0))
            && in_range(rule.port, ports.map(|ports| ports.1))
            && rule.prefix().is_none_or(|prefix| prefix.contains(&source))
    }

    fn some_ports() -> impl Strategy<Value = Option<Ports>> {
        let ports = (0_u16..40, 0_u16..9).prop_map(|(at, more)| {
            let first = if at == 39 { u16::MAX - more } else { at };
            Ports { first, last: first.saturating_add(more) }
        });
        prop::option::of(ports)
    }

    fn some_rule() -> impl Strategy<Value = Rule> {
        let v4 = (0_u8..32, 26_u8..=32).prop_map(|(low, len)| format!("203.0.113.{low}/{len}"));
        let v6 = (0_u8..32, 122_u8..=128).prop_map(|(low, len)| format!("2001:db8::{low:x}/{len}"));
        let from =
            prop::option::of(prop_oneof![v4, v6, Just("0.0.0.0/0".to_owned()), Just("::/0".to_owned())]);
        let protocol = prop::option::of(prop::sample::select(vec![6_u8, 17, 1, 47]));
        (protocol, some_ports(), some_ports(), from).prop_map(|(protocol, port, from_port, from)| Rule {
            name: String::new(),
            protocol: protocol.map(Protocol),
            port,
            from_port,
            from: from.map(|text| {
                let net: IpNet = text.parse().unwrap();
                crate::engine::source::Source::prefix(net.trunc())
            }),
            action: Action::Drop,
            packets_per_sec: 0,
            burst: 0,
            dry_run: false,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_tables_say_what_the_rules_say(
            rules in prop::collection::vec(some_rule(), 0..90),
            packets in prop::collection::vec(
                (any::<bool>(), 0_u8..36, prop::sample::select(vec![6_u8, 17, 1, 47]),
                 prop::option::of((0_u16..50, prop_oneof![0_u16..50, 65_520_u16..=65_535]))),
                1..60,
            ),
        ) {
            let tables = Memory(compile(&rules));
            for (is_v6, low, protocol, ports) in packets {
                let source: IpAddr = if is_v6 {
                    format!("2001:db8::{low:x}").parse().unwrap()
                } else {
                    IpAddr::from([203, 0, 113, low])
                };
                let ports = ports.filter(|_| WITH_PORTS.contains(&protocol));
                let address = match source {
                    IpAddr::V4(v4) => Address::from_v4(v4.to_bits()),
                    IpAddr::V6(v6) => Address::from_octets(v6.octets()),
                };
                let found = first(&tables, 0, address, Layer4::new(protocol, ports));
                let meant = rules.iter().position(|rule| suits(rule, source, protocol, ports));
                prop_assert_eq!(found.map(|at| at as usize), meant, "{} {} {:?}", source, protocol, ports);
            }
        }
    }

    #[test]
    fn as_many_rules_as_there_may_be_have_room() {
        let rules: Vec<Rule> = (0..MOST)
            .map(|at| {
                let text = format!(
                    "name = \"{at}\"\naction = \"drop\"\nport = \"{}-{}\"\nfrom = \"10.{at}.0.0/17\"",
                    at * 200,
                    at * 200 + 99
                );
                toml::from_str(&text).unwrap()
            })
            .collect();
        let tables = Memory(compile(&rules));
        for at in [0_u8, 1, 100, 254, 255] {
            let source = Address::from_v4(u32::from_be_bytes([10, at, 0, 9]));
            let at = u16::from(at);
            let told = |port| first(&tables, 0, source, Layer4::new(6, Some((9, port))));
            assert_eq!(told(at * 200 + 99), Some(at.into()));
            assert_eq!(told(at * 200 + 100), None);
        }
    }
}
