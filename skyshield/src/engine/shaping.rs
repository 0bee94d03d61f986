//! Slowing down: from `risk.shape` on a source's packets are held to a lower rate, and by and by it is
//! let go again.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::behaviour::source_of;
use super::effect::Effect;
use super::risk::Score;

/// Sources that are slowed down at a time. Beyond it, further ones are not, which is counted.
pub const MAX_SHAPED: usize = 4096;

/// How sources are slowed down.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The score from which on they are.
    pub from: f64,
    /// Packets a second at that score; at each tenth above it, half as many.
    pub packets_per_sec: u64,
    /// After this long without anything more, a source may send twice as much, and so on.
    pub step: Duration,
}

#[derive(Debug)]
struct Shaped {
    packets_per_sec: u64,
    eases_at: Instant,
}

/// What is slowed down. Effects wait in it until they are fetched.
#[derive(Debug)]
pub struct Shaper {
    terms: Terms,
    shaped: HashMap<IpAddr, Shaped>,
    deadlines: BTreeSet<(Instant, IpAddr)>,
    effects: std::collections::VecDeque<Effect>,
    refused: u64,
}

impl Shaper {
    /// Nobody is slowed down yet.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            shaped: HashMap::new(),
            deadlines: BTreeSet::new(),
            effects: std::collections::VecDeque::new(),
            refused: 0,
        }
    }

    /// Goes by `terms` from now on; who is slowed down already stays so until he is let go.
    pub fn go_by(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Slows `address` down for a request of `score`. Whoever is slowed down more already stays so for
    /// as long again; false where there was no room.
    pub fn suspect(&mut self, address: IpAddr, score: Score, now: Instant) -> bool {
        let source = source_of(address);
        let asked = self.rate_at(score);
        let known = self.shaped.get(&source).map(|shaped| (shaped.packets_per_sec, shaped.eases_at));
        if known.is_none() && self.shaped.len() >= MAX_SHAPED {
            self.refused += 1;
            return false;
        }
        let packets_per_sec = known.map_or(asked, |(rate, _)| rate.min(asked));
        if let Some((_, eases_at)) = known {
            self.deadlines.remove(&(eases_at, source));
        }
        let eases_at = now + self.terms.step;
        self.shaped.insert(source, Shaped { packets_per_sec, eases_at });
        self.deadlines.insert((eases_at, source));
        if known.map(|(rate, _)| rate) != Some(packets_per_sec) {
            self.effects.push_back(Effect::Shape { source, packets_per_sec: Some(packets_per_sec) });
        }
        true
    }

    /// Lets `address` go at once.
    pub fn release(&mut self, address: IpAddr) {
        let source = source_of(address);
        if let Some(shaped) = self.shaped.remove(&source) {
            self.deadlines.remove(&(shaped.eases_at, source));
            self.effects.push_back(Effect::Shape { source, packets_per_sec: None });
        }
    }

    /// When [`Shaper::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Eases what has been quiet long enough at `now`: twice the rate, and above the first one, none.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, source)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.remove(&(deadline, source));
            let Some(shaped) = self.shaped.get_mut(&source) else { continue };
            let eased = shaped.packets_per_sec.saturating_mul(2);
            if eased > self.terms.packets_per_sec.saturating_mul(2) {
                self.shaped.remove(&source);
                self.effects.push_back(Effect::Shape { source, packets_per_sec: None });
                continue;
            }
            shaped.packets_per_sec = eased;
            shaped.eases_at = deadline + self.terms.step;
            self.deadlines.insert((shaped.eases_at, source));
            self.effects.push_back(Effect::Shape { source, packets_per_sec: Some(eased) });
        }
    }

    /// The next step the shell is to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How many are slowed down.
    pub fn len(&self) -> usize {
        self.shaped.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.shaped.is_empty()
    }

    /// How often there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn rate_at(&self, score: Score) -> u64 {
        let tenths = ((score.value() - self.terms.from) * 10.0 + 1e-6).clamp(0.0, 10.0);
        let mut rate = self.terms.packets_per_sec;
        let mut tenth = 1.0;
        while tenth <= tenths {
            rate /= 2;
            tenth += 1.0;
        }
        rate.max(1)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const STEP: Duration = Duration::from_secs(100);

    fn shaper() -> Shaper {
        Shaper::new(Terms { from: 0.5, packets_per_sec: 200, step: STEP })
    }

    fn rates(shaper: &mut Shaper) -> Vec<Option<u64>> {
        std::iter::from_fn(|| shaper.next_effect())
            .map(|effect| {
                let Effect::Shape { packets_per_sec, .. } = effect else { panic!("{effect:?}") };
                packets_per_sec
            })
            .collect()
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(203, 0, 113, last).into()
    }

    #[test]
    fn the_higher_the_score_the_lower_the_rate_and_it_recovers_alone() {
        let (mut shaper, start) = (shaper(), Instant::now());
        shaper.suspect(address(1), Score::new(0.5), start);
        assert_eq!(rates(&mut shaper), [Some(200)]);
        shaper.suspect(address(1), Score::new(0.7), start);
        assert_eq!(rates(&mut shaper), [Some(50)]);
        shaper.suspect(address(1), Score::new(0.5), start);
        assert_eq!(rates(&mut shaper), [], "what is slower stays slower");
        let mut seen = Vec::new();
        while let Some(deadline) = shaper.poll_timeout() {
            shaper.handle_timeout(deadline);
            seen.push((deadline - start, rates(&mut shaper)));
        }
        let steps = [(1, Some(100)), (2, Some(200)), (3, Some(400)), (4, None)];
        assert_eq!(seen, steps.map(|(count, rate)| (STEP * count, vec![rate])));
        assert!(shaper.is_empty());
    }

    #[test]
    fn other_terms_hold_for_whoever_comes_next() {
        let (mut shaper, start) = (shaper(), Instant::now());
        shaper.suspect(address(1), Score::new(0.5), start);
        shaper.go_by(Terms { from: 0.5, packets_per_sec: 80, step: STEP });
        shaper.suspect(address(2), Score::new(0.5), start);
        assert_eq!(rates(&mut shaper), [Some(200), Some(80)]);
    }

    #[test]
    fn whoever_goes_on_is_not_let_go() {
        let (mut shaper, start) = (shaper(), Instant::now());
        for turn in 0..10 {
            let now = start + STEP / 2 * turn;
            shaper.handle_timeout(now);
            shaper.suspect(address(1), Score::new(0.6), now);
        }
        assert_eq!(rates(&mut shaper), [Some(100)]);
        shaper.release(address(1));
        assert_eq!(rates(&mut shaper), [None]);
        assert_eq!(shaper.poll_timeout(), None);
    }

    #[test]
    fn a_64_of_ipv6_is_one_source() {
        let (mut shaper, start) = (shaper(), Instant::now());
        for text in ["2001:db8::1", "2001:db8::2"] {
            shaper.suspect(text.parse().unwrap(), Score::new(0.5), start);
        }
        assert_eq!(shaper.len(), 1);
    }

    #[test]
    fn beyond_its_room_it_slows_nobody_down_and_says_so() {
        let (mut shaper, start) = (shaper(), Instant::now());
        for number in 0..u32::try_from(MAX_SHAPED).unwrap() {
            assert!(shaper.suspect(Ipv4Addr::from_bits(number).into(), Score::new(0.5), start));
        }
        assert!(!shaper.suspect(address(1), Score::new(0.9), start));
        assert_eq!((shaper.len(), shaper.refused()), (MAX_SHAPED, 1));
    }
}
