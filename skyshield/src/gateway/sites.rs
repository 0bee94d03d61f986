//! Which site a request is for, by the host it names.

mod config;

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Balance, Health, Site as SiteConfig, UnknownHost};

use self::config::Pattern;
pub(super) use self::config::{DEFAULT_SITE, MAX_UPSTREAMS, problem};
use super::config::{Authority, Config};
use super::guard::Cause;
use super::metrics::Metrics;
use super::security_headers::SecurityHeaders;
use super::upstream::{Group, Policy};
use crate::engine::upstream::Upstream;

/// The longest host name there can be, without a port.
const MAX_HOST: usize = 255;

/// What is served under some host names.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) upstreams: Group,
    pub(super) security: SecurityHeaders,
}

/// Every site.
#[derive(Debug)]
pub(super) struct Sites {
    /// The default site first.
    all: Vec<Site>,
    exact: HashMap<Vec<u8>, usize>,
    below: HashMap<Vec<u8>, usize>,
    unknown: UnknownHost,
}

impl Sites {
    /// The sites of `config`, with what is known already of the addresses of their upstreams.
    pub(super) fn new(config: &Config, known: &Known, metrics: &Metrics) -> Self {
        let build = |name: &str, upstreams: &[Authority], own: Option<&SiteConfig>| {
            let health = own.and_then(|site| site.health.as_ref()).unwrap_or(&config.health);
            let headers = own.and_then(|site| site.headers.as_ref()).unwrap_or(&config.headers);
            let plain = own.and_then(|site| site.hosts.iter().find(|host| !host.starts_with('*')));
            let policy = Policy {
                balance: own.and_then(|site| site.balance).unwrap_or(config.balance),
                health,
                limits: &config.limits,
                host: plain.map(String::as_str),
            };
            let upstreams = upstreams.iter().map(|upstream| (upstream, known.of(upstream)));
            Site {
                upstreams: Group::new(name, upstreams, &policy, metrics),
                security: SecurityHeaders::new(headers),
            }
        };
        let mut sites = Self {
            all: vec![build(DEFAULT_SITE, config.default_upstreams(), None)],
            exact: HashMap::new(),
            below: HashMap::new(),
            unknown: config.unknown_host,
        };
        for site in &config.sites {
            let at = sites.all.len();
            for host in &site.hosts {
                match Pattern::of(host) {
                    Some(Pattern::Exact(name)) => sites.exact.insert(name, at),
                    Some(Pattern::Below(name)) => sites.below.insert(name, at),
                    None => None,
                };
            }
            sites.all.push(build(&site.name, &site.upstreams, Some(site)));
        }
        sites
    }

    /// The site that is asked for by a `Host` line; none comes with HTTP/1.0 only.
    pub(super) fn of(&self, host: Option<&[u8]>) -> Result<&Site, Cause> {
        let found = if self.all.len() == 1 { None } else { host.and_then(|host| self.named(host)) };
        let at = match (found, self.unknown) {
            (Some(at), _) => at,
            (None, UnknownHost::Default) => 0,
            (None, UnknownHost::Misdirected) => return Err(Cause::Misdirected),
            (None, UnknownHost::NotFound) => return Err(Cause::UnknownSite),
        };
        self.all.get(at).ok_or(Cause::UnknownSite)
    }

    fn named(&self, host: &[u8]) -> Option<usize> {
        let name = without_port(host);
        let mut lower = [0; MAX_HOST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(&at) = self.exact.get(&*lower) {
            return Some(at);
        }
        // The longest first: each dot begins a shorter one.
        let dots = memchr::memchr_iter(b'.', lower);
        dots.filter_map(|dot| lower.get(dot + 1..)).find_map(|parent| self.below.get(parent).copied())
    }

    fn served(&self) -> impl Iterator<Item = &Site> {
        // Where nobody gets there, nothing is known of the default site's upstreams, or asked of them.
        self.all.iter().skip(usize::from(self.unknown != UnknownHost::Default && self.all.len() > 1))
    }

    /// Sees to every upstream in `tasks`, until `stop`.
    pub(super) fn look_after<E: Send + 'static>(
        &self,
        tasks: &mut JoinSet<Result<(), E>>,
        stop: &CancellationToken,
    ) {
        self.served().for_each(|site| site.upstreams.look_after(tasks, stop));
    }

