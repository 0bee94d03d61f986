//! Counting in a fixed room: what fades, and how many different ones.

use super::secs;
use std::time::Duration;

/// A count of which half is forgotten every half-life.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fading {
    count: f32,
    at: u32,
}

impl Fading {
    pub(super) fn add(&mut self, now: Duration, half_life: Duration) {
        self.count = self.value(now, half_life) + 1.0;
        self.at = secs(now);
    }

    pub(super) fn value(self, now: Duration, half_life: Duration) -> f32 {
        let past = Duration::from_secs(u64::from(secs(now).saturating_sub(self.at)));
        self.count * 0.5_f32.powf(past.as_secs_f32() / half_life.as_secs_f32())
    }
}

/// For how long different ones are remembered at the least; at the most twice as long.
const GENERATION_SECS: u32 = 4 * 3600;

/// How many different ones there were lately, from a bit for each: exact for a few, near for some
/// hundreds, and never more than that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Different {
    now: u128,
    before: u128,
    generation: u32,
}

impl Different {
    /// Notes one by its hash; whether it is new.
    pub(super) fn add(&mut self, hash: u64, now: Duration) -> bool {
        self.turn(now);
        let bit = 1_u128 << (hash % 128);
        let is_new = (self.now | self.before) & bit == 0;
        self.now |= bit;
        is_new
    }

    /// About how many there were.
    pub(super) fn count(mut self, now: Duration) -> f32 {
        self.turn(now);
        linear((self.now | self.before).count_ones(), 128)
    }

    fn turn(&mut self, now: Duration) {
        let generation = secs(now) / GENERATION_SECS;
        if generation > self.generation {
            self.before = if generation == self.generation + 1 { self.now } else { 0 };
            self.now = 0;
            self.generation = generation;
        }
    }
}

/// Words of a [`Crowd`].
const WORDS: usize = 64;

/// The same for crowds: some thousands.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    now: [u64; WORDS],
    before: [u64; WORDS],
    generation: u32,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { now: [0; WORDS], before: [0; WORDS], generation: 0 }
    }
}

impl Crowd {
    pub(super) fn add(&mut self, hash: u64, now: Duration) {
        self.turn(now);
        let word = usize::try_from(hash / 64 % 64).unwrap_or(0);
        if let Some(word) = self.now.get_mut(word) {
            *word |= 1 << (hash % 64);
        }
    }

    pub(super) fn turn(&mut self, now: Duration) {
        let generation = secs(now) / GENERATION_SECS;
        if generation > self.generation {
            self.before = if generation == self.generation + 1 { self.now } else { [0; WORDS] };
            self.now = [0; WORDS];
            self.generation = generation;
        }
    }

    /// About how many are here, and of those, how many are not in `other`.
    pub(super) fn count_without(&self, other: &Self) -> (f32, f32) {
        let (mut all, mut alone) = (0, 0);
        for at in 0..WORDS {
            let (here, there) = (self.now[at] | self.before[at], other.now[at] | other.before[at]);
            all += here.count_ones();
            alone += (here & !there).count_ones();
        }
        let bits = 64 * u32::try_from(WORDS).unwrap_or(1);
        (linear(all, bits), linear(alone, bits))
    }
}

/// How many different ones leave `set` of `bits` set, most likely.
fn linear(set: u32, bits: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "bits are a few thousand")]
    let (set, bits) = (set.min(bits - 1) as f32, bits as f32);
    -bits * (1.0 - set / bits).ln()
}
