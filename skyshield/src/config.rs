//! The configuration: one file, every section owned by its room, nothing unknown let through.

mod changes;
mod problem;
mod responses;
mod rules;
mod shown;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::{behaviour, escalation, feeds, reputation, response, risk};
use crate::inspect::own;
use crate::monitor::{business, levels};
use crate::{
    alerts, api, dataplane, forward_auth, gateway, geoip, host, inspect, limits, monitor, rehearsal, routes,
    store, tap, telemetry,
};

pub use changes::{changes, needs_restart};
pub use problem::Problem;
pub use shown::shown;

/// Where the configuration is looked for when no other place is named.
pub const DEFAULT_PATH: &str = "/etc/skyshield/skyshield.toml";

/// The whole configuration. Every key has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The kernel side: interface, sizes, the rate per source.
    pub dataplane: dataplane::Config,
    /// The reverse proxy: listeners, upstream, limits, headers.
    pub gateway: gateway::Config,
    /// Proxies that ask for verdicts: where, and how each of them does.
    pub forward_auth: forward_auth::Config,
    /// What is listened to on its way to the host's own web server.
    pub tap: tap::Config,
    /// How many requests of each class a source or user may send.
    pub limits: limits::Config,
    /// How much of a request is inspected.
    pub inspect: inspect::Limits,
    /// Where scores turn into acts.
    pub risk: risk::Config,
    /// What sources do over time.
    pub behaviour: behaviour::Config,
    /// How bans grow.
    pub escalation: escalation::Config,
    /// What is otherwise for parts of the application: the first route that takes a request decides.
    pub routes: Vec<routes::Config>,
    /// Whom no decision may cut off.
    pub never_ban: host::Config,
    /// When the configuration in force is rehearsed.
    pub rehearsal: rehearsal::Config,
    /// Where sources are, and what comes of it.
    pub geoip: geoip::Config,
    /// Block lists of others.
    pub feeds: feeds::Config,
    /// What others say of sources.
    pub reputation: reputation::Config,
    /// What is done when something has been seen.
    pub response: response::Config,
    /// What outlives the daemon.
    pub store: store::Config,
    /// Who may operate it, and from where.
    pub api: api::Config,
    /// What is logged.
    pub log: telemetry::Config,
    /// Where faults are reported.
    pub sentry: telemetry::SentryConfig,
    /// How the host and the daemon are measured, and what of it is kept.
    pub metrics: monitor::Config,
    /// What each site promises.
    pub service_levels: levels::Config,
    /// What is counted of the business.
    pub business: business::Config,
    /// What is told, to whom, and how often at the most.
    pub alerts: alerts::Config,
}

/// Why there is no configuration to go by.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whoever may write the file would be root.
    #[error("{path}: {what}; run `chown root {path} && chmod go-w {path}`", path = path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Who may write it.
        what: &'static str,
    },
    /// Something in it is wrong.
    #[error("{path}:{problem}", path = path.display())]
    Problem {
        /// The file.
        path: PathBuf,
        /// Where, what, and how to mend it.
        problem: Problem,
    },
}

/// The configuration in `path`, checked; the defaults where no file is named and none is in the
/// default place.
pub fn load(path: Option<&Path>) -> Result<Config, Error> {
    let default = Path::new(DEFAULT_PATH);
    let (path, text) = match path {
        Some(path) => (path, read(path)?),
        None if default.exists() => (default, read(default)?),
        None => (default, String::new()),
    };
    let wrong = |problem| Error::Problem { path: path.to_owned(), problem };
    let mut config = parse(&text).map_err(wrong)?;
    config.inspect.own = rules::load(&config.inspect.rules)?;
    match config.rules_problem() {
        Some((key, what)) => Err(wrong(Problem::of_key(&text, key, &what))),
        None => Ok(config),
    }
}

/// The text of a file that says what the daemon does; as root only what root alone may write.
fn read(path: &Path) -> Result<String, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    if nix::unistd::geteuid().is_root() {
        let metadata = std::fs::metadata(path).map_err(read)?;
        let what = match metadata {
            file if file.uid() != 0 => Some("the daemon runs as root and the file is not root's"),
            file if file.mode() & 0o022 != 0 => Some("the daemon runs as root and others may write the file"),
            _ => None,
        };
        if let Some(what) = what {
            return Err(Error::Writable { path: path.to_owned(), what });
        }
    }
    Ok(text)
}

