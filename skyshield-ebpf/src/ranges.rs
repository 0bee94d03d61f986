//! Listed ranges in the kernel's maps, found by halving.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use skyshield_common::range;

/// Written by the daemon through shared memory, in the half that is not in force; refused beyond
/// `max_listed_prefixes`.
#[map]
static RANGES_V4: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// As `RANGES_V4`, for IPv6.
#[map]
static RANGES_V6: Array<[u64; range::WORDS_V6]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Whether a range of the generation holds the IPv4 address. A function of its own: the verifier walks
/// it once, and an honest packet never comes here.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "a generation's numbers have 32 bits")]
pub(crate) extern "C" fn listed_v4(address: u64, generation: u64) -> u64 {
    let (base, count) = (range::base(generation), range::count(generation));
    let (address, start) = (address as u32, base.wrapping_add(range::INDEX_V4));
    let network = base.wrapping_add(address >> 16);
    let (Some(from), Some(to)) = (RANGES_V4.get(network), RANGES_V4.get(network.wrapping_add(1))) else {
        return 0;
    };
    // The first that ends at the address or behind it.
    let (mut from, mut to) = (*from as u32, *to as u32);
    let mut step = 0;
    while step < range::STEPS {
        step += 1;
        if from >= to {
            break;
        }
        let middle = from + ((to - from) >> 1);
        let Some(found) = RANGES_V4.get(start.wrapping_add(middle)) else { return 0 };
        if range::last_v4(*found) < address {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    let Some(found) = RANGES_V4.get(start.wrapping_add(from)) else { return 0 };
    let is_held = from < count && range::first_v4(*found) <= address && address <= range::last_v4(*found);
    is_held.into()
}

/// The same of an IPv6 address.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn listed_v6(high: u64, low: u64, generation: u64) -> u64 {
    let (base, count) = (range::base(generation), range::count(generation));
    let (mut from, mut to) = (0, count);
    let mut step = 0;
    while step < range::STEPS {
        step += 1;
        if from >= to {
            break;
        }
        let middle = from + ((to - from) >> 1);
        let Some([_, _, last_high, last_low]) = RANGES_V6.get(base.wrapping_add(middle)) else { return 0 };
        if *last_high < high || *last_high == high && *last_low < low {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if from >= count {
        return 0;
    }
    let Some([first_high, first_low, _, _]) = RANGES_V6.get(base.wrapping_add(from)) else { return 0 };
    u64::from(*first_high < high || *first_high == high && *first_low <= low)
}
