//! Sources for the bench, which the program that makes its frames and the one that loads its lists agree on.

/// The `n`th of addresses that lie all over the space that hosts have, none twice, as if by chance.
#[inline(always)]
pub const fn scattered(n: u32) -> u32 {
    // Walked until it is a host's: one in seven is not, and so many in a row never come.
    const MOST: u32 = 12;
    // Away from nought, which the shuffle leaves where it is.
    let mut address = n ^ 0x9e37_79b9;
    let mut steps = 0;
    while steps < MOST {
        address = shuffle(address);
        if is_hosts(address) {
            break;
        }
        steps += 1;
    }
    address
}

/// No number comes of two.
#[inline(always)]
const fn shuffle(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x7feb_352d);
    let number = (number ^ number >> 15).wrapping_mul(0x846c_a68b);
    number ^ number >> 16
}

/// Neither nobody's nor this host's, nor those of the bench's own wire.
#[inline(always)]
const fn is_hosts(address: u32) -> bool {
    let first = address >> 24;
    first != 0 && first != 10 && first != 127 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_comes_twice_and_all_are_hosts() {
        let mut all: std::vec::Vec<_> = (0..2_000_000).map(scattered).collect();
        assert!(all.iter().all(|address| is_hosts(*address)));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
