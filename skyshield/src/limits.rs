//! How many requests of each class a source or a user may send, whichever door they come by.

mod config;
mod per_source;
mod table;
mod told;
mod user;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

pub use config::{By, Class, Config};
pub use per_source::{PerSource, Stay};
pub use told::quota_lines;
pub use user::{Secret, UserKey};

use self::per_source::InProgress;
use self::table::{Charge, Rate, Table};
use crate::engine::response::Measures;
use crate::engine::ruling::Word;
use crate::inspect::Request;
use crate::routes::{Path, Pattern};

/// What a sender is told of his quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    class: Arc<str>,
    /// What is counted.
    pub unit: Unit,
    /// How much of it there is in a window.
    pub amount: u64,
    /// The window, in seconds; 0 where there is none.
    pub window_secs: u32,
    /// How much of it is left at once.
    pub remaining: u64,
    /// In how many seconds all of them are there again.
    pub whole_in_secs: u64,
}

impl Quota {
    /// The class's name.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The class's name, to be kept.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.class)
    }
}

/// What a quota is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests.
    Requests,
    /// Bytes of requests and responses.
    Bytes,
    /// Requests in progress.
    InProgress,
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
    table: Arc<Table>,
    in_progress: Arc<InProgress>,
    limited: IntCounterVec,
    evicted: IntCounter,
    measures: Arc<Measures>,
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
        let capacity = if config.enabled { config.tracked } else { 0 };
        let tables = (Arc::new(Table::new(capacity, now)), Arc::default());
        Ok(Self::of(config, tables, limited, evicted))
    }

    /// A limiter of `config` that goes on from what this one has counted. Of a class whose quota has
    /// changed, the share that is used stays used.
    #[must_use]
    pub fn renewed(&self, config: &Config, now: Instant) -> Self {
        // Where nobody was limited the table has no room yet.
        let begins = config.enabled && !self.config.enabled;
        let table = if begins { Arc::new(Table::new(config.tracked, now)) } else { Arc::clone(&self.table) };
        let tables = (table, Arc::clone(&self.in_progress));
        let measures = Arc::clone(&self.measures);
        Self { measures, ..Self::of(config, tables, self.limited.clone(), self.evicted.clone()) }
    }

    /// The same, and requests of the classes that `measures` tighten count for more.
    #[must_use]
    pub fn under(self, measures: &Arc<Measures>) -> Self {
        Self { measures: Arc::clone(measures), ..self }
    }

    /// Whether `request` names its user, or is about to: it is of the class `auth`.
    pub fn is_of_a_user(&self, request: &Request<'_>) -> bool {
        let path = Path::of(request.target);
        let logs_in = || self.classes.iter().any(|rule| &*rule.name == "auth" && rule.takes(request, &path));
        self.config.user.user_of(request.headers).is_some() || logs_in()
    }

    fn of(
        config: &Config,
        (table, in_progress): (Arc<Table>, Arc<InProgress>),
        limited: IntCounterVec,
        evicted: IntCounter,
    ) -> Self {
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
        let measures = Arc::default();
        Self { config: config.clone(), classes, table, in_progress, limited, evicted, measures }
    }

    /// Counts `request` of `client` at `now`. What is beyond a quota uses nothing up.
    pub fn count(&self, client: IpAddr, request: &Request<'_>, now: Instant) -> Counted {
        if self.classes.is_empty() || self.is_exempt(client) {
            return Counted::Free;
        }
        if let Some(over) = self.over_bytes(client, now) {
            return over;
        }
        let path = Path::of(request.target);
        let Some(rule) = self.classes.iter().find(|rule| rule.takes(request, &path)) else {
            return Counted::Free;
        };
        if rule.class.requests == 0 || rule.excepts(request, &path) {
            return Counted::Free;
        }
        let user = match rule.class.by {
            By::Source => None,
            By::User | By::Both => self.config.user.user_of(request.headers),
        };
        let user = user.map(|user| self.table.fingerprint((&rule.name, "user", user)));
        let source = (rule.class.by != By::User || user.is_none())
            .then(|| self.table.fingerprint((&rule.name, "source", self.source_of(client))));
        let fold = u64::from(self.measures.fold(&rule.name, now));
        let rate = Rate { step: rule.rate.step.saturating_mul(fold), ..rule.rate };
        let mut least: Option<u64> = None;
        let keys = [source, user];
        for (done, key) in keys.iter().enumerate() {
            let Some(key) = *key else { continue };
            let (charge, evicted) = self.table.charge(key, rate, now);
            self.evicted.inc_by(u64::from(evicted));
            match charge {
                Charge::Within { left } => least = Some(least.map_or(left, |least| least.min(left))),
                Charge::Over { wait } => {
                    keys[..done].iter().flatten().for_each(|&key| self.table.refund(key, rate));
                    rule.limited.inc();
                    return Counted::Over { quota: rule.quota(0), retry_after: Duration::from_nanos(wait) };
                }
            }
        }
        least.map_or(Counted::Free, |left| Counted::Within(rule.quota(left)))
    }

    /// Whom `request` is of, by the word that `limits.user` believes.
    pub fn user_of<'a>(&self, request: &Request<'a>) -> Option<std::borrow::Cow<'a, [u8]>> {
        self.config.user.user_of(request.headers)
    }

    /// Counts a request of `client` against a limit that an operator has set, known by its number; after
    /// how long one more is within, where it is not.
    pub fn count_ruling(&self, word: &Word, client: IpAddr, now: Instant) -> Result<(), (Quota, Duration)> {
        const WINDOW: u64 = 60 * SECOND;
        let rate = Rate { step: WINDOW / u64::from(word.requests_per_min.max(1)), window: WINDOW };
        let source = (!word.counts_together).then(|| self.source_of(client));
        let key = self.table.fingerprint(("ruling", word.id.0, source));
        let (charge, evicted) = self.table.charge(key, rate, now);
        self.evicted.inc_by(u64::from(evicted));
        match charge {
            Charge::Within { .. } => Ok(()),
            Charge::Over { wait } => {
                self.limited.with_label_values(&["decision"]).inc();
                let quota = Quota {
                    class: "decision".into(),
                    unit: Unit::Requests,
                    amount: word.requests_per_min.into(),
                    window_secs: 60,
                    remaining: 0,
                    whole_in_secs: 60,
                };
                Err((quota, Duration::from_nanos(wait)))
            }
        }
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
            unit: Unit::Requests,
            amount: u64::from(self.class.requests),
            window_secs: self.class.window_secs,
            remaining: left / step.max(1),
            whole_in_secs: (window - left.min(window)).div_ceil(SECOND),
        }
    }
}

#[cfg(test)]
mod tests;
