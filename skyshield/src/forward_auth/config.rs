//! The `[forward_auth]` section: where proxies ask, how each of them asks, whom they are believed about.

mod outcomes;
mod place;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::proxy::Proxy;
use crate::engine::source::Source;

pub use outcomes::{Format, From, Outcomes};
pub use place::Place;

/// Doors at the most.
const MAX_DOORS: usize = 16;
/// Sources of outcomes at the most.
const MAX_OUTCOMES: usize = 16;

/// How proxies on this host or near it ask for verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a proxy waits for an answer at the most, in milliseconds, from its request's head on. Then
    /// it gets what `on_failure` says. Default 50, at the most 10000.
    pub deadline_millis: u64,
    /// What a proxy is answered where there is no verdict: `error`, 503, and the proxy's own policy
    /// decides; or `pass`. Default `error`.
    pub on_failure: OnFailure,
    /// What is inspected of a body, in bytes. Beyond it: `body_over_limit`. Default 1048576.
    pub inspected_body_bytes: usize,
    /// What is held of all bodies at a time, in bytes. Beyond it: `on_failure`. Default 67108864.
    pub held_body_bytes: usize,
    /// What happens to a body larger than `inspected_body_bytes`, or that a proxy sent a part of: `refuse`,
    /// 413, or `pass-and-count`. It passes also where its route's `over_limit` says so. Default `refuse`.
    pub body_over_limit: BodyOverLimit,
    /// Connections of proxies at a time, of each door. Beyond it new ones wait. Default 1024.
    pub connections: usize,
    /// Requests that are remembered until their outcome is told; beyond it the oldest is forgotten. Only
    /// where there are `outcomes`. Default 65536.
    pub awaited: usize,
    /// Where proxies ask. Default none.
    pub doors: Vec<Door>,
    /// Where it is read what became of requests. Default none.
    pub outcomes: Vec<Outcomes>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_millis: 50,
            on_failure: OnFailure::default(),
            inspected_body_bytes: 1024 * 1024,
            held_body_bytes: 64 * 1024 * 1024,
            body_over_limit: BodyOverLimit::default(),
            connections: 1024,
            awaited: 65_536,
            doors: Vec::new(),
            outcomes: Vec::new(),
        }
    }
}

/// What a proxy is answered where there is no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// 503: the proxy does what it is configured to do without us. Never 403, which would be a verdict.
    #[default]
    Error,
    /// 200, with `X-SkyShield-Failure`.
    Pass,
}

/// What happens to a body of which not all is inspected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyOverLimit {
    /// The request is refused: 413.
    #[default]
    Refuse,
    /// What came is inspected, and a counter tells how often.
    PassAndCount,
}

/// Where clients of a door are banned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bans {
    /// Their requests are refused. Right wherever their packets do not reach this host under their own address.
    #[default]
    Door,
    /// Their packets are dropped. Right where the proxy runs on this host and clients connect to it
    /// directly: what it names as somebody's word is banned at the door all the same.
    Kernel,
}

/// One place where proxies ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// Its name in metrics and reports. Default the proxy's.
    #[serde(default)]
    pub name: String,
    /// Where: `unix:/run/skyshield/auth.sock` or `127.0.0.1:9466`.
    pub listen: Place,
    /// Who asks, and so how: `nginx`, `nginx-accel`, `traefik`, `envoy`, `caddy` or `haproxy`. The headers
    /// that tell of the original request are those of this proxy alone: another's are the client's own.
    pub proxy: Proxy,
    /// By the network: who is answered at all, by address or prefix. Default this host's loopback.
    #[serde(default = "loopback")]
    pub trusted_callers: Vec<Source>,
    /// Proxies in front of the one that asks, by address or prefix, whose word on client addresses is
    /// taken. Default none.
    #[serde(default)]
    pub trusted_proxies: Vec<Source>,
    /// Where clients are banned: `door` or `kernel`. Default `door`.
    #[serde(default)]
    pub bans: Bans,
    /// The group that may connect to a `unix:` socket, beside root: that of the proxy's workers. Default
    /// none.
    #[serde(default)]
    pub group: Option<String>,
    /// What the proxy puts before each path, to be taken off: Envoy's `path_prefix`. Default nothing.
    #[serde(default)]
    pub path_prefix: String,
}

