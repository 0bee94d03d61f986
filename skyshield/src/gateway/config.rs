//! What the gateway is told: where it listens, whom it forwards to, whom it believes.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::Limits;
use super::sites::{self, Balance, Health, MAX_UPSTREAMS, SiteConfig, UnknownHost};
use super::{http2, security_headers, tls};
use crate::clock;
use crate::engine::source::Source;

/// The gateway's section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses and ports to listen on. Default `["0.0.0.0:80", "[::]:80"]`; the second takes IPv6
    /// alone, and is left out on a host without it. None where another door is in use.
    pub listen: Vec<SocketAddr>,
    /// Where requests are forwarded to: `host:port` or `http://host:port`. A name is resolved again
    /// in the background, never for a request. Default `127.0.0.1:8080`.
    pub upstream: Authority,
    /// Several of them, in place of `upstream`; requests are shared out among them. Default none.
    pub upstreams: Vec<Authority>,
    /// How requests are shared out among several upstreams: `round_robin` or `least_connections`.
    /// Default `round_robin`.
    pub balance: Balance,
    /// What happens to a request for a host that no site has: `default`, and `upstream` serves it,
    /// `misdirected`, 421, or `not_found`, 404. Default `default`.
    pub unknown_host: UnknownHost,
    /// Proxies, by address or prefix, whose word on client addresses is taken. Default none.
    pub trusted_proxies: Vec<Source>,
    /// Whether connections of `trusted_proxies` begin with a PROXY protocol header, version 1 or 2.
    /// One that does not is closed; nobody else's is looked for. Default false.
    pub proxy_protocol: bool,
    /// The header in which trusted proxies name the client. Default `x-forwarded-for`.
    pub client_address_header: ClientAddressHeader,
    /// What happens to a body larger than `limits.inspected_body_bytes`: `refuse`, 413, or
    /// `pass-and-count`. It passes also where its route's `over_limit` says so, or where its route
    /// inspects nothing. Default `refuse`.
    pub body_over_limit: BodyOverLimit,
    /// Paths on which `WebSocket` may be opened, as in `limits`: `/ws/**`. What flows through one
    /// afterwards is not inspected. Default none.
    pub websocket_paths: Vec<String>,
    /// Whether clients are sent their request's score as `X-SkyShield-Risk`. Default false.
    pub risk_header_to_client: bool,
    /// Clients, by address or prefix, who are told in `Server-Timing` how long their request was held up
    /// for inspection. Default none.
    pub server_timing_to: Vec<Source>,
    /// The headers added to responses.
    pub headers: security_headers::Config,
    /// How it is found out which upstreams work.
    pub health: Health,
    /// How much, how many and how long.
    pub limits: Limits,
    /// What is served to whom by host name; `upstream` serves the rest. Default none.
    pub sites: Vec<SiteConfig>,
    /// TLS with clients.
    pub tls: tls::Config,
    /// HTTP/2 with clients.
    pub http2: http2::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0; 4], 80)), SocketAddr::from(([0; 8], 80))],
            upstream: Authority { host: "127.0.0.1".to_owned(), port: 8080 },
            upstreams: Vec::new(),
            balance: Balance::default(),
            unknown_host: UnknownHost::default(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            client_address_header: ClientAddressHeader::default(),
            body_over_limit: BodyOverLimit::default(),
            websocket_paths: Vec::new(),
            risk_header_to_client: false,
            server_timing_to: Vec::new(),
            headers: security_headers::Config::default(),
            health: Health::default(),
            limits: Limits::default(),
            sites: Vec::new(),
            tls: tls::Config::default(),
            http2: http2::Config::default(),
        }
    }
}

/// The header in which trusted proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddressHeader {
    /// `X-Forwarded-For`, read from the right.
    #[default]
    XForwardedFor,
}

