//! The verdict on a request: one function behind every door.

mod answers;
mod decided;
mod hops;
mod refusal;
mod settings;
mod sources;
mod trail;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::control::Control;
use crate::engine::incident::{Act, Assessment, Client, Door, Incident, IncidentId};
use crate::engine::risk::{self, Score};
use crate::engine::view::View;
use crate::engine::watcher::Watcher;
use crate::inspect::{Mode, OverLimit, Request};
use crate::limits::{self, Counted, Limiter, Quota, Stay};
use crate::routes::Route;

use decided::Decided;
pub use hops::address_of;
pub use refusal::{Limited, Refusal, RefusalReason};
pub use settings::{Opinion, Settings};
pub use trail::{Trail, Watch};

/// What happens to a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may be forwarded, by whoever shows the permit.
    Pass(Permit),
    /// It comes too early.
    Limit(Limited),
    /// It is refused.
    Refuse(Refusal),
}

impl Verdict {
    fn is_of_a_ban(&self) -> bool {
        matches!(self, Self::Refuse(Refusal { reason: RefusalReason::Banned(_), .. }))
    }
}

/// The right to forward one request: only [`Judge::judge`] makes one, and forwarding takes it.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    score: Score,
    quota: Option<Quota>,
    stay: Option<Stay>,
    trail: Option<Trail>,
    is_flagged: bool,
}

impl Permit {
    /// The request's score, for the upstream.
    pub fn score(&self) -> Score {
        self.score
    }

    /// Whether it would have been refused by a door that can, where its route did not only observe.
    pub fn is_flagged(&self) -> bool {
        self.is_flagged
    }

    /// What is to be handed to [`Judge::answered`] once the application has answered.
    pub fn take_trail(&mut self) -> Option<Trail> {
        self.trail.take()
    }

    /// What is left of the sender's quota, for him to know; where nobody limits him, nothing.
    pub fn take_quota(&mut self) -> Option<Quota> {
        self.quota.take()
    }

    /// What counts the request as in progress, to be dropped when it is not any more.
    pub fn take_stay(&mut self) -> Option<Stay> {
        self.stay.take()
    }
}

/// Judges requests. Cloned into every door.
#[derive(Clone)]
pub struct Judge {
    settings: Arc<Settings>,
    view: Arc<View>,
    control: Control,
    limiter: Option<Arc<Limiter>>,
    watch: Option<Arc<Watch>>,
    counter: Option<Arc<dyn Watcher>>,
}

/// Text of a request that is kept in an incident, in bytes at the most.
const MAX_TEXT: usize = 512;

impl Judge {
    /// A judge that goes by `settings` and reports to `control`.
    pub fn new(settings: Settings, view: Arc<View>, control: Control) -> Self {
        Self { settings: Arc::new(settings), view, control, limiter: None, watch: None, counter: None }
    }

    /// What it goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same, to be kept.
    pub fn shared_settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    /// A judge that goes by `settings` and `limits`, knows what this one knows, and goes on from what it
    /// has counted. This one stays as it is, for requests that began with it.
    #[must_use]
    pub fn renewed(&self, settings: Settings, limits: &limits::Config, now: Instant) -> Self {
        let limiter = self.limiter.as_ref().map(|limiter| Arc::new(limiter.renewed(limits, now)));
        Self { settings: Arc::new(settings), limiter, ..self.clone() }
    }

    /// The same, and requests are counted against the quotas of `limiter`.
    #[must_use]
    pub fn limited_by(self, limiter: Limiter) -> Self {
        Self { limiter: Some(Arc::new(limiter)), ..self }
    }

    /// Whether the whole of what `address` sends to `door` is refused at `now`, before a body is read.
    pub fn ban_of(&self, address: IpAddr, door: Door, now: Instant) -> Option<Refusal> {
        // Whom a request is of is known only once all of it is there.
        if self.view.allows_users() {
            return None;
        }
        match self.view.ban_of(address, now) {
            Some(ban) => Some(self.banned(address, door, ban.id, ban.incident)),
            None => self.unwanted(address, door, now),
        }
    }

    /// What happens to a body that is larger than a door inspects, by the route of its request; where a
    /// route inspects nothing, it passes.
    pub fn over_limit(&self, host: &[u8], method: &[u8], target: &[u8]) -> OverLimit {
        self.settings.over_limit(host, method, target)
    }

