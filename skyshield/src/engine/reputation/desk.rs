//! The desk of one provider: takes wonders in, says whom to ask next, and keeps what was answered.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::answer::Outcome;
use super::breaker::Breaker;
use super::budget::{Budget, Kept};
use super::opinion::Opinion;
use super::waiting::Waiting;

/// Opinions that are kept of each provider; beyond it those go that end soonest.
const MAX_KNOWN: usize = 100_000;
/// Questions on their way at once.
const AT_ONCE: usize = 4;
/// An address that a provider cannot say anything of is not asked about again for this long.
const UNANSWERABLE_FOR: Duration = Duration::from_hours(24);
/// `Later`, where it does not say when.
const LATER: Duration = Duration::from_mins(1);
/// A provider that refused the key is asked one thing in this long: keys are paid for and unlocked again.
const REFUSED_FOR: Duration = Duration::from_hours(1);

/// What a desk goes by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Questions a day.
    pub daily: u32,
    /// What a question has to be worth, 0 to 1.
    pub min_worth: f32,
    /// How long an opinion that speaks against a source is fresh.
    pub fresh_bad: Duration,
    /// How long one is that does not.
    pub fresh_clean: Duration,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Known {
    opinion: Option<Opinion>,
    fresh_until: Instant,
    /// Beyond its freshness it stands as long again, in case nobody answers.
    ends_at: Instant,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Put this on disk, then call [`Desk::set_aside`].
    Keep(Kept),
    /// Ask about this address, then call [`Desk::answered`].
    Ask(IpAddr),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    terms: Terms,
    budget: Budget,
    breaker: Breaker,
    waiting: Waiting,
    asking: HashSet<IpAddr>,
    keeping: bool,
    known: HashMap<IpAddr, Known>,
    ends: BTreeSet<(Instant, IpAddr)>,
    /// Since the key was refused: until when nothing is asked.
    refused_until: Option<Instant>,
}

impl Desk {
    /// A desk that goes by `terms`, with what was kept of its budget.
    pub fn new(terms: Terms, kept: Option<Kept>) -> Self {
        Self {
            terms,
            budget: Budget::new(terms.daily, kept),
            breaker: Breaker::default(),
            waiting: Waiting::default(),
            asking: HashSet::new(),
            keeping: false,
            known: HashMap::new(),
            ends: BTreeSet::new(),
            refused_until: None,
        }
    }

    /// Somebody wonders about `address`, and the answer is worth so much, 0 to 1. What is known or being
    /// asked is not asked again.
    pub fn wonder(&mut self, address: IpAddr, worth: f32, now: Instant) {
        let is_fresh = self.known.get(&address).is_some_and(|known| now < known.fresh_until);
        if worth < self.terms.min_worth || is_fresh || self.asking.contains(&address) {
            return;
        }
        self.waiting.wait(address, worth);
    }

    /// The next thing to do at `now`, which is `wall_secs` on the wall.
    pub fn next(&mut self, now: Instant, wall_secs: u64) -> Option<Step> {
        let is_refused = self.refused_until.is_some_and(|until| now < until || !self.asking.is_empty());
        if is_refused || self.keeping || self.asking.len() >= AT_ONCE || !self.breaker.allows(now) {
            return None;
        }
        if !self.budget.allows(self.waiting.worth()?, wall_secs) {
            return None;
        }
        if let Some(kept) = self.budget.to_keep() {
            self.keeping = true;
            return Some(Step::Keep(kept));
        }
        if !self.budget.spend() {
            return None;
        }
        let (address, _) = self.waiting.take()?;
        self.breaker.tried();
        self.asking.insert(address);
        Some(Step::Ask(address))
    }

    /// Notes that `kept` is on disk, or that the disk refused it: then nothing is asked for now.
    pub fn set_aside(&mut self, kept: Kept, is_kept: bool, now: Instant) {
        self.keeping = false;
        if is_kept {
            self.budget.note_kept(kept);
        } else {
            self.breaker.pause(now, LATER);
        }
    }