fn loopback() -> Vec<Source> {
    vec![Source::host(Ipv4Addr::LOCALHOST.into()), Source::host(Ipv6Addr::LOCALHOST.into())]
}

impl Door {
    /// Its name in metrics and reports.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { self.proxy.name() } else { &self.name }
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let everyone = |sources: &[Source]| sources.iter().any(|source| source.as_prefix().prefix_len() == 0);
        if everyone(&self.trusted_callers) {
            let what = "everyone could have anybody banned: name the proxies".to_owned();
            return Some(("forward_auth.doors.trusted_callers", what));
        }
        if everyone(&self.trusted_proxies) {
            let what = "this trusts everyone's word on who they are; name the proxies".to_owned();
            return Some(("forward_auth.doors.trusted_proxies", what));
        }
        if let Place::Address(address) = &self.listen
            && self.trusted_callers.is_empty()
        {
            let what = format!("nobody could ask at {address}: name the proxies");
            return Some(("forward_auth.doors.trusted_callers", what));
        }
        if self.group.is_some() && matches!(self.listen, Place::Address(_)) {
            return Some(("forward_auth.doors.group", "only a `unix:` socket has a group".to_owned()));
        }
        if !self.path_prefix.is_empty() && !self.path_prefix.starts_with('/') {
            let what = format!("`{}` does not begin with `/`", self.path_prefix);
            return Some(("forward_auth.doors.path_prefix", what));
        }
        None
    }
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let between = |key, value: u64, least: u64, most: u64| {
            let wrong = !(least..=most).contains(&value);
            wrong.then(|| (key, format!("{value} is not between {least} and {most}")))
        };
        let limits = between("forward_auth.deadline_millis", self.deadline_millis, 1, 10_000)
            .or_else(|| {
                let bytes = self.inspected_body_bytes as u64;
                between("forward_auth.inspected_body_bytes", bytes, 1024, 64 << 20)
            })
            .or_else(|| {
                let (bytes, least) = (self.held_body_bytes as u64, self.inspected_body_bytes as u64);
                between("forward_auth.held_body_bytes", bytes, least, 64 << 30)
            })
            .or_else(|| between("forward_auth.connections", self.connections as u64, 1, 100_000))
            .or_else(|| between("forward_auth.awaited", self.awaited as u64, 1, 10_000_000));
        if limits.is_some() {
            return limits;
        }
        if self.doors.len() > MAX_DOORS {
            return Some(("forward_auth.doors", format!("there are more than {MAX_DOORS}")));
        }
        if self.outcomes.len() > MAX_OUTCOMES {
            return Some(("forward_auth.outcomes", format!("there are more than {MAX_OUTCOMES}")));
        }
        let twice = self
            .doors
            .iter()
            .enumerate()
            .find(|(at, door)| self.doors[..*at].iter().any(|other| other.name() == door.name()));
        if let Some((_, door)) = twice {
            let what = format!("two doors are called `{}`; give each a `name` of its own", door.name());
            return Some(("forward_auth.doors", what));
        }
        self.doors
            .iter()
            .find_map(Door::problem)
            .or_else(|| self.outcomes.iter().find_map(Outcomes::problem))
            .or_else(|| self.path_taken_twice())
    }

    fn path_taken_twice(&self) -> Option<(&'static str, String)> {
        let doors = self.doors.iter().map(|door| &door.listen);
        let paths: Vec<_> = doors
            .chain(self.outcomes.iter().filter_map(|outcomes| outcomes.listen.as_ref()))
            .filter_map(Place::path)
            .collect();
        let twice = paths.iter().enumerate().find(|(at, path)| paths[..*at].contains(path))?;
        Some(("forward_auth.doors", format!("{} is taken already; take another", twice.1.display())))
    }

    /// Every address that is listened on for connections, with the key that names it.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, std::net::SocketAddr)> {
        let doors = self.doors.iter().filter_map(|door| door.listen.address());
        let outcomes = self.outcomes.iter().filter(|outcomes| outcomes.from == From::Http);
        let outcomes = outcomes.filter_map(|outcomes| outcomes.listen.as_ref()?.address());
        doors
            .map(|address| ("forward_auth.doors", address))
            .chain(outcomes.map(|address| ("forward_auth.outcomes", address)))
    }

    /// Those who speak for others: their own addresses are nobody's to ban.
    pub fn speakers(&self) -> impl Iterator<Item = Source> {
        let callers = self.doors.iter().flat_map(|door| {
            let by_network = matches!(door.listen, Place::Address(_));
            door.trusted_callers.iter().filter(move |_| by_network)
        });
        callers.chain(self.doors.iter().flat_map(|door| &door.trusted_proxies)).copied()
    }
}