    /// Counts a request that nobody can refuse; whether it is beyond its sender's quota.
    pub fn is_over_quota(&self, client: Client, request: &Request<'_>, now: Instant) -> bool {
        let counted = self.limiter.as_ref().map(|limiter| limiter.count(client.address, request, now));
        matches!(counted, Some(Counted::Over { .. }))
    }

    /// Charges `source` with the bytes that a request of his has moved, at what `now` says.
    pub fn spend(&self, source: IpAddr, bytes: u64, now: impl FnOnce() -> Instant) {
        if let Some(limiter) = &self.limiter {
            limiter.spend(source, bytes, now);
        }
    }

    /// The verdict on `request` by `client`, all of whose bytes had arrived at `complete_at`.
    ///
    /// A refusal is reported as an incident before this returns; it never waits.
    pub fn judge(&self, client: Client, door: Door, request: &Request<'_>, complete_at: Instant) -> Verdict {
        self.judge_by(client, door, request, None, complete_at)
    }

    /// The same, of a client whose TLS handshake is known (JA4).
    pub fn judge_by(
        &self,
        client: Client,
        door: Door,
        request: &Request<'_>,
        ja4: Option<&str>,
        complete_at: Instant,
    ) -> Verdict {
        let is_allowed = match self.decided(client, door, request, complete_at) {
            // Where nothing can be refused, all is inspected but what is banned already.
            Decided::Stop(verdict) if !door.can_refuse() && !verdict.is_of_a_ban() => false,
            Decided::Stop(verdict) => return *verdict,
            Decided::Allowed => true,
            Decided::Nothing => false,
        };
        let limiter = self.limiter.as_ref().filter(|_| door.can_refuse());
        let stay = match limiter.map(|limiter| limiter.enter(client.address)) {
            Some(Ok(stay)) => stay,
            Some(Err(Counted::Over { quota, retry_after })) => {
                return self.limited(client.address, door, quota, retry_after);
            }
            None | Some(Err(Counted::Free | Counted::Within(_))) => None,
        };
        let counted = limiter.map(|limiter| limiter.count(client.address, request, complete_at));
        let quota = match counted {
            None | Some(Counted::Free) => None,
            Some(Counted::Within(quota)) => Some(quota),
            Some(Counted::Over { quota, retry_after }) => {
                return self.limited(client.address, door, quota, retry_after);
            }
        };
        let Opinion { route, bill, reason, only_observed, inspection } =
            self.opinion(&self.settings, client, request, complete_at);
        let score = bill.score();
        self.wonder(client, score);
        for limit in &inspection.limits_reached {
            self.control.count_limit(limit);
        }
        let trail = || self.trail(client, request, &route.name, complete_at);
        let Some(reason) = reason else {
            if bill.terms.iter().any(|term| term.kind == risk::Kind::Finding) {
                let assessment = Assessment { bill, thresholds: route.thresholds, ..Assessment::default() };
                self.control.near_miss(&route.name, assessment);
            }
            self.slow_down(client, route, score, complete_at);
            return Verdict::Pass(Permit { score, quota, stay, trail: trail(), is_flagged: false });
        };
        let act = match route.mode {
            _ if only_observed => Act::Observe,
            Mode::Off | Mode::Observe => Act::Observe,
            Mode::Refuse if route.thresholds.bans(score) && !is_allowed => Act::Ban,
            Mode::Refuse if door.can_refuse() => Act::Refuse,
            Mode::Refuse => Act::Flag,
        };
        let id = mint();
        let settled = self.control.report(Incident {
            id,
            at: clock::wall(),
            client,
            door,
            act,
            route: Arc::clone(&route.name),
            assessment: Assessment {
                bill,
                thresholds: route.thresholds,
                demanded_by: inspection.demanded_by,
                unread: match reason {
                    RefusalReason::Unread(limit) => Some(limit.into()),
                    RefusalReason::Risk
                    | RefusalReason::Rule
                    | RefusalReason::Banned(_)
                    | RefusalReason::Unwanted
                    | RefusalReason::NoUser => None,
                },
            },
            findings: [inspection.findings, inspection.observed].concat(),
            method: text(request.method),
            host: text(request.host()),
            target: text(request.target),
            traits: sources::traits_of(request, client.address, ja4),
            complete_at,
        });
        if matches!(act, Act::Flag | Act::Refuse) {
            self.slow_down(client, route, score, complete_at);
        }
        match act {
            Act::Observe | Act::Flag => {
                Verdict::Pass(Permit { score, quota, stay, trail: trail(), is_flagged: act == Act::Flag })
            }
            Act::Refuse | Act::Ban => Verdict::Refuse(Refusal { incident: id, score, reason, settled }),
        }
    }
}

