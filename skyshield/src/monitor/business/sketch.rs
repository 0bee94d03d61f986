//! How many different users there were, in 32 KiB: a `HyperLogLog` sketch.
//!
//! 2^15 registers: the standard error is 1.04/√32768, or 0.57 %. The estimate is Ertl's (2017, "New
//! cardinality estimation algorithms for `HyperLogLog` sketches"), which needs no tables and no ranges.

/// The sketch has 2 to the power of this registers.
const PRECISION: u32 = 15;
const REGISTERS: usize = 1 << PRECISION;
/// The largest rank there is.
const MAX_RANK: usize = 64 - PRECISION as usize + 1;
/// Bytes of a register that is written alone: its number and its rank.
const SPARSE: usize = 3;

/// A sketch of a set of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    registers: Vec<u8>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS] }
    }
}

impl Sketch {
    /// Adds the user of this hash; says whether the sketch has changed.
    pub fn add(&mut self, hash: u64) -> bool {
        let at = usize::try_from(hash >> (64 - PRECISION)).unwrap_or(0);
        // The bit behind the rest ends the run of zeros at the latest.
        let rest = (hash << PRECISION) | (1 << (PRECISION - 1));
        let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
        match self.registers.get_mut(at) {
            Some(register) if *register < rank => {
                *register = rank;
                true
            }
            _ => false,
        }
    }

    /// Adds every user of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (register, other) in self.registers.iter_mut().zip(&other.registers) {
            *register = (*register).max(*other);
        }
    }

    /// How many different users were added, within about half a percent.
    pub fn estimate(&self) -> f64 {
        let mut counts = [0_u32; MAX_RANK + 1];
        for &register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(register)) {
                *count += 1;
            }
        }
        let registers = f64::from(1_u32 << PRECISION);
        let share = |rank: usize| f64::from(counts.get(rank).copied().unwrap_or(0)) / registers;
        let mut sum = registers * tau(1.0 - share(MAX_RANK));
        for rank in (1..MAX_RANK).rev() {
            sum = 0.5 * (sum + f64::from(counts.get(rank).copied().unwrap_or(0)));
        }
        sum += registers * sigma(share(0));
        let alpha = 0.5 / std::f64::consts::LN_2;
        alpha * registers * registers / sum
    }

    /// As it is kept: registers one by one while they are few, all of them beyond.
    pub fn to_bytes(&self) -> Vec<u8> {
        let used = self.registers.iter().filter(|&&register| register > 0).count();
        if used * SPARSE >= REGISTERS {
            return self.registers.clone();
        }
        let mut bytes = Vec::with_capacity(used * SPARSE);
        for (at, &register) in self.registers.iter().enumerate().filter(|(_, register)| **register > 0) {
            bytes.extend_from_slice(&u16::try_from(at).unwrap_or(0).to_be_bytes());
            bytes.push(register);
        }
        bytes
    }

    /// What [`Self::to_bytes`] made; of anything else, what of it can be read.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() == REGISTERS {
            return Self { registers: bytes.to_vec() };
        }
        let mut sketch = Self::default();
        for register in bytes.chunks_exact(SPARSE) {
            if let &[high, low, rank] = register
                && let Some(register) = sketch.registers.get_mut(usize::from(u16::from_be_bytes([high, low])))
            {
                *register = rank;
            }
        }
        sketch
    }
}

/// Σ of Ertl's: what empty registers add. Without end where none is used.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// τ of Ertl's: what full registers add.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The finisher of splitmix64: as even as a digest, and a thousand times faster here.
    fn hash(user: u64) -> u64 {
        let mixed = user.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn of(users: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        users.for_each(|user| {
            sketch.add(hash(user));
        });
        sketch
    }

    #[test]
    fn any_number_of_users_is_known_within_two_percent() {
        for many in [0_u32, 1, 2, 10, 100, 1000, 5000, 20_000, 50_000, 80_000, 120_000, 300_000, 1_000_000] {
            let estimate = of(7_000_000..7_000_000 + u64::from(many)).estimate();
            let off = (estimate - f64::from(many)).abs() / f64::from(many.max(1));
            assert!(off <= 0.02, "{many} users were taken for {estimate}");
        }
    }

    #[test]
    fn two_sketches_make_the_sketch_of_both() {
        let mut both = of(0..3000);
        both.merge(&of(2000..5000));
        assert_eq!(both, of(0..5000));
    }

    #[test]
    fn a_sketch_is_kept_and_read_back() {
        for many in [0, 10, 3000, 200_000] {
            let sketch = of(0..many);
            let bytes = sketch.to_bytes();
            assert!(bytes.len() <= REGISTERS);
            assert_eq!(Sketch::from_bytes(&bytes), sketch);
        }
        assert_eq!(of(0..10).to_bytes().len(), 30);
        Sketch::from_bytes(b"anything else");
    }
}