/// What happens to a body that is larger than what is inspected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyOverLimit {
    /// The request is refused: 413.
    #[default]
    Refuse,
    /// What was held is inspected, the rest is streamed unseen, and a counter tells how often.
    PassAndCount,
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let everyone = self.trusted_proxies.iter().find(|source| source.as_prefix().prefix_len() == 0);
        if let Some(everyone) = everyone {
            let what = format!("{everyone} trusts everyone's word on who they are; name the proxies");
            return Some(("gateway.trusted_proxies", what));
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let what = "name the proxies that speak it in `trusted_proxies`".to_owned();
            return Some(("gateway.proxy_protocol", what));
        }
        if let Some(path) = self.websocket_paths.iter().find(|path| !path.starts_with('/')) {
            return Some(("gateway.websocket_paths", format!("`{path}` does not begin with `/`")));
        }
        if self.upstreams.len() > MAX_UPSTREAMS {
            return Some(("gateway.upstreams", format!("there are more than {MAX_UPSTREAMS}")));
        }
        if self.sites.is_empty() && self.unknown_host != UnknownHost::Default {
            let what = "there are no `sites`: nobody would be served".to_owned();
            return Some(("gateway.unknown_host", what));
        }
        let sites = sites::problem(&self.sites).map(|what| ("gateway.sites", what));
        sites
            .or_else(|| self.health.problem())
            .or_else(|| self.headers.problem())
            .or_else(|| self.limits.problem())
            .or_else(|| self.tls.problem())
            .or_else(|| self.http2.problem())
    }

    /// What is wrong with the files that are named here. Reads them: may block.
    pub fn file_problems(&self) -> Vec<tls::CertificateError> {
        tls::Certificates::problems(&self.tls.certificates, clock::wall())
    }

    /// The upstreams of the default site.
    pub(super) fn default_upstreams(&self) -> &[Authority] {
        if self.upstreams.is_empty() { std::slice::from_ref(&self.upstream) } else { &self.upstreams }
    }

    /// Every upstream that requests may be forwarded to, with the key that names it.
    pub fn keyed_upstreams(&self) -> impl Iterator<Item = (&'static str, &Authority)> {
        let key = if self.upstreams.is_empty() { "gateway.upstream" } else { "gateway.upstreams" };
        let served = self.unknown_host == UnknownHost::Default;
        let default = self.default_upstreams().iter().filter(move |_| served);
        let sites = self.sites.iter().flat_map(|site| &site.upstreams);
        default.map(move |upstream| (key, upstream)).chain(sites.map(|upstream| ("gateway.sites", upstream)))
    }

    /// Every upstream that requests may be forwarded to.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &Authority> {
        self.keyed_upstreams().map(|(_, upstream)| upstream)
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Authority {
    /// The address, where it is one and not a name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Its addresses. Asks the resolver where it is a name: not for use on a request.
    pub(super) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        (self.host.as_str(), self.port).to_socket_addrs().map(Iterator::collect)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

/// The text names no upstream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `host:port` or `http://host:port`")]
pub struct NotAnAuthority(String);

impl FromStr for Authority {
    type Err = NotAnAuthority;

    fn from_str(text: &str) -> Result<Self, NotAnAuthority> {
        let wrong = || NotAnAuthority(text.to_owned());
        let url = text.strip_prefix("http://");
        let bare = url.map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let (host, port) = match bare.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None if url.is_some() => (bare, 80),
            None => return Err(wrong()),
        };
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let well_formed = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            }
        };
        if !well_formed || port == 0 {
            return Err(wrong());
        }
        Ok(Self { host: address.unwrap_or(host).to_owned(), port })
    }
}

impl Serialize for Authority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for (text, upstream) in [
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://app.internal:3000/", Some("app.internal:3000")),
            ("http://app.internal", Some("app.internal:80")),
            ("[::1]:8080", Some("[::1]:8080")),
            ("http://[::1]", Some("[::1]:80")),
            ("app.internal", None),
            ("https://app.internal:443", None),
            ("http://app.internal:3000/path", None),
            ("::1:8080", None),
            ("app:0", None),
            ("app:http", None),
            ("", None),
        ] {
            let parsed = text.parse::<Authority>().ok().map(|upstream| upstream.to_string());
            assert_eq!(parsed.as_deref(), upstream, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        let limits = |limits| Config { limits, ..Config::default() };
        for (config, key) in [
            (
                Config { trusted_proxies: vec!["0.0.0.0/0".parse().unwrap()], ..Config::default() },
                "gateway.trusted_proxies",
            ),
            (limits(Limits { idle_secs: 0, ..Limits::default() }), "gateway.limits.idle_secs"),
            (limits(Limits { headers: 1000, ..Limits::default() }), "gateway.limits.headers"),
            (limits(Limits { held_body_bytes: 1, ..Limits::default() }), "gateway.limits.held_body_bytes"),
        ] {
            assert_eq!(config.problem().map(|(key, _)| key), Some(key));
        }
        assert_eq!(Config::default().problem(), None);
    }

    #[test]
    fn the_default_section_survives_being_written_and_read() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        assert!(toml::from_str::<Config>("upstraem = 'a:1'").is_err());
    }
}
