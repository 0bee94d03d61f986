//! A ban as it lies in the kernel's maps: the deadline is in the entry.

/// The deadline of a ban that ends only when it is lifted.
pub const UNTIL_LIFTED: u64 = u64::MAX;

/// A ban of one address; also the half of a [`PrefixBan`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ban {
    /// In force while `CLOCK_BOOTTIME` is below this; [`UNTIL_LIFTED`] never ends by itself.
    pub expires_at_ns: u64,
    /// The decision's number, for events and for adoption after a restart.
    pub decision: u64,
    /// Who decided; the user side's code.
    pub origin: u8,
    #[doc(hidden)]
    pub reserved: [u8; 7],
}

impl Ban {
    /// No ban: one that ended at the beginning of time.
    pub const NONE: Self = Self::new(0, 0, 0);

    /// A ban until `expires_at_ns`.
    pub const fn new(expires_at_ns: u64, decision: u64, origin: u8) -> Self {
        Self { expires_at_ns, decision, origin, reserved: [0; 7] }
    }

    /// Reads a ban that a map's value begins with; `None` if the value is too short for one. Values of
    /// every layout begin so, whatever a later one adds behind.
    pub fn from_prefix_of(value: &[u8]) -> Option<Self> {
        let (expires_at_ns, rest) = value.split_first_chunk()?;
        let (decision, rest) = rest.split_first_chunk()?;
        let (origin, _) = rest.first_chunk::<8>()?.split_first()?;
        Some(Self::new(u64::from_ne_bytes(*expires_at_ns), u64::from_ne_bytes(*decision), *origin))
    }

    /// Whether the ban is in force at `now_ns`.
    pub const fn holds(&self, now_ns: u64) -> bool {
        self.expires_at_ns == UNTIL_LIFTED || now_ns < self.expires_at_ns
    }
}

/// What a ban has met.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Packets that it was the reason to drop, about: beyond so many at once some are counted for others.
    pub packets: u64,
    /// When it last did; 0 is never.
    pub last_ns: u64,
}

/// A ban of an address, with what it has met.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Banned {
    /// The ban.
    pub ban: Ban,
    /// Written by the kernel.
    pub hits: Hits,
}

/// A ban of a prefix, with the longest-lived of the bans that cover it.
///
/// A longest-prefix match finds the innermost entry only. An inner ban that has ended would
/// therefore hide an outer one that has not, so each entry carries what it would hide.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixBan {
    /// The ban of this prefix itself.
    pub own: Ban,
    /// The ban with the latest deadline among the prefixes that contain this one, or [`Ban::NONE`].
    pub cover: Ban,
    /// What [`Self::own`] has met.
    pub own_hits: Hits,
    /// What [`Self::cover`] has met here.
    pub cover_hits: Hits,
}

impl PrefixBan {
    /// This ban under that cover, of which nothing was met yet.
    pub const fn new(own: Ban, cover: Ban) -> Self {
        const NONE: Hits = Hits { packets: 0, last_ns: 0 };
        Self { own, cover, own_hits: NONE, cover_hits: NONE }
    }

    /// The ban to enforce at `now_ns`: the prefix's own while it holds, then what covers it.
    pub const fn in_force(&self, now_ns: u64) -> Option<&Ban> {
        if self.own.holds(now_ns) {
            Some(&self.own)
        } else if self.cover.holds(now_ns) {
            Some(&self.cover)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_holds_until_its_deadline_and_not_at_it() {
        let ban = Ban::new(1_000, 1, 1);
        assert!(ban.holds(999));
        assert!(!ban.holds(1_000));
        assert!(!Ban::NONE.holds(0));
        assert!(Ban::new(UNTIL_LIFTED, 1, 3).holds(u64::MAX));
    }

    #[test]
    fn a_ban_is_read_from_the_value_of_any_layout() {
        let ban = Ban::new(7, 8, 3);
        let bytes =
            [&7_u64.to_ne_bytes()[..], &8_u64.to_ne_bytes(), &[3, 0, 0, 0, 0, 0, 0, 0], &[9; 40]].concat();
        for len in 24..bytes.len() {
            assert_eq!(Ban::from_prefix_of(&bytes[..len]), Some(ban));
        }
        assert_eq!(Ban::from_prefix_of(&bytes[..23]), None);
    }

    #[test]
    fn an_ended_inner_ban_does_not_hide_the_outer_one() {
        let both = PrefixBan::new(Ban::new(10, 1, 1), Ban::new(20, 2, 3));
        assert_eq!(both.in_force(9).map(|ban| ban.decision), Some(1));
        assert_eq!(both.in_force(10).map(|ban| ban.decision), Some(2));
        assert_eq!(both.in_force(20), None);
    }
}
