//! Going through recorded requests again, in their order and their time: who would have been refused,
//! limited or banned, and why.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime};

use prometheus::Registry;
use serde::Serialize;

use crate::engine::behaviour::{self, Behaviour, Claims, Key};
use crate::engine::escalation::{self, Escalation};
use crate::engine::incident::Client;
use crate::engine::risk;
use crate::engine::standing::Standing;
use crate::exceptions::Set;
use crate::inspect::{Header, Request};
use crate::limits::{self, Counted, Limiter};
use crate::verdict::{Settings, Watch};

/// Sources that are remembered; of further ones each request is looked at by itself.
const MAX_SOURCES: usize = 1_000_000;

/// Whose requests are that are nobody's: an exception of one source's does not count for them.
pub(super) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A recorded request.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// When it was sent, where that is known.
    pub at: Option<SystemTime>,
    /// From where, where that is known.
    pub source: Option<IpAddr>,
    /// The method.
    pub method: Vec<u8>,
    /// The target, as it was on the wire.
    pub target: Vec<u8>,
    /// The headers, in their order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, as far as it was recorded.
    pub body: Vec<u8>,
    /// The answer's status, where that is known.
    pub status: Option<u16>,
}

impl Recorded {
    /// What `see` makes of it.
    pub fn with<T>(&self, see: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| Header { name, value }).collect();
        see(&Request { method: &self.method, target: &self.target, headers: &headers, body: &self.body })
    }
}

/// What would have become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// It would have passed.
    Passed,
    /// It would have come too early.
    Limited,
    /// It would have been refused.
    Refused,
    /// It would have been refused, and its source banned.
    Banned,
    /// It would not have arrived: its source was banned already.
    Dropped,
}

/// What would have become of one source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// Its requests.
    pub requests: u64,
    /// Of these, those that would have been limited.
    pub limited: u64,
    /// Refused.
    pub refused: u64,
    /// Dropped.
    pub dropped: u64,
    /// Bans.
    pub bans: u64,
    /// The rules behind it, those behind most first.
    pub why: Vec<String>,
}

#[derive(Default)]
struct Known {
    standing: Standing,
    banned_until: Option<Instant>,
    told: Told,
    why: HashMap<String, u64>,
}

/// A host of nobody's that requests are sent to again.
pub struct Rerun {
    settings: Settings,
    exceptions: Set,
    limiter: Limiter,
    behaviour: Behaviour,
    watch: Option<Watch>,
    escalation: Escalation,
    ban_for: Duration,
    sources: HashMap<IpAddr, Known>,
    claims: HashMap<IpAddr, Claims>,
    began: (Instant, Option<SystemTime>),
}

impl Rerun {
    /// One that goes by these sections and exceptions, whose time begins at `now`.
    pub fn new(
        (settings, exceptions): (Settings, Set),
        (limits, behaviour): (&limits::Config, &behaviour::Config),
        (risk, escalation): (&risk::Config, &escalation::Config),
        now: Instant,
    ) -> Result<Self, prometheus::Error> {
        let ban_for = Duration::from_secs(risk.ban_secs);
        // A key of nobody's: nothing of it is kept.
        let key = [7; 32];
        Ok(Self {
            settings,
            exceptions,
            limiter: Limiter::new(limits, &Registry::new(), now)?,
            behaviour: Behaviour::new(behaviour.clone(), Key::of(&key), now),
            watch: Watch::new(behaviour, limits, &key),
            escalation: Escalation::new(escalation::Config { widen: false, ..escalation.clone() }, ban_for),
            ban_for,
            sources: HashMap::new(),
            claims: HashMap::new(),
            began: (now, None),
        })
    }

