//! Banned IPv4 addresses as they lie in [`HOSTS_V4`](crate::maps::HOSTS_V4): a flat table of buckets,
//! each one line of the processor's cache.
//!
//! A slot is one 64-bit word, address and deadline together: it is read in one piece, whatever is
//! being written. An address has two buckets to be in; one that fits into neither is in
//! [`STASH_V4`](crate::maps::STASH_V4).

/// Slots of a bucket.
pub const SLOTS: usize = 8;

/// A bucket as it lies in the map.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(pub [u64; SLOTS]);

/// What a slot says of its address: whether a list has it, and until when a ban of its own holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold(u32);

const LISTED: u32 = 1 << 31;
const FOREVER: u32 = LISTED - 1;
/// A tick is 2^26 ns, 67 ms; 31 bits of them are four and a half years.
const TICK_SHIFT: u32 = 26;

impl Hold {
    /// Neither listed nor banned: an empty slot.
    pub const NONE: Self = Self(0);

    /// The hold with these bits.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The same with a ban until `expires_at_ns`, at the next tick; 0 is no ban. What lies beyond the
    /// ticks holds until the daemon lifts it.
    #[must_use]
    pub const fn until(self, expires_at_ns: u64) -> Self {
        let ticks = expires_at_ns.div_ceil(1 << TICK_SHIFT);
        #[expect(clippy::cast_possible_truncation, reason = "compared first")]
        let ticks = if ticks >= FOREVER as u64 { FOREVER } else { ticks as u32 };
        Self(self.0 & LISTED | ticks)
    }

    /// The same, on a list or on none.
    #[must_use]
    pub const fn listed(self, listed: bool) -> Self {
        Self(if listed { self.0 | LISTED } else { self.0 & !LISTED })
    }

    /// Whether a list has it.
    pub const fn is_listed(self) -> bool {
        self.0 & LISTED != 0
    }

    /// Whether it has a ban of its own, ended or not.
    pub const fn is_banned(self) -> bool {
        self.0 & FOREVER != 0
    }

    /// The first [`tick`] at which it does not hold; for ever, the last there is.
    pub const fn ends(self) -> u32 {
        let ticks = self.0 & FOREVER;
        if self.is_listed() || ticks == FOREVER { u32::MAX } else { ticks }
    }

    /// Whether its address is to be dropped at `now_ns`.
    #[inline]
    pub const fn holds(self, now_ns: u64) -> bool {
        let ticks = self.0 & FOREVER;
        self.0 & LISTED != 0 || ticks == FOREVER || tick(now_ns) < ticks as u64
    }
}

/// The tick that a time is in.
#[inline]
pub const fn tick(now_ns: u64) -> u64 {
    now_ns >> TICK_SHIFT
}

/// The slot of an address and its hold.
#[inline]
pub const fn slot(address: u32, hold: Hold) -> u64 {
    (address as u64) << 32 | hold.0 as u64
}

/// The address of a slot.
#[inline]
pub const fn address_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// The hold in a slot.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub const fn hold_of(slot: u64) -> Hold {
    Hold(slot as u32)
}

/// By what an address is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    first: u64,
    mixed: u64,
}

impl Hash {
    /// The one of an address.
    #[inline]
    pub const fn of(address: u32) -> Self {
        Self { first: first(address as u64), mixed: mix(address as u64) }
    }

    /// 24 bits that are known sooner than the others.
    #[inline]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// All 64.
    #[inline]
    pub const fn mixed(self) -> u64 {
        self.mixed
    }
}

/// The two buckets an address may be in, of `mask` + 1.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the mask is smaller")]
pub const fn buckets(hash: Hash, mask: u32) -> (u32, u32) {
    (hash.first as u32 & mask, (hash.mixed >> 32) as u32 & mask)
}

/// The slot of its bucket in which an address is looked for first, and where it is put if that is free: most
/// are found by a single look, which a processor foresees.
#[inline]
pub const fn home(hash: Hash) -> usize {
    (hash.first >> 21) as usize
}

/// Whether an address goes into the first of its buckets, by how many slots are free in each. Most are then found there,
/// and yet few fit into neither.
pub const fn prefers_first(free: (usize, usize)) -> bool {
    /// How full the first may get before the other is preferred if it has more room.
    const FIRST_HOLDS: usize = 6;
    free.0 > SLOTS - FIRST_HOLDS || free.0 >= free.1
}

