//! What the daemon tells the running program.

use crate::limit::{LIMITS, Limit};
use crate::{Reason, rate};

/// Bits of [`Settings::flags`].
pub mod flag {
    /// Count and sample what would be dropped, and pass it.
    pub const DRY_RUN: u64 = 1;
}

/// A rate: what one unit costs, and how far a source may run ahead, in [`rate`](crate::rate)'s units.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// What a packet costs, or what 1,024 bytes cost; 0 is no limit.
    pub interval: u64,
    /// How far the source may run ahead of its limit.
    pub tolerance: u64,
}

impl Rate {
    /// So many a second and so many at once, on a clock that counts in `jiffy_ns`; 0 a second is no
    /// limit. A source may run ahead by one more jiffy, which the clock does not see pass.
    #[must_use]
    pub const fn per_sec(count: u64, burst: u64, jiffy_ns: u64) -> Self {
        Self::of(rate::UNITS_PER_SEC, count, burst, jiffy_ns)
    }

    /// The same of bytes, where [`Self::interval`] is of 1,024.
    #[must_use]
    pub const fn bytes_per_sec(count: u64, burst: u64, jiffy_ns: u64) -> Self {
        Self::of(rate::UNITS_PER_SEC << 10, count, burst >> 10, jiffy_ns)
    }

    const fn of(units: u64, count: u64, burst: u64, jiffy_ns: u64) -> Self {
        let Some(interval) = units.checked_div(count) else { return Self { interval: 0, tolerance: 0 } };
        // Above what the clock's units tell apart.
        let interval = if interval == 0 { 1 } else { interval };
        // A burst of none would refuse every packet.
        let tolerance = interval.saturating_mul(if burst == 0 { 1 } else { burst });
        // Bounded, so that no sum with a clock reading wraps.
        let most = rate::units(rate::MAX_TOLERANCE_NS);
        let tolerance = if tolerance > most { most } else { tolerance };
        Self { interval, tolerance: tolerance + rate::units(jiffy_ns) }
    }
}

/// How large the tables are that the configuration has a say in. The verifier knows them, and so that no packet can
/// ask for what lies beyond.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The last bucket of the IPv4 hosts.
    pub hosts: u64,
    /// The last bucket of the IPv6 hosts.
    pub hosts_v6: u64,
    /// The last line of the IPv4 hosts' roster; 0 where there is none.
    pub roster: u64,
    /// Bits of a tag on it that do not say on which line.
    pub tag_bits: u64,
    /// The first of the last two of the rates' buckets behind those in front.
    pub rates: u64,
}

/// The program's parameters. All zero, as a new map is: bans hold, no rate, no events.
///
/// What most packets ask for comes first: one line of a processor's cache, up to the rate of packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Until when a packet may be judged by the short way; [`Self::summed_up`] says it.
    pub short_until_ns: u64,
    /// Nanoseconds of a jiffy, the clock's unit; 0 where nobody has said, and a slower clock is read.
    pub jiffy_ns: u64,
    /// What the jiffies are to be added to, wrapping, for `CLOCK_BOOTTIME`. The anchor program sets it.
    pub clock_offset_ns: u64,
    /// Makes the places of rates unforeseeable.
    pub seed: u64,
    /// Counts what may have made a ban, a list or a place meet a source that none met before; what was found out in
    /// another [epoch](crate::clearance) is not to be gone by.
    pub epoch: u64,
    /// Not 0 where more is asked for than bans and the rate of packets; [`Self::summed_up`] says it.
    pub asked_more: u64,
    /// How fast each [`Limit`] is: of a source, by IPv4 address or IPv6 /64, or of the network around it,
    /// by IPv4 /24 or IPv6 /48.
    pub rates: [Rate; LIMITS],
    /// See [`flag`].
    pub flags: u64,
    /// When the program disarms itself unless the daemon moves this on; 0 is never.
    pub silent_after_ns: u64,
    /// Until when everything passes, and is only counted; 0 where nothing is bypassed.
    pub bypass_until_ns: u64,
    /// The [`Limit`]s that there are, by their bits.
    pub limits: u64,
    /// Sources with a rate of their own.
    pub shaped: u64,
    /// Where the [`rules`](crate::rules) in force begin; 0 is none.
    pub rules: u64,
    /// Not 0 where a packet may pass although something speaks against it; [`Self::summed_up`] says it.
    pub may_spare: u64,
    /// What is not dropped although something speaks against it, by the bits of the codes of what passes
    /// in its place: all of them in a dry run.
    pub spared: u64,
    /// Not 0 where anything may be allowed.
    pub allowed: u64,
    /// Which oddities are dropped, by the bits of their codes.
    pub dropped: u64,
    /// The [`Depth`](crate::near::Depth)s at which IPv6 is banned.
    pub depths: u64,
    /// Entries of the stash.
    pub stashed: u64,
    /// IPv6 bans that fit into no bucket, and are looked for among the records.
    pub beside_v6: u64,
    /// Events that each CPU may send of an interface in one window of about a millisecond.
    pub events_per_window: u64,
    /// Hits of bans that each CPU may write down of an interface in one window of about a millisecond; the others are
    /// counted with the next.
    pub hits_per_window: u64,
    /// The last bucket of the flows.
    pub flows_mask: u64,
    /// The [`generation`](crate::range::generation) of listed IPv4 ranges in force.
    pub ranges_v4: u64,
    /// The same for IPv6.
    pub ranges_v6: u64,
    /// The [`generation`](crate::place::generation) of places in force.
    pub places: u64,
}

impl Settings {
    /// Whether `wanted` (of [`flag`]) is set.
    #[inline]
    pub const fn has(&self, wanted: u64) -> bool {
        self.flags & wanted != 0
    }

    /// The same with what the short way asks first, of all of it.
    #[must_use]
    pub const fn summed_up(mut self) -> Self {
        // Without a clock that is set there is no time to compare with.
        self.short_until_ns = match self.silent_after_ns {
            _ if self.bypass_until_ns != 0 || self.clock_offset_ns == 0 => 0,
            0 => u64::MAX,
            silent_after_ns => silent_after_ns,
        };
        let is_asked_more = self.rules != 0 || self.shaped != 0 || self.limits & !Limit::Packets.bit() != 0;
        self.asked_more = is_asked_more as u64;
        self.may_spare = (self.spared != 0 || self.allowed != 0) as u64;
        self
    }

    /// Whether packets that are odd in this way are to be dropped.
    #[inline]
    pub const fn drops(&self, oddity: Reason) -> bool {
        self.dropped & oddity.bit() != 0
    }

    /// Whether packets with this reason, which drops, pass all the same.
    #[inline]
    pub const fn spares(&self, reason: Reason) -> bool {
        self.spared & reason.bit() != 0
    }

    /// The rate of a limit.
    #[inline]
    pub const fn rate(&self, limit: Limit) -> Rate {
        self.rates[limit as usize]
    }

    /// The same with this rate, or without one.
    #[must_use]
    pub const fn with_rate(mut self, limit: Limit, rate: Rate) -> Self {
        self.rates[limit as usize] = rate;
        if rate.interval == 0 {
            self.limits &= !limit.bit();
        } else {
            self.limits |= limit.bit();
        }
        self
    }
}