/// The configuration that `text` says, checked.
pub fn parse(text: &str) -> Result<Config, Problem> {
    let config: Config = toml::from_str(text).map_err(|error| Problem::of_toml(text, &error))?;
    match config.problem() {
        Some((key, what)) => Err(Problem::of_key(text, key, &what)),
        None => Ok(config),
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        self.risk
            .problem()
            .or_else(|| self.escalation.problem(self.risk.ban_secs))
            .or_else(|| self.behaviour.problem())
            .or_else(|| routes::problem(&self.routes, &self.risk))
            .or_else(|| self.no_door())
            .or_else(|| self.gateway.problem())
            .or_else(|| self.forward_auth.problem())
            .or_else(|| self.limits.problem())
            .or_else(|| self.rehearsal.problem())
            .or_else(|| self.inspect.content.problem())
            .or_else(|| self.api.problem())
            .or_else(|| self.store.problem())
            .or_else(|| self.log.problem())
            .or_else(|| self.sentry.problem())
            .or_else(|| self.metrics.problem())
            .or_else(|| self.service_levels.problem())
            .or_else(|| business::problem(&self.business))
            .or_else(|| alerts::problem(&self.alerts))
            .or_else(|| self.dataplane.problem())
            .or_else(|| self.tap.problem())
            .or_else(|| self.tap_hears_the_gateway())
            .or_else(|| self.rule_taps_nothing())
            .or_else(|| self.geoip.problem())
            .or_else(|| self.feeds.problem())
            .or_else(|| self.reputation.problem())
            .or_else(|| crate::reputation::problem(&self.feeds, &self.reputation))
            .or_else(|| self.lists_have_no_room())
            .or_else(|| self.response.problem())
            .or_else(|| crate::response::problem(&self.response))
            .or_else(|| self.response_means_nobody())
            .or_else(|| self.place_taken_twice())
            .or_else(|| self.upstream_is_ourselves())
    }

    /// Lists are dropped in the kernel, and its maps are made once.
    fn lists_have_no_room(&self) -> Option<(&'static str, String)> {
        let (hosts, prefixes) = (self.dataplane.max_listed, self.dataplane.max_listed_prefixes);
        (self.feeds.bans() && (hosts == 0 || prefixes == 0)).then(|| {
            let what = "a list bans, and the kernel has no room for it: set \
                        dataplane.max_listed and dataplane.max_listed_prefixes, each to 1000000, say";
            ("dataplane.max_listed_prefixes", what.to_owned())
        })
    }

    /// What is wrong between the rules that were read and the sections that name them, if anything.
    fn rules_problem(&self) -> Option<(&'static str, String)> {
        let known = |route: &str| route == "default" || self.routes.iter().any(|known| known.name == route);
        let stray = self.inspect.own.routes().find(|(_, route)| !known(route));
        let stray = stray.map(|(id, route)| {
            (
                "inspect.rules",
                format!(
                    "the rule `{id}` looks at the route `{route}`, and there is none; add it to `routes`"
                ),
            )
        });
        stray.or_else(|| own::unknown_id(&self.inspect)).or_else(|| self.response_means_nothing(known))
    }

    /// What is wrong with the files that it names, one sentence each. Reads them: may block.
    pub fn file_problems(&self) -> Vec<String> {
        let told = |error| format!("gateway.tls.certificates: {:#}", anyhow::Error::new(error));
        self.gateway.file_problems().into_iter().map(told).chain(self.sentry.file_problem()).collect()
    }

    /// Each place that is listened on, with its key.
    fn places(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let gateway = self.gateway.listen.iter().map(|&address| ("gateway.listen", address));
        let tls = self.gateway.tls.listen.iter().map(|&address| ("gateway.tls.listen", address));
        let api = [("api.listen", self.api.listen), ("api.metrics_listen", self.api.metrics_listen)];
        gateway.chain(tls).chain(self.forward_auth.addresses()).chain(api)
    }

    fn no_door(&self) -> Option<(&'static str, String)> {
        let Self { gateway, forward_auth, tap, .. } = self;
        let none = gateway.listen.is_empty()
            && gateway.tls.listen.is_empty()
            && forward_auth.doors.is_empty()
            && !tap.is_on();
        none.then(|| ("gateway.listen", "there is no address to listen on, and no other door".to_owned()))
    }

    /// Rules choose packets for the tap, and without a port there is none.
    fn rule_taps_nothing(&self) -> Option<(&'static str, String)> {
        let taps = |rule: &&dataplane::Rule| rule.action == dataplane::Action::Tap;
        let rule = self.dataplane.rules.iter().find(taps).filter(|_| !self.tap.is_on())?;
        let what = format!("the rule `{}` taps, and there is no tap: name a port in `tap.ports`", rule.name);
        Some(("dataplane.rules", what))
    }

    /// What the gateway sees itself need not be heard on its way there.
    fn tap_hears_the_gateway(&self) -> Option<(&'static str, String)> {
        let taps = |address: &&(_, SocketAddr)| self.tap.ports.contains(&address.1.port());
        let places: Vec<_> = self.places().collect();
        let (key, address) = places.iter().find(taps)?;
        Some((
            "tap.ports",
            format!("{} is {key} ({address}): the tap is for other servers' ports", address.port()),
        ))
    }

    fn place_taken_twice(&self) -> Option<(&'static str, String)> {
        let places: Vec<_> = self.places().collect();
        places.iter().enumerate().find_map(|(at, &(key, address))| {
            let &(taken_by, _) = places[..at].iter().find(|&&(_, taken)| reaches(taken, address))?;
            Some((key, format!("{address} is {taken_by} already; take another port")))
        })
    }

    /// A request that goes round in circles ends only with the last free connection.
    fn upstream_is_ourselves(&self) -> Option<(&'static str, String)> {
        self.gateway.keyed_upstreams().find_map(|(named_by, upstream)| {
            let loopback = (upstream.host == "localhost").then_some(IpAddr::from([127, 0, 0, 1]));
            let upstream = SocketAddr::new(upstream.host.parse().ok().or(loopback)?, upstream.port);
            // Whether an address of another kind is this host's is not asked here: nothing is read but the file.
            let is_here = |own: SocketAddr| own.ip() == upstream.ip() || upstream.ip().is_loopback();
            let (key, own) = self.places().find(|&(_, own)| is_here(own) && reaches(own, upstream))?;
            Some((named_by, format!("{upstream} is {key} ({own}): it would be asked for its own answers")))
        })
    }
}