    /// How every upstream is.
    pub(super) fn upstreams(&self) -> Vec<Upstream> {
        self.served().flat_map(|site| site.upstreams.states()).collect()
    }

    /// Every address that requests are forwarded to.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.served().flat_map(|site| site.upstreams.addresses()).collect()
    }
}

/// A host without its port and without the dot that ends a name in full.
fn without_port(host: &[u8]) -> &[u8] {
    let name = if host.first() == Some(&b'[') {
        host.get(..=memchr::memchr(b']', host).unwrap_or(0)).unwrap_or(host)
    } else {
        host.get(..memchr::memchr(b':', host).unwrap_or(host.len())).unwrap_or(host)
    };
    name.strip_suffix(b".").unwrap_or(name)
}

/// The addresses that names of upstreams had when last asked.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(Authority, Vec<SocketAddr>)>);

impl Known {
    /// Asks for every upstream of `config`; may block.
    pub(super) fn resolve(config: &Config) -> Self {
        let mut known: Vec<(Authority, Vec<SocketAddr>)> = Vec::new();
        for upstream in config.upstreams() {
            if known.iter().any(|(name, _)| name == upstream) {
                continue;
            }
            let addresses = upstream.resolve().unwrap_or_else(|error| {
                tracing::warn!(%upstream, %error, "the upstream's name does not resolve yet");
                Vec::new()
            });
            known.push((upstream.clone(), addresses));
        }
        Self(known)
    }

    /// All of them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().flat_map(|(_, addresses)| addresses).copied()
    }

    fn of(&self, upstream: &Authority) -> Vec<SocketAddr> {
        let found = self.0.iter().find(|(name, _)| name == upstream);
        found.map(|(_, addresses)| addresses.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(unknown_host: &str) -> Sites {
        let text = format!(
            "unknown_host = '{unknown_host}'\n\
             [[sites]]\nname = 'shop'\nhosts = ['shop.example', '*.shop.example']\nupstreams = ['127.0.0.1:1']\n\
             [[sites]]\nname = 'admin'\nhosts = ['Admin.Shop.example', '*.deep.shop.example', '[::1]']\n\
             upstreams = ['127.0.0.1:2', '127.0.0.1:3']\n"
        );
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.problem(), None);
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        Sites::new(&config, &Known::resolve(&config), &metrics)
    }

    #[test]
    fn the_longest_name_that_matches_decides() {
        let sites = sites("misdirected");
        let named = |host: &str| {
            let site = sites.of(Some(host.as_bytes())).map(|site| site.upstreams.name().to_owned());
            site.map_err(Cause::status)
        };
        for (host, expected) in [
            ("shop.example", Ok("shop")),
            ("SHOP.EXAMPLE:8080", Ok("shop")),
            ("shop.example.", Ok("shop")),
            ("a.shop.example", Ok("shop")),
            ("a.b.shop.example:1", Ok("shop")),
            ("admin.shop.example", Ok("admin")),
            ("x.admin.shop.example", Ok("shop")),
            ("x.deep.shop.example", Ok("admin")),
            ("deep.shop.example", Ok("shop")),
            ("[::1]:80", Ok("admin")),
            ("notshop.example", Err(421)),
            ("shop.example.evil", Err(421)),
            (".shop.example", Ok("shop")),
            ("[::2]", Err(421)),
            ("[", Err(421)),
            ("", Err(421)),
        ] {
            assert_eq!(named(host), expected.map(str::to_owned), "{host}");
        }
        assert_eq!(sites.of(None).map(|_| ()), Err(Cause::Misdirected));
        assert_eq!(named(&"a".repeat(300)), Err(421));
    }

    #[test]
    fn an_unknown_host_is_the_default_sites_or_nobodys() {
        assert_eq!(sites("default").of(Some(b"x")).unwrap().upstreams.name(), "default");
        assert_eq!(sites("not_found").of(Some(b"x")).map(|_| ()), Err(Cause::UnknownSite));
        assert_eq!(sites("default").upstreams().len(), 4);
        assert_eq!(sites("not_found").upstreams().len(), 3, "nobody gets to the default site");
    }
}
