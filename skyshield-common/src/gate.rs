//! Whose TCP SYNs the kernel program answers itself: those to a port that gets too many.

use crate::{Rate, rate};

/// What a port has got lately, and whether it is being shielded. CPUs write it without regard for each
/// other: a SYN now and then is not counted, of the many there must be for it to matter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// When the next SYN is due at the rate that arms.
    pub arming: u64,
    /// When the next SYN is due at the rate that keeps armed.
    pub keeping: u64,
    /// When the host's own stack may see the next one whose checksum is right.
    pub stack: u64,
    /// When it may see the next of the others.
    pub stack_unsummed: u64,
    /// Until when the port is shielded, in [`rate::units`].
    pub armed_until: u64,
    /// Where connections of the host's own were last met on the port while it was shielded: some of a hash of the
    /// place, and the time below it.
    pub met: [u64; PLACES],
    /// Whose right cookies came last: most of a hash, and the time below it, in milliseconds or so.
    pub let_in: [u64; 4],
}

/// Places on a port where connections are known to be the host's own: of more the oldest makes way.
const PLACES: usize = 4;

/// When ports are shielded. All zero: never.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shielding {
    /// SYNs to one port above which it is shielded; an interval of 0 is never.
    pub arming: Rate,
    /// SYNs to one port above which it stays so.
    pub keeping: Rate,
    /// SYNs that the host's stack sees all the same: only a stack that sees some takes the answers to
    /// cookies. Those whose checksum is right have theirs to themselves, for the stack does not see the
    /// others; and those that come from this machine have none yet.
    pub stack: Rate,
    /// How long a port stays shielded after it was last above [`Self::keeping`], in [`rate::units`].
    pub hold: u64,
}

impl Shielding {
    /// Shields a port above so many SYNs a second, until it has been below half of them for `hold_ns`,
    /// on a clock that counts in `jiffy_ns`; 0 is never.
    #[must_use]
    pub const fn above(per_sec: u64, hold_ns: u64, jiffy_ns: u64) -> Self {
        const STACK_PER_SEC: u64 = 10;
        if per_sec == 0 {
            return Self { arming: NEVER, keeping: NEVER, stack: NEVER, hold: 0 };
        }
        let burst = per_sec.div_ceil(10);
        Self {
            arming: Rate::per_sec(per_sec, burst, jiffy_ns),
            keeping: Rate::per_sec(per_sec.div_ceil(2), burst, jiffy_ns),
            stack: Rate::per_sec(STACK_PER_SEC, 1, jiffy_ns),
            hold: rate::units(hold_ns),
        }
    }
}

const NEVER: Rate = Rate { interval: 0, tolerance: 0 };

impl Gate {
    /// Counts a SYN to the port at `now`, in [`rate::units`]; whether the port is shielded.
    #[inline]
    pub const fn is_shielded(&mut self, now: u64, shielding: &Shielding) -> bool {
        if shielding.arming.interval == 0 {
            return false;
        }
        let is_armed = self.is_armed(now, shielding);
        let over_arming = over(&mut self.arming, now, &shielding.arming);
        let over_keeping = over(&mut self.keeping, now, &shielding.keeping);
        if over_arming || is_armed && over_keeping {
            self.armed_until = now + shielding.hold;
        } else if !is_armed {
            return false;
        }
        true
    }

    /// Whether the port is shielded at `now`, with nothing counted.
    #[inline]
    #[must_use]
    pub const fn is_armed(&self, now: u64, shielding: &Shielding) -> bool {
        let left = self.armed_until.wrapping_sub(now);
        // Further ahead than it was ever set is from before the units wrapped.
        left != 0 && left <= shielding.hold
    }