    /// Takes the answer to the question about `address`. A failure is no opinion: what was known stands.
    pub fn answered(&mut self, address: IpAddr, outcome: Outcome, now: Instant, wall_secs: u64, chance: f64) {
        if !self.asking.remove(&address) {
            return;
        }
        if matches!(outcome, Outcome::Known(_) | Outcome::Unanswerable | Outcome::Exhausted(_)) {
            self.refused_until = None;
        }
        match outcome {
            Outcome::Known(opinion) => {
                self.breaker.succeeded();
                let fresh = if opinion.is_bad() { self.terms.fresh_bad } else { self.terms.fresh_clean };
                self.know(address, Some(opinion), fresh, now);
            }
            Outcome::Unanswerable => {
                self.breaker.succeeded();
                self.know(address, None, UNANSWERABLE_FOR, now);
            }
            Outcome::KeyRefused => {
                self.breaker.succeeded();
                self.refused_until = now.checked_add(REFUSED_FOR);
            }
            Outcome::Exhausted(pause) => {
                self.breaker.succeeded();
                self.budget.exhaust(pause.map(|pause| pause.as_secs()), wall_secs);
            }
            Outcome::Later(pause) => self.breaker.pause(now, pause.unwrap_or(LATER)),
            Outcome::Failed(_) => self.breaker.failed(now, chance),
        }
    }

    /// Takes up an opinion that is kept from before, fresh for `fresh` more.
    pub fn recall(&mut self, address: IpAddr, opinion: Option<Opinion>, fresh: Duration, now: Instant) {
        self.know(address, opinion, fresh, now);
    }

    fn know(&mut self, address: IpAddr, opinion: Option<Opinion>, fresh: Duration, now: Instant) {
        let (Some(fresh_until), Some(ends_at)) = (now.checked_add(fresh), now.checked_add(fresh * 2)) else {
            return;
        };
        if let Some(before) = self.known.insert(address, Known { opinion, fresh_until, ends_at }) {
            self.ends.remove(&(before.ends_at, address));
        }
        self.ends.insert((ends_at, address));
        while self.known.len() > MAX_KNOWN {
            let Some((_, soonest)) = self.ends.pop_first() else { break };
            self.known.remove(&soonest);
        }
    }

    /// Forgets what has ended at `now`.
    pub fn forget(&mut self, now: Instant) {
        while let Some(&(ends_at, address)) = self.ends.first().filter(|(ends_at, _)| *ends_at <= now) {
            self.ends.remove(&(ends_at, address));
            self.known.remove(&address);
        }
    }

    /// What the provider says of `address`, and for how long that stands.
    pub fn opinion(&self, address: IpAddr, now: Instant) -> Option<(Opinion, Instant)> {
        let known = self.known.get(&address).filter(|known| now < known.ends_at)?;
        Some((known.opinion?, known.ends_at))
    }

