//! How many requests of each class a source or a user may send, whichever door they come by.

mod config;
mod table;
mod user;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

pub use config::{By, Class, Config};
pub use user::{Secret, UserKey};

use self::table::{Charge, Rate, Table};
use crate::inspect::Request;
use crate::routes::{Path, Pattern};

/// What a sender is told of his quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    class: Arc<str>,
    /// Requests in a window.
    pub requests: u32,
    /// The window, in seconds.
    pub window_secs: u32,
    /// Requests that are left at once.
    pub remaining: u64,
    /// In how many seconds all of them are there again.
    pub whole_in_secs: u64,
}

impl Quota {
    /// The class's name.
    pub fn class(&self) -> &str {
        &self.class
    }
}

/// What came of counting a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nobody limits it.
    Free,
    /// It is within its quota.
    Within(Quota),
    /// It is not; after this long, one more is.
    Over {
        /// The quota it is beyond.
        quota: Quota,
        /// From now to when a request like it is within.
        retry_after: Duration,
    },
}

/// Counts requests against their classes' quotas.
#[derive(Debug)]
pub struct Limiter {
    config: Config,
    classes: Vec<Rule>,
    table: Table,
    evicted: IntCounter,
}

#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    class: Class,
    paths: Vec<Pattern>,
    rate: Rate,
    limited: IntCounter,
}

/// A second, in the table's unit.
const SECOND: u64 = 1_000_000_000;

impl Limiter {
    /// A limiter whose time begins at `now`, and which counts in `registry`.
    pub fn new(config: &Config, registry: &Registry, now: Instant) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("skyshield_ratelimited_total", "Requests beyond their class's quota.");
        let limited = IntCounterVec::new(opts, &["class"])?;
        registry.register(Box::new(limited.clone()))?;
        let evicted = IntCounter::new(
            "skyshield_ratelimit_evicted_total",
            "Sources and users whose use was forgotten early, for want of room.",
        )?;
        registry.register(Box::new(evicted.clone()))?;
        let classes = config.in_order().map(|(name, class)| {
            let window = u64::from(class.window_secs) * SECOND;
            Rule {
                name: name.into(),
                class: class.clone(),
                paths: class.paths.iter().filter_map(|path| Pattern::parse(path)).collect(),
                rate: Rate { step: window / u64::from(class.requests.max(1)), window },
                limited: limited.with_label_values(&[name]),
            }
        });
        let classes = if config.enabled { classes.collect() } else { Vec::new() };
        let capacity = if config.enabled { config.tracked } else { 0 };
        Ok(Self { config: config.clone(), classes, table: Table::new(capacity, now), evicted })
    }

    /// Counts `request` of `client` at `now`. What is beyond a quota uses nothing up.
    pub fn count(&self, client: IpAddr, request: &Request<'_>, now: Instant) -> Counted {
        if self.classes.is_empty() || self.is_exempt(client) {
            return Counted::Free;
        }
        let path = Path::of(request.target);
        let Some((at, rule)) = self.classes.iter().enumerate().find(|(_, rule)| rule.takes(request, &path))
        else {
            return Counted::Free;
        };
        if rule.class.requests == 0 || rule.excepts(request, &path) {
            return Counted::Free;
        }
        let user = match rule.class.by {
            By::Source => None,
            By::User | By::Both => self.config.user.user_of(request.headers),
        };
        let user = user.map(|user| self.table.fingerprint((at, "user", user)));
        let source = (rule.class.by != By::User || user.is_none())
            .then(|| self.table.fingerprint((at, "source", self.source_of(client))));
        let mut least: Option<u64> = None;
        let keys = [source, user];
        for (done, key) in keys.iter().enumerate() {
            let Some(key) = *key else { continue };
            let (charge, evicted) = self.table.charge(key, rule.rate, now);
            self.evicted.inc_by(u64::from(evicted));
            match charge {
                Charge::Within { left } => least = Some(least.map_or(left, |least| least.min(left))),
                Charge::Over { wait } => {
                    keys[..done].iter().flatten().for_each(|&key| self.table.refund(key, rule.rate));
                    rule.limited.inc();
                    return Counted::Over { quota: rule.quota(0), retry_after: Duration::from_nanos(wait) };
                }
            }
        }
        least.map_or(Counted::Free, |left| Counted::Within(rule.quota(left)))
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        self.config.exempt.iter().any(|source| source.as_prefix().contains(&client))
    }

    /// The prefix that counts as one source.
    fn source_of(&self, client: IpAddr) -> IpAddr {
        match client.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.config.v4_prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.config.v6_prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        }
    }
}

impl Rule {
    fn takes(&self, request: &Request<'_>, path: &Path<'_>) -> bool {
        let methods = &self.class.methods;
        (methods.is_empty() || methods.iter().any(|method| method.as_bytes() == request.method))
            && self.paths.iter().any(|pattern| pattern.matches(path))
    }

    fn excepts(&self, request: &Request<'_>, path: &Path<'_>) -> bool {
        let extensions = &self.class.except_extensions;
        !extensions.is_empty()
            && matches!(request.method, b"GET" | b"HEAD")
            && path.extension().is_some_and(|found| {
                extensions.iter().any(|extension| extension.as_bytes().eq_ignore_ascii_case(found))
            })
    }

    fn quota(&self, left: u64) -> Quota {
        let Rate { step, window } = self.rate;
        Quota {
            class: Arc::clone(&self.name),
            requests: self.class.requests,
            window_secs: self.class.window_secs,
            remaining: left / step.max(1),
            whole_in_secs: (window - left.min(window)).div_ceil(SECOND),
        }
    }
}

#[cfg(test)]
mod tests;