    /// Notes that a segment of a connection of the host's own has come at `now`, to the place of this hash. Seldom, as
    /// other CPUs read the line.
    #[inline]
    pub const fn meet(&mut self, place: u64, now: u64) {
        const SECOND: u64 = rate::units(1_000_000_000);
        let (mut at, mut oldest) = (0, 0);
        while at < PLACES {
            let noted = self.met[at];
            if is_noted(noted, place) {
                if since(noted, now) > SECOND {
                    self.met[at] = place & !TIME | now;
                }
                return;
            }
            if since(noted, now) > since(self.met[oldest], now) {
                oldest = at;
            }
            at += 1;
        }
        self.met[oldest] = place & !TIME | now;
    }

    /// Whether the connections there are the host's own. What listens on a port may never see its packets: those of a
    /// container's port go to another address, and the host knows no connection of it. That may be so of one address of
    /// the host's, and not of another.
    #[inline]
    #[must_use]
    pub const fn is_served(&self, place: u64, now: u64) -> bool {
        /// As long as the stack takes a cookie for.
        const LATELY: u64 = rate::units(120_000_000_000);
        let mut at = 0;
        while at < PLACES {
            if is_noted(self.met[at], place) && since(self.met[at], now) <= LATELY {
                return true;
            }
            at += 1;
        }
        false
    }

    /// About a millisecond.
    const TICK_SHIFT: u32 = 20;
    const TICKS: u64 = 0x00ff_ffff;

    /// Notes that whoever has this hash has brought a right cookie at `now_ns`.
    #[inline]
    pub const fn let_in(&mut self, hash: u64, now_ns: u64) {
        self.let_in[(hash >> 62) as usize] = hash & !Self::TICKS | now_ns >> Self::TICK_SHIFT & Self::TICKS;
    }

    /// Whether one has within the last second: the stack may not have got to it yet. Forgotten where another
    /// has taken its place.
    #[inline]
    #[must_use]
    pub const fn was_let_in(&self, hash: u64, now_ns: u64) -> bool {
        const LATELY: u64 = 1 << 10;
        let noted = self.let_in[(hash >> 62) as usize];
        let since = (now_ns >> Self::TICK_SHIFT).wrapping_sub(noted) & Self::TICKS;
        (noted ^ hash) & !Self::TICKS == 0 && since < LATELY
    }

    /// Whether the host's stack is to see this SYN all the same.
    #[inline]
    pub const fn spares(&mut self, now: u64, is_summed: bool, shielding: &Shielding) -> bool {
        let tat = if is_summed { &mut self.stack } else { &mut self.stack_unsummed };
        !over(tat, now, &shielding.stack)
    }
}

/// Counts one more; whether it is over the rate.
#[inline]
const fn over(tat: &mut u64, now: u64, rate: &Rate) -> bool {
    match rate::admit(*tat, now, rate.interval, rate.tolerance) {
        Some(next) => {
            *tat = next;
            false
        }
        None => true,
    }
}

/// What of a note on a place is the time.
const TIME: u64 = rate::units(u64::MAX);

const fn is_noted(noted: u64, place: u64) -> bool {
    noted != 0 && (noted ^ place) & !TIME == 0
}

