//! What comes of being somewhere: `geoip.policies`, of which the first that takes a place decides.

use serde::{Deserialize, Serialize};

use super::super::standing::Origin;

/// What is done with sources of some places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called in the API, the metrics and the logs: letters, digits and dashes.
    pub name: String,
    /// Countries, as `DE`. Default none.
    #[serde(default)]
    pub countries: Vec<String>,
    /// All countries but these. A source whose country is not known is not meant. Default none.
    #[serde(default)]
    pub countries_but: Vec<String>,
    /// Numbers of networks, as `64496`. Default none.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Exits of Tor. Default false.
    #[serde(default)]
    pub tor: bool,
    /// Public proxies and VPNs. Default false.
    #[serde(default)]
    pub proxies: bool,
    /// Data centres. Default false.
    #[serde(default)]
    pub hosting: bool,
    /// What is done.
    pub action: Action,
    /// How much it weighs, 0 to 1, where it is weighed. Default 0.3.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// Packets a second of one source, and twice as many at once, where it is limited. Default 200.
    #[serde(default = "default_packets")]
    pub packets_per_sec: u64,
}

fn default_packets() -> u64 {
    200
}

fn default_weight() -> f64 {
    0.3
}

/// What is done with a source for where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is let be, whatever a later policy says.
    Pass,
    /// It is a term of the score.
    Weigh,
    /// Its packets are held to a rate.
    Limit,
    /// Its packets are dropped.
    Ban,
}

impl Action {
    /// The action's name in the API and the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Weigh => "weigh",
            Self::Limit => "limit",
            Self::Ban => "ban",
        }
    }
}

/// Policies at the most.
const MAX_POLICIES: usize = 64;

impl Policy {
    /// Whether it takes sources that are at `origin`.
    pub fn takes(&self, origin: &Origin) -> bool {
        let named = |codes: &[String], code: [u8; 2]| codes.iter().any(|known| known.as_bytes() == code);
        let by_country = origin.country.is_some_and(|code| {
            named(&self.countries, code)
                || (!self.countries_but.is_empty() && !named(&self.countries_but, code))
        });
        by_country
            || origin.asn.is_some_and(|asn| self.asns.contains(&asn))
            || (self.tor && origin.is_tor)
            || (self.proxies && origin.is_proxy)
            || (self.hosting && origin.is_hosting)
    }

    fn problem(&self) -> Option<String> {
        let is_name = (1..=40).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name {
            return Some(format!(
                "`{}` is no name: write letters, digits and dashes",
                self.name.escape_debug()
            ));
        }
        let name = &self.name;
        let is_country =
            |code: &&String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let codes = self.countries.iter().chain(&self.countries_but);
        if let Some(code) = codes.clone().find(|code| !is_country(code)) {
            return Some(format!(
                "{name}: `{}` is no country: write two capitals, as `DE`",
                code.escape_debug()
            ));
        }
        if !(0.0..=1.0).contains(&self.weight) {
            return Some(format!("{name}: the weight {} is not between 0 and 1", self.weight));
        }
        if !(1..=1_000_000).contains(&self.packets_per_sec) {
            return Some(format!(
                "{name}: packets_per_sec {} is not between 1 and 1000000",
                self.packets_per_sec
            ));
        }
        let is_anywhere = codes.count() == 0 && self.asns.is_empty();
        (is_anywhere && !self.tor && !self.proxies && !self.hosting)
            .then(|| format!("{name}: it names no place"))
    }
}

/// The policies, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies(Vec<Policy>);

impl Policies {
    /// These policies.
    pub fn new(policies: Vec<Policy>) -> Self {
        Self(policies)
    }

    /// What is wrong with these policies, if anything, and how to mend it.
    pub fn problem(policies: &[Policy]) -> Option<String> {
        if policies.len() > MAX_POLICIES {
            return Some(format!("{} policies are more than {MAX_POLICIES}", policies.len()));
        }
        let twice = policies
            .iter()
            .enumerate()
            .find(|(at, policy)| policies[..*at].iter().any(|earlier| earlier.name == policy.name));
        let twice = twice.map(|(_, policy)| format!("`{}` is the name of two policies", policy.name));
        policies.iter().find_map(Policy::problem).or(twice)
    }

    /// The first that takes `origin`, unless it lets it be.
    pub fn of(&self, origin: &Origin) -> Option<&Policy> {
        self.0.iter().find(|policy| policy.takes(origin)).filter(|policy| policy.action != Action::Pass)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn all_countries_but_some_does_not_mean_who_is_nowhere() {
        let but = policy("name = \"home\"\ncountries_but = [\"DE\", \"AT\"]\naction = \"ban\"\n");
        let origin = |country| Origin { country, ..Origin::default() };
        assert!(but.takes(&origin(Some(*b"FR"))));
        assert!(!but.takes(&origin(Some(*b"AT"))) && !but.takes(&origin(None)));
        let tor = policy("name = \"tor\"\ntor = true\naction = \"weigh\"\n");
        assert!(
            tor.takes(&Origin { is_tor: true, ..Origin::default() }) && !tor.takes(&origin(Some(*b"FR")))
        );
    }

    #[test]
    fn policies_that_make_no_sense_are_named() {
        for (text, told) in [
            ("name = \"a\"\naction = \"ban\"\n", "no place"),
            ("name = \"a\"\ncountries = [\"Germany\"]\naction = \"ban\"\n", "no country"),
            ("name = \"a b\"\ncountries = [\"DE\"]\naction = \"ban\"\n", "no name"),
            ("name = \"a\"\ncountries = [\"DE\"]\naction = \"weigh\"\nweight = 2.0\n", "weight"),
        ] {
            assert!(Policies::problem(&[policy(text)]).unwrap().contains(told), "{text}");
        }
        let good = policy("name = \"a\"\ncountries = [\"DE\"]\naction = \"ban\"\n");
        assert_eq!(Policies::problem(std::slice::from_ref(&good)), None);
        assert!(Policies::problem(&[good.clone(), good]).unwrap().contains("two policies"));
    }
}
