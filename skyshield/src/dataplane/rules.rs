//! Operators' rules on ports and protocols: as they are written, and what is wrong with them.

mod compile;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use skyshield_common::rules::MOST;

pub(super) use compile::{Image, compile};

use crate::engine::source::Source;

/// One rule. What is left out suits every packet; the first rule that a packet suits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in counters; no two have the same.
    pub name: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or a protocol's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The port that it goes to, or a range of them: `123`, `6000-6063`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Ports>,
    /// The port that it comes from, or a range of them. Answers to what nobody asked come from a well-known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_port: Option<Ports>,
    /// The address or the prefix that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// What is done about it.
    pub action: Action,
    /// Packets a second that one source may send under a `limit`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub packets_per_sec: u64,
    /// Packets at once after a pause, under a `limit`; 0 is twice as many as in a second.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub burst: u64,
    /// Nothing is done but counting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a rule does with a packet that it is the first to suit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is dropped, unless its source is on the allow list.
    Drop,
    /// Its source is held to the rule's own rate, and to the others.
    Limit,
    /// It goes on to the rates, and what passes is copied for the tap, whatever its port. Needs `tap.ports`.
    Tap,
    /// It goes on to the rates; no rule behind this one is asked.
    Pass,
}

/// A protocol by its name or its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u8);

const PROTOCOLS: [(&str, u8); 8] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("sctp", 132),
];
/// Those that have ports.
pub(super) const WITH_PORTS: [u8; 2] = [6, 17];

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Number(u64),
    Text(String),
}

impl Told {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = Told::deserialize(deserializer)?.text();
        let named = PROTOCOLS.iter().find(|(name, _)| *name == told).map(|(_, number)| *number);
        named.or_else(|| told.parse().ok()).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{told}` is no protocol: tcp, udp, icmp, icmpv6, gre, esp, ah, sctp, or 0 to 255"
            ))
        })
    }
}

impl Serialize for Protocol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match PROTOCOLS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => serializer.serialize_str(name),
            None => serializer.serialize_u8(self.0),
        }
    }
}

/// Ports, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, itself one of them.
    pub last: u16,
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = Told::deserialize(deserializer)?.text();
        let wrong = || {
            serde::de::Error::custom(format!(
                "`{told}` is neither a port nor a range of ports, as in `6000-6063`"
            ))
        };
        let (first, last) = told.split_once('-').unwrap_or((&told, &told));
        let read = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let ports = Self { first: read(first)?, last: read(last)? };
        if ports.first <= ports.last { Ok(ports) } else { Err(wrong()) }
    }
}

impl Serialize for Ports {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            serializer.serialize_u16(self.first)
        } else {
            serializer.serialize_str(&format!("{}-{}", self.first, self.last))
        }
    }
}

impl Rule {
    fn prefix(&self) -> Option<IpNet> {
        self.from.map(Source::as_prefix)
    }
}

/// What is wrong with `rules`, if anything.
pub(super) fn problem(rules: &[Rule]) -> Option<String> {
    const LONGEST_NAME: usize = 64;
    if rules.len() > MOST {
        return Some(format!("{} rules are more than {MOST}", rules.len()));
    }
    rules.iter().enumerate().find_map(|(at, rule)| {
        let Rule { name, protocol, port, from_port, action, packets_per_sec, .. } = rule;
        let wrong = |what: &str| Some(format!("the rule `{}` {what}", name.escape_debug()));
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return wrong(&format!("needs a name of 1 to {LONGEST_NAME} characters"));
        }
        if rules.iter().take(at).any(|before| before.name == *name) {
            return wrong("is there twice; give each a name of its own");
        }
        let has_ports = protocol.is_none_or(|protocol| WITH_PORTS.contains(&protocol.0));
        if (port.is_some() || from_port.is_some()) && !has_ports {
            return wrong("asks for a port, which its protocol has none of; only tcp and udp have");
        }
        match action {
            Action::Limit if *packets_per_sec == 0 => {
                wrong("limits to nothing; set `packets_per_sec`, or drop")
            }
            Action::Drop | Action::Tap | Action::Pass if *packets_per_sec > 0 || rule.burst > 0 => {
                wrong("has a rate, which only `action = \"limit\"` goes by")
            }
            Action::Limit | Action::Drop | Action::Tap | Action::Pass => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Rules {
        rules: Vec<Rule>,
    }

    fn told(text: &str) -> String {
        match toml::from_str::<Rules>(text) {
            Ok(Rules { rules }) => problem(&rules).unwrap_or_default(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn a_rule_is_read_and_written_back() {
        let text = "[[rules]]\nname = \"ntp\"\nprotocol = \"udp\"\nfrom_port = 123\naction = \"drop\"\n\
                    [[rules]]\nname = \"x\"\nprotocol = 47\nfrom = \"2001:db8::/32\"\naction = \"pass\"\n\
                    [[rules]]\nname = \"x11\"\nport = \"6000-6063\"\naction = \"limit\"\npackets_per_sec = 5\n";
        let Rules { rules } = toml::from_str(text).unwrap();
        assert_eq!(problem(&rules), None);
        let again = toml::to_string(&rules[2]).unwrap();
        assert_eq!(toml::from_str::<Rule>(&again).unwrap(), rules[2]);
        assert_eq!(rules[0].from_port, Some(Ports { first: 123, last: 123 }));
        assert_eq!(rules[1].protocol, Some(Protocol(47)));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (rest, expected) in [
            ("protocol = \"tpc\"\naction = \"drop\"", "`tpc` is no protocol"),
            ("port = \"9-3\"\naction = \"drop\"", "`9-3` is neither a port nor a range"),
            ("port = 70000\naction = \"drop\"", "`70000` is neither a port nor a range"),
            ("action = \"limit\"", "limits to nothing"),
            ("action = \"drop\"\npackets_per_sec = 1", "has a rate"),
            ("protocol = \"icmp\"\nport = 5\naction = \"drop\"", "asks for a port"),
            ("action = \"reject\"", "unknown variant"),
            ("action = \"drop\"\n[[rules]]\nname = \"a\"\naction = \"drop\"", "is there twice"),
        ] {
            let problem = told(&format!("[[rules]]\nname = \"a\"\n{rest}\n"));
            assert!(problem.contains(expected), "{rest}: {problem}");
        }
    }
}
