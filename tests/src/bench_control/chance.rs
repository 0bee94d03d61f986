//! Chance that can be had again by its seed.

/// Splitmix64: small, and good enough to pick victims.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chance of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.number() % u64::from(bound.max(1))).unwrap_or_default()
    }
}
