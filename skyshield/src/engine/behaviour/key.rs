//! A keyed hash: the same for the same installation, and nothing that a stranger can aim with.
#![expect(
    deprecated,
    reason = "SipHash with a key of one's own is what is wanted, and std has no other name for it"
)]

use std::hash::{Hasher, SipHasher};

/// The key of an installation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(u64, u64);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(hidden)")
    }
}

impl Key {
    /// The key that the first half of these bytes is.
    pub fn of(bytes: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[..16]);
        Self::new(half)
    }

    /// The key that these bytes are.
    pub fn new(bytes: [u8; 16]) -> Self {
        let [high, low] = [&bytes[..8], &bytes[8..]]
            .map(|half| half.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte)));
        Self(high, low)
    }

    /// The hash of `parts`, told apart by where they end; never 0.
    pub fn hash(self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher::new_with_keys(self.0, self.1);
        for part in parts {
            hasher.write(part);
            hasher.write_usize(part.len());
        }
        hasher.finish().max(1)
    }
}