    /// What would have become of `recorded`. Where nothing is known of its source it is looked at by itself.
    pub fn go(&mut self, recorded: &Recorded) -> Became {
        let now = self.moment(recorded.at);
        let Some(address) = recorded.source.map(|address| address.to_canonical()) else {
            let refuses = recorded.with(|request| {
                let (standing, whose) = (Standing::default(), (NOBODY, now));
                self.settings.opinion_beside(request, standing, &self.exceptions, whose).0.refuses()
            });
            return if refuses { Became::Refused } else { Became::Passed };
        };
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&address) {
            return Became::Passed;
        }
        let known = self.sources.entry(address).or_default();
        known.told.requests += 1;
        if known.banned_until.is_some_and(|until| now < until) {
            known.told.dropped += 1;
            return Became::Dropped;
        }
        let counted = recorded.with(|request| self.limiter.count(address, request, now));
        if matches!(counted, Counted::Over { .. }) {
            known.told.limited += 1;
            return Became::Limited;
        }
        let source = behaviour::source_of(address);
        let claims = self.claims.get(&source).copied().unwrap_or_default();
        let standing = known.standing.with_behaviour(claims).at(now);
        let (refuses, bans, own, rules) = recorded.with(|request| {
            let whose = (address, now);
            let (opinion, _needed) = self.settings.opinion_beside(request, standing, &self.exceptions, whose);
            let bans = opinion.route.thresholds.bans(opinion.bill.score());
            let rules: Vec<_> = opinion.bill.terms.iter().map(|term| term.rule.to_string()).collect();
            (opinion.refuses(), bans, opinion.bill.of_the_request().score(), rules)
        });
        if !refuses {
            self.observe(address, recorded, now);
            return Became::Passed;
        }
        for rule in rules {
            *known.why.entry(rule).or_default() += 1;
        }
        known.told.refused += 1;
        known.standing = known.standing.after_incident(own.value(), now);
        if !bans {
            return Became::Refused;
        }
        let sentence = self.escalation.sentence(address, now, 0.5);
        known.banned_until = now.checked_add(sentence.ttl.max(self.ban_for));
        known.told.bans += 1;
        Became::Banned
    }

    /// What became of each source that was limited, refused or banned, the worst first.
    pub fn told(&self) -> Vec<(IpAddr, Told)> {
        let is_told = |known: &&Known| known.told.limited + known.told.refused + known.told.dropped > 0;
        let told = self.sources.iter().filter(|(_, known)| is_told(known)).map(|(&address, known)| {
            let mut why: Vec<_> = known.why.iter().collect();
            why.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
            let why = why.into_iter().take(5).map(|(rule, _)| rule.clone()).collect();
            (address, Told { why, ..known.told.clone() })
        });
        let mut told: Vec<_> = told.collect();
        let weight = |told: &Told| (told.bans, told.refused + told.dropped, told.limited);
        told.sort_by(|(one, by_one), (other, by_other)| {
            weight(by_other).cmp(&weight(by_one)).then(one.cmp(other))
        });
        told
    }

    fn observe(&mut self, address: IpAddr, recorded: &Recorded, now: Instant) {
        let (Some(watch), Some(status)) = (&self.watch, recorded.status) else { return };
        let client = Client { address, by_proxy: false };
        let signal =
            recorded.with(|request| watch.signal(watch.see(client, request, &"default".into(), now), status));
        let claims = self.behaviour.observe(&signal);
        let source = behaviour::source_of(address);
        if claims.is_empty() {
            self.claims.remove(&source);
        } else {
            self.claims.insert(source, claims);
        }
    }

    /// The moment of a request: as long after the beginning as it was then. A clock that stepped back
    /// stands still.
    fn moment(&mut self, at: Option<SystemTime>) -> Instant {
        let (began, first) = &mut self.began;
        let Some(at) = at else { return *began };
        let first = *first.get_or_insert(at);
        let after = at.duration_since(first).unwrap_or_default();
        began.checked_add(after).unwrap_or(*began)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock;
    use crate::exceptions::{Exception, Held, Scope};
    use crate::inspect::Limits;

    fn went(scope: Scope, until: Option<Duration>, after: Duration) -> Became {
        let (now, wall) = (clock::now(), SystemTime::UNIX_EPOCH);
        let exception = Exception {
            id: "1".to_owned(),
            scope: Scope { rules: vec!["xss.*".to_owned()], ..scope },
            comment: String::new(),
            by: "root".to_owned(),
            made_at: wall,
            until: until.map(|until| now + until),
        };
        let risk = risk::Config::default();
        let mut rerun = Rerun::new(
            (Settings::new(&Limits::default(), &risk, &[]), Set::new([Arc::new(Held::new(exception))])),
            (&limits::Config::default(), &behaviour::Config::default()),
            (&risk, &escalation::Config::default()),
            now,
        )
        .unwrap();
        let request = |target: &str, at| Recorded {
            at: Some(wall + at),
            source: Some(Ipv4Addr::new(203, 0, 113, 7).into()),
            method: b"GET".to_vec(),
            target: target.into(),
            ..Recorded::default()
        };
        assert_eq!(rerun.go(&request("/", Duration::ZERO)), Became::Passed);
        rerun.go(&request("/search?q=%3Cscript%3Ealert(1)%3C/script%3E", after))
    }

    #[test]
    fn an_exception_lets_through_whose_requests_it_is_about_and_while_it_lasts() {
        let (all, minute) = (Scope::default(), Duration::from_mins(1));
        let of = |source: &str| Scope { source: Some(source.parse().unwrap()), ..Scope::default() };
        assert_eq!(went(all.clone(), None, minute), Became::Passed);
        assert_eq!(went(all.clone(), Some(2 * minute), minute), Became::Passed);
        assert_eq!(went(all, Some(minute), 2 * minute), Became::Banned, "its time is over by then");
        assert_eq!(went(of("203.0.113.0/24"), None, minute), Became::Passed);
        assert_eq!(went(of("203.0.113.8"), None, minute), Became::Banned);
        let elsewhere = Scope { route: Some("/other".to_owned()), ..Scope::default() };
        assert_eq!(went(elsewhere, None, minute), Became::Banned);
    }
}