/// The room of a stash beside so many buckets: seven times as many as fit into no bucket of a table that is three
/// quarters full, of addresses that lie anywhere.
pub const fn stash_capacity(buckets: u32) -> u32 {
    const LEAST: u32 = 64;
    if buckets / 64 < LEAST { LEAST } else { buckets / 64 }
}

/// Buckets that a processor may have near, a quarter of a megabyte: it is as quick to look into one as to be told that
/// this is in vain.
pub const SMALL: u64 = 1 << 12;

/// Spreads a key over 24 bits, by half of what [`mix`] does: what is looked for by it can be fetched so much earlier.
#[inline]
pub const fn first(key: u64) -> u64 {
    key.wrapping_mul(SPREAD) >> 40
}

/// Of the golden ratio: what follows one another comes to lie as far apart as can be.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a key over 64 bits.
#[inline]
pub const fn mix(key: u64) -> u64 {
    let mut hash = key.wrapping_mul(SPREAD);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}

/// How many buckets a table for so many addresses has: never more than three quarters full.
pub const fn bucket_count(addresses: u32) -> u32 {
    const LEAST: u32 = 64;
    let slots = (addresses as u64 * 4).div_ceil(3);
    let buckets = slots.div_ceil(SLOTS as u64).next_power_of_two();
    #[expect(clippy::cast_possible_truncation, reason = "a sixth of 2^32 at most, rounded up")]
    let buckets = buckets as u32;
    if buckets < LEAST { LEAST } else { buckets }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_has_room_to_spare_and_is_not_wasteful() {
        assert_eq!(bucket_count(0), 64);
        assert_eq!(bucket_count(1_000_000), 1 << 18);
        assert_eq!(bucket_count(1_262_144), 1 << 18);
        assert_eq!(bucket_count(u32::MAX), 1 << 30);
    }

    proptest! {
        #[test]
        fn a_hold_ends_at_the_tick_after_its_deadline(deadline in 1_u64..1 << 56, before: u64, after: u64) {
            let hold = Hold::NONE.until(deadline);
            prop_assert!(hold.holds(before % deadline) && hold.is_banned() && !hold.is_listed());
            prop_assert!(!hold.holds((deadline + (1 << TICK_SHIFT)).saturating_add(after)));
            prop_assert_eq!(hold.holds(after), tick(after) < u64::from(hold.ends()) || hold.ends() == u32::MAX);
            let listed = hold.listed(true);
            prop_assert_eq!(listed.ends(), u32::MAX);
            prop_assert!(listed.holds(u64::MAX) && listed.is_listed());
            prop_assert_eq!(listed.listed(false), hold);
            prop_assert_eq!(listed.until(0).listed(false), Hold::NONE);
        }

        #[test]
        fn a_slot_gives_back_what_was_put_in(address: u32, bits: u32, mask_bits in 0_u32..31) {
            let slot = slot(address, Hold::from_bits(bits));
            prop_assert_eq!((address_of(slot), hold_of(slot).bits()), (address, bits));
            let (first, second) = buckets(Hash::of(address), (1 << mask_bits) - 1);
            prop_assert!(first >> mask_bits == 0 && second >> mask_bits == 0);
        }
    }

    #[test]
    fn a_full_table_has_few_that_fit_into_no_bucket() {
        const BUCKETS: u32 = 1 << 16;
        let mut free = std::vec![SLOTS; BUCKETS as usize];
        let mut stashed = 0;
        for n in 0..BUCKETS * 6 {
            let (first, second) = buckets(Hash::of((mix(n.into()) >> 32) as u32), BUCKETS - 1);
            let (first, second) = (first as usize, second as usize);
            let bucket = if prefers_first((free[first], free[second])) { first } else { second };
            match free[bucket].checked_sub(1) {
                Some(left) => free[bucket] = left,
                None => stashed += 1,
            }
        }
        assert!(stashed * 7 <= stash_capacity(BUCKETS), "{stashed}");
    }

    #[test]
    fn beyond_the_ticks_a_hold_is_forever() {
        assert!(Hold::NONE.until(u64::MAX).holds(u64::MAX));
        assert!(Hold::NONE.until(1 << 57).holds(u64::MAX));
        assert!(!Hold::NONE.until(0).holds(0));
    }
}