/// Whether who connects to `address` arrives at who listens on `listener`; or cannot listen beside it.
/// Port 0 is any free one.
fn reaches(listener: SocketAddr, address: SocketAddr) -> bool {
    let same_host = listener.ip() == address.ip()
        || listener.is_ipv4() == address.is_ipv4()
            && (listener.ip().is_unspecified() || address.ip().is_unspecified());
    listener.port() == address.port() && address.port() != 0 && same_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_defaults_written_out_are_read_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn places_that_only_look_alike_are_left_alone() {
        for text in [
            "[gateway]\nlisten = [\"0.0.0.0:80\", \"[::]:80\"]\n",
            "[gateway]\nlisten = [\"10.0.0.1:80\", \"10.0.0.2:80\"]\n",
            "[gateway]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n",
            "[gateway]\nlisten = [\"0.0.0.0:80\"]\nupstream = \"10.0.0.7:80\"\n",
            "[gateway]\nlisten = [\"10.0.0.1:8080\"]\n",
            "[gateway]\nlisten = []\n[tap]\nports = [80]\n",
        ] {
            assert_eq!(parse(text).err(), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_its_cure() {
        for (text, told) in [
            ("[risk]\nrefuze = 0.8\n", "2:1: unknown key `refuze`; did you mean `refuse`?"),
            ("[rsk]\n", "1:2: unknown key `rsk`; did you mean `risk`?"),
            ("[risk]\nrefuse = \"high\"\n", "2:10: invalid type: string \"high\", expected f64"),
            ("\n[risk]\nban = 0.95\nrefuse = 1.8\n", "4: risk.refuse: 1.8 is not between 0 and 1"),
            ("[risk]\nban = 0.1\n", "2: risk.ban: 0.1 is below risk.refuse (0.8): a ban is the stronger act"),
            (
                "[never_ban]\nallow = [\"10.0.0.300\"]\n",
                "2:9: `10.0.0.300` is neither an address nor a prefix",
            ),
            (
                "[gateway]\nlisten = []\n",
                "2: gateway.listen: there is no address to listen on, and no other door",
            ),
            ("[log]\nlevel = \"lou=d\"\n", "2: log.level: `lou=d` is no level"),
            ("risk = 1\n", "1:8: invalid type: integer `1`, expected struct Config"),
            ("[risk\n", "1:6: "),
            (
                "[gateway]\nlisten = [\"0.0.0.0:80\", \"10.0.0.1:80\"]\n",
                "2: gateway.listen: 10.0.0.1:80 is gateway.listen already",
            ),
            ("[tap]\nports = [80]\n", "2: tap.ports: 80 is gateway.listen (0.0.0.0:80)"),
            (
                "[[dataplane.rules]]\nname = \"web\"\nport = 81\naction = \"tap\"\n",
                "1: dataplane.rules: the rule `web` taps, and there is no tap: name a port in `tap.ports`",
            ),
            ("[tap]\nports = [81]\nflows = 0\n", "3: tap.flows: 0 is not between 1 and 4194304"),
            (
                "[gateway]\nlisten = [\"0.0.0.0:9465\"]\n",
                "1: api.metrics_listen: 127.0.0.1:9465 is gateway.listen already",
            ),
            (
                "[gateway]\nlisten = [\"0.0.0.0:8080\"]\n",
                "1: gateway.upstream: 127.0.0.1:8080 is gateway.listen (0.0.0.0:8080)",
            ),
            (
                "[gateway]\nupstream = \"localhost:9464\"\n",
                "2: gateway.upstream: 127.0.0.1:9464 is api.listen",
            ),
        ] {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.starts_with(told), "{text:?}\n  told {problem}\n  not  {told}");
        }
    }
}