/// How long ago a note was made; for ever where there is none.
const fn since(noted: u64, now: u64) -> u64 {
    if noted == 0 { u64::MAX } else { now.wrapping_sub(noted) & TIME }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// SYNs that are answered with a cookie, of so many a second for `secs` from `start` on.
    fn answered(gate: &mut Gate, shielding: &Shielding, start: u64, per_sec: u64, secs: u64) -> u64 {
        let syns = (0..per_sec * secs).map(|n| rate::units(start + n * SECOND / per_sec));
        syns.map(|now| u64::from(gate.is_shielded(now, shielding) && !gate.spares(now, true, shielding)))
            .sum()
    }

    #[test]
    fn a_port_is_shielded_above_its_rate_and_left_alone_below() {
        let shielding = Shielding::above(1_000, 5 * SECOND, 0);
        let mut gate = Gate::default();
        assert_eq!(answered(&mut gate, &shielding, SECOND, 900, 10), 0);
        let flood = answered(&mut gate, &shielding, 20 * SECOND, 100_000, 10);
        // The burst, and ten a second after it, go to the stack.
        assert!((999_700..=999_900).contains(&flood), "{flood}");
    }

    #[test]
    fn a_port_stays_shielded_between_the_two_rates_and_not_below() {
        let shielding = Shielding::above(1_000, 5 * SECOND, 0);
        let mut gate = Gate::default();
        assert!(!gate.is_armed(rate::units(SECOND), &shielding));
        answered(&mut gate, &shielding, SECOND, 10_000, 1);
        assert!(gate.is_armed(rate::units(6 * SECOND), &shielding));
        assert!(!gate.is_armed(rate::units(8 * SECOND), &shielding), "nobody asks for more");
        let between = answered(&mut gate, &shielding, 2 * SECOND, 700, 20);
        assert!(between > 700 * 20 - 300, "{between}");
        let below = answered(&mut gate, &shielding, 22 * SECOND, 100, 20);
        assert!((300..=500).contains(&below), "five seconds of it: {below}");
        assert_eq!(answered(&mut gate, &shielding, 42 * SECOND, 700, 20), 0, "it arms at the upper rate");
    }

    #[test]
    fn a_flood_that_the_stack_will_not_see_leaves_it_the_others() {
        let shielding = Shielding::above(1_000, 5 * SECOND, 0);
        let mut gate = Gate::default();
        let now = |n: u64| rate::units(SECOND + n * 10_000);
        let spared = (0..100_000).filter(|n| gate.spares(now(*n), false, &shielding)).count();
        assert!((9..=12).contains(&spared), "{spared} in a second");
        assert!(gate.spares(now(100_000), true, &shielding));
    }

    #[test]
    fn a_port_is_served_for_a_while_where_a_connection_was_met() {
        let mut gate = Gate::default();
        let at = |secs: u64| rate::units(secs * SECOND);
        let place = |n: u64| n << 48 | 7;
        assert!(!gate.is_served(place(1), at(5)));
        for secs in [10, 60] {
            gate.meet(place(1), at(secs));
        }
        assert!(gate.is_served(place(1), at(60)) && gate.is_served(place(1), at(180)));
        assert!(!gate.is_served(place(1), at(181)) && !gate.is_served(place(2), at(60)));
        // Beside others, until there are too many of them.
        for n in 2..=4 {
            gate.meet(place(n), at(61));
        }
        assert!((1..=4).all(|n| gate.is_served(place(n), at(62))));
        gate.meet(place(5), at(62));
        assert!(!gate.is_served(place(1), at(62)) && (2..=5).all(|n| gate.is_served(place(n), at(62))));
        // A clock that has wrapped.
        gate.meet(place(6), TIME);
        assert!(gate.is_served(place(6), at(1)));
    }

    #[test]
    fn who_brought_a_cookie_is_known_for_a_second_and_nobody_else_is() {
        let mut gate = Gate::default();
        let (hash, wraps) = (0xdead_beef_0123_4567, (1 << 44) - (1 << 20));
        for now in [SECOND, wraps] {
            assert!(!gate.was_let_in(hash, now));
            gate.let_in(hash, now);
            assert!(gate.was_let_in(hash, now) && gate.was_let_in(hash, now + SECOND));
            assert!(!gate.was_let_in(hash, now + 2 * SECOND) && !gate.was_let_in(hash ^ 1 << 40, now));
        }
        gate.let_in(!hash, wraps);
        assert!(gate.was_let_in(hash, wraps), "it has a place of its own");
    }

    #[test]
    fn without_a_rate_nothing_is_shielded() {
        let mut gate = Gate::default();
        assert_eq!(answered(&mut gate, &Shielding::above(0, SECOND, 0), SECOND, 1_000_000, 1), 0);
        assert_eq!(Shielding::above(0, SECOND, 0), Shielding::default());
    }
}