    /// The addresses that something is known of.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.known.keys().copied()
    }

    /// How long the opinion of `address` is fresh.
    pub fn fresh_for(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        self.known.get(&address).map(|known| known.fresh_until.saturating_duration_since(now))
    }

    /// The budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Opinions that are kept.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Addresses that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Addresses that found no room to wait.
    pub fn dropped(&self) -> u64 {
        self.waiting.dropped()
    }

    /// How the provider is at `now`, in a word: `ok`, `open` (left alone), `exhausted`, `key_refused`.
    pub fn state(&self, now: Instant, wall_secs: u64) -> &'static str {
        if self.refused_until.is_some() {
            "key_refused"
        } else if self.breaker.is_open(now) {
            "open"
        } else if self.budget.left() == 0 || wall_secs < self.budget.exhausted_until() {
            "exhausted"
        } else {
            "ok"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Failure;
    use super::*;
    use crate::clock;

    const MIDNIGHT: u64 = 20_000 * 86_400;

    fn desk(daily: u32) -> Desk {
        let hour = Duration::from_hours(1);
        Desk::new(Terms { daily, min_worth: 0.0, fresh_bad: hour, fresh_clean: hour * 3 }, None)
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0x2d00_0000 + n).into())
    }

    /// Carries out every step at one moment, each question answered with `outcome`; who was asked about.
    fn asked(desk: &mut Desk, outcome: Outcome, now: Instant, wall: u64) -> Vec<IpAddr> {
        let mut asked = Vec::new();
        while let Some(step) = desk.next(now, wall) {
            match step {
                Step::Keep(kept) => desk.set_aside(kept, true, now),
                Step::Ask(address) => {
                    asked.push(address);
                    desk.answered(address, outcome, now, wall, 0.5);
                }
            }
        }
        asked
    }

    fn bad() -> Outcome {
        Outcome::Known(Opinion { share: 0.9, ..Opinion::default() })
    }

    #[test]
    fn a_flood_of_new_sources_spends_the_budget_and_no_more() {
        let (mut desk, now, mut spent) = (desk(50), clock::now(), 0);
        for hour in 0..24 {
            for n in 0..100_000 / 24 {
                desk.wonder(address(hour * 10_000 + n), 0.0, now);
            }
            spent += asked(&mut desk, bad(), now, MIDNIGHT + u64::from(hour) * 3600).len();
        }
        spent += asked(&mut desk, bad(), now, MIDNIGHT + 86_399).len();
        assert_eq!((spent, desk.budget().left()), (50, 0));
        assert!(desk.dropped() > 0);
    }

    #[test]
    fn one_question_about_one_address_however_many_wonder() {
        let (mut desk, now) = (desk(50), clock::now());
        for _ in 0..100 {
            desk.wonder(address(1), 0.9, now);
        }
        assert!(
            matches!(desk.next(now, MIDNIGHT), Some(Step::Keep(kept)) if { desk.set_aside(kept, true, now); true })
        );
        assert_eq!(desk.next(now, MIDNIGHT), Some(Step::Ask(address(1))));
        desk.wonder(address(1), 1.0, now);
        assert_eq!(desk.next(now, MIDNIGHT), None, "it is being asked");
        desk.answered(address(1), bad(), now, MIDNIGHT, 0.5);
        desk.wonder(address(1), 1.0, now);
        assert_eq!(desk.next(now, MIDNIGHT), None, "it is known");
        let later = now + Duration::from_mins(90);
        assert!(desk.opinion(address(1), later).is_some(), "old, and better than nothing");
        desk.wonder(address(1), 1.0, later);
        assert_eq!(desk.next(later, MIDNIGHT + 5400), Some(Step::Ask(address(1))));
        assert!(desk.opinion(address(1), now + Duration::from_hours(3)).is_none());
    }

    #[test]
    fn a_failure_is_no_opinion_and_five_open_the_breaker() {
        let (mut desk, now) = (desk(50), clock::now());
        for n in 0..20 {
            desk.wonder(address(n), 1.0, now);
        }
        let failed = Outcome::Failed(Failure::Slow);
        assert_eq!(asked(&mut desk, failed, now, MIDNIGHT).len(), 5);
        assert_eq!(desk.state(now, MIDNIGHT), "open");
        assert!((0..20).all(|n| desk.opinion(address(n), now).is_none()));
        assert_eq!(asked(&mut desk, bad(), now + Duration::from_mins(1), MIDNIGHT + 60).len(), 15);
    }

    #[test]
    fn a_used_up_quota_is_not_cached_as_an_answer() {
        let (mut desk, now) = (desk(50), clock::now());
        desk.wonder(address(1), 1.0, now);
        desk.wonder(address(2), 1.0, now);
        assert_eq!(asked(&mut desk, Outcome::Exhausted(None), now, MIDNIGHT + 10).len(), 1);
        assert_eq!((desk.known(), desk.state(now, MIDNIGHT + 10)), (0, "exhausted"));
        assert_eq!(asked(&mut desk, bad(), now, MIDNIGHT + 86_400).len(), 1);
    }

    #[test]
    fn a_refused_key_is_tried_once_an_hour_and_a_disk_that_refuses_puts_it_off() {
        let (mut desk, now) = (desk(50), clock::now());
        desk.wonder(address(1), 1.0, now);
        let Some(Step::Keep(kept)) = desk.next(now, MIDNIGHT) else { panic!() };
        desk.set_aside(kept, false, now);
        assert_eq!(desk.next(now, MIDNIGHT), None);
        let later = now + LATER;
        assert_eq!(asked(&mut desk, Outcome::KeyRefused, later, MIDNIGHT + 60), [address(1)]);
        for n in 2..9 {
            desk.wonder(address(n), 1.0, later);
        }
        assert_eq!((desk.next(later, MIDNIGHT + 60), desk.state(later, MIDNIGHT)), (None, "key_refused"));
        let (hour, wall) = (later + REFUSED_FOR, MIDNIGHT + 3660);
        assert_eq!(asked(&mut desk, Outcome::KeyRefused, hour, wall).len(), 1, "one try");
        let (hour, wall) = (hour + REFUSED_FOR, MIDNIGHT + 7260);
        assert_eq!(desk.state(hour, wall), "key_refused");
        assert_eq!(asked(&mut desk, bad(), hour, wall).len(), 6, "the key is good again");
        assert_eq!(desk.state(hour, wall), "ok");
    }

    #[test]
    fn what_is_kept_is_bounded_and_forgotten_in_time() {
        let (mut desk, now) = (desk(50), clock::now());
        for n in 0..u32::try_from(MAX_KNOWN).unwrap() + 10 {
            desk.recall(address(n), None, Duration::from_secs(60 + u64::from(n)), now);
        }
        assert_eq!(desk.known(), MAX_KNOWN);
        desk.forget(now + Duration::from_hours(100));
        assert_eq!((desk.known(), desk.ends.len()), (0, 0));
    }
}