impl Judge {
    /// Has the client slowed down for a request of `score`, unless its route only observes. Packets that
    /// a proxy sends for others are not the client's.
    fn slow_down(&self, client: Client, route: &Route, score: Score, at: Instant) {
        if route.mode == Mode::Refuse
            && route.thresholds.shapes(score)
            && !client.by_proxy
            && !self.view.is_shaped(client.address, score, at)
        {
            self.control.suspect(client.address, score);
        }
    }

    /// The opinion on `request` of `client`, as far as the operator has made no exception.
    fn opinion<'a>(
        &self,
        settings: &'a Settings,
        client: Client,
        request: &Request<'_>,
        at: Instant,
    ) -> Opinion<'a> {
        let standing = self.view.standing(client.address, at);
        let exceptions = self.control.exceptions().load();
        let (opinion, needed) = settings.opinion_beside(request, standing, &exceptions, (client.address, at));
        self.control.count_exceptions(needed);
        opinion
    }
}

/// An id for an answer, whether a verdict led to it or not.
pub fn mint() -> IncidentId {
    let mut random = [0; 16];
    // Without randomness an id is still unique to its millisecond.
    let _unlikely = getrandom::fill(&mut random);
    IncidentId::new(clock::wall(), u128::from_ne_bytes(random))
}

/// Bytes of a request as text for people: shortened, nothing in it that a terminal acts on.
fn text(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(MAX_TEXT)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::control::{self, Order};
    use crate::inspect::Limits;

    /// What a judge with `limits` says of `target`, and what it reported.
    fn judged(limits: &Limits, target: &str) -> (Verdict, Option<Incident>) {
        let metrics = control::Metrics::new(&prometheus::Registry::new()).unwrap();
        let (control, mut queue) = Control::channel(metrics);
        let settings = Settings::new(limits, &risk::Config::default(), &[]);
        let judge = Judge::new(settings, Arc::default(), control);
        let client = Client { address: IpAddr::V4(Ipv4Addr::LOCALHOST), by_proxy: false };
        let request = Request { method: b"GET", target: target.as_bytes(), headers: &[], body: b"" };
        let verdict = judge.judge(client, Door::Gateway, &request, clock::now());
        let reported = match queue.try_recv() {
            Ok(Order::Incident(incident, _)) => Some(*incident),
            _ => None,
        };
        (verdict, reported)
    }

    #[test]
    fn where_it_only_observes_an_attack_passes_and_is_told_of() {
        let observing = Limits { mode: Mode::Observe, ..Limits::default() };
        let (verdict, incident) = judged(&observing, "/?a=%3Cscript%3Ealert(1)");
        assert!(matches!(verdict, Verdict::Pass(_)));
        assert_eq!(incident.unwrap().act, Act::Observe);
        let off = Limits { mode: Mode::Off, ..Limits::default() };
        let (verdict, incident) = judged(&off, "/?a=%3Cscript%3Ealert(1)");
        assert!(matches!(verdict, Verdict::Pass(_)) && incident.is_none());
    }

    #[test]
    fn a_request_too_large_to_be_read_is_refused_and_its_sender_not_banned() {
        let narrow = Limits { values: 2, ..Limits::default() };
        let (verdict, incident) = judged(&narrow, "/?a=1&b=2");
        let Verdict::Refuse(refusal) = verdict else { panic!("passed") };
        assert_eq!(refusal.reason, RefusalReason::Unread("values"));
        assert_eq!(incident.unwrap().act, Act::Refuse);
        let lenient = Limits { over_limit: OverLimit::PassAndCount, ..narrow };
        let (verdict, incident) = judged(&lenient, "/?a=1&b=2");
        assert!(matches!(verdict, Verdict::Pass(_)) && incident.is_none());
    }

    #[test]
    fn an_attack_before_the_limit_is_refused_for_what_it_is() {
        let narrow = Limits { values: 3, ..Limits::default() };
        let (verdict, _) = judged(&narrow, "/?a=%3Cscript%3Ealert(1)&b=2&c=3");
        let Verdict::Refuse(refusal) = verdict else { panic!("passed") };
        assert_eq!(refusal.reason, RefusalReason::Risk);
    }
}