/// Whether `address` is one of `sources`.
pub(super) fn contain(sources: &[Source], address: IpAddr) -> bool {
    sources.iter().any(|source| source.as_prefix().contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        let config: Config = toml::from_str(text).unwrap();
        config.problem().map(|(key, what)| format!("{key}: {what}"))
    }

    #[test]
    fn the_default_section_survives_being_written_and_read() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        assert_eq!(Config::default().problem(), None);
    }

    #[test]
    fn a_door_names_its_place_and_its_proxy_and_the_rest_has_defaults() {
        let text = "[[doors]]\nlisten = \"unix:/run/skyshield/auth.sock\"\nproxy = \"nginx\"\n\
                    [[doors]]\nname = \"edge\"\nlisten = \"127.0.0.1:9466\"\nproxy = \"envoy\"\nbans = \"kernel\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.problem(), None);
        assert_eq!(config.doors.iter().map(Door::name).collect::<Vec<_>>(), ["nginx", "edge"]);
        assert_eq!(config.addresses().count(), 1);
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        let door = "[[doors]]\nproxy = \"nginx\"\nlisten = \"127.0.0.1:9466\"\n";
        for (text, begins) in [
            ("deadline_millis = 0", "forward_auth.deadline_millis: 0 is not between 1 and 10000"),
            ("held_body_bytes = 1024", "forward_auth.held_body_bytes: "),
            (
                &format!("{door}trusted_callers = [\"0.0.0.0/0\"]"),
                "forward_auth.doors.trusted_callers: everyone",
            ),
            (&format!("{door}trusted_callers = []"), "forward_auth.doors.trusted_callers: nobody"),
            (
                &format!("{door}trusted_proxies = [\"::/0\"]"),
                "forward_auth.doors.trusted_proxies: this trusts",
            ),
            (&format!("{door}group = \"www-data\""), "forward_auth.doors.group: only a"),
            (&format!("{door}path_prefix = \"x\""), "forward_auth.doors.path_prefix: `x`"),
            (&format!("{door}{door}"), "forward_auth.doors: two doors are called `nginx`"),
            ("[[outcomes]]\nfrom = \"file\"", "forward_auth.outcomes.path: "),
        ] {
            let said = told(text).unwrap_or_default();
            assert!(said.starts_with(begins), "{text}\n  told {said}\n  not  {begins}");
        }
        assert!(toml::from_str::<Config>("[[doors]]\nlisten = \"here\"\nproxy = \"nginx\"").is_err());
        assert!(toml::from_str::<Config>("[[doors]]\nlisten = \"127.0.0.1:1\"\nproxy = \"squid\"").is_err());
    }
}
