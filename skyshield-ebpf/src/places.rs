//! Places in the kernel's maps: whose policy an address is under, found by halving.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use skyshield_common::Rate;
use skyshield_common::place::{self, Policy, WORDS_V6};

/// Written by the daemon through shared memory, in the half that is not in force; refused beyond
/// `max_place_prefixes`.
#[map]
static PLACES_V4: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// As `PLACES_V4`, for IPv6.
#[map]
static PLACES_V6: Array<[u64; WORDS_V6]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The policy that an IPv4 address is under. A function of its own: the verifier walks it once, and a
/// packet that nothing is near never comes here.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "a generation's numbers have 32 bits")]
pub(crate) extern "C" fn place_v4(address: u64, places: u64) -> u64 {
    let (base, address) = (place::base_v4(places), address as u32);
    let network = place::index_at(base, address >> 16);
    let (Some(from), Some(to)) = (PLACES_V4.get(network), PLACES_V4.get(network.wrapping_add(1))) else {
        return 0;
    };
    // The last edge that is not behind the address: this one, or up to the one of the next /16.
    let (mut from, mut to) = (*from as u32, (*to as u32).wrapping_add(1));
    let mut step = 0;
    while step < place::STEPS {
        step += 1;
        if from.wrapping_add(1) >= to {
            break;
        }
        let middle = from + ((to - from) >> 1);
        let Some(edge) = PLACES_V4.get(place::edge_at(base, middle)) else { return 0 };
        if place::first_v4(*edge) <= address {
            from = middle;
        } else {
            to = middle;
        }
    }
    PLACES_V4.get(place::edge_at(base, from)).map_or(0, |edge| place::policy_v4(*edge).into())
}

/// The same of an IPv6 address.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "a generation's numbers have 32 bits")]
pub(crate) extern "C" fn place_v6(high: u64, low: u64, places: u64) -> u64 {
    let base = place::base_v6(places);
    let Some([count, ..]) = PLACES_V6.get(base) else { return 0 };
    let start = base.wrapping_add(place::HEAD_V6);
    let (mut from, mut to) = (0, *count as u32);
    let mut step = 0;
    while step < place::STEPS {
        step += 1;
        if from + 1 >= to {
            break;
        }
        let middle = from + ((to - from) >> 1);
        let Some([first_high, first_low, _]) = PLACES_V6.get(start.wrapping_add(middle)) else { return 0 };
        if *first_high < high || *first_high == high && *first_low <= low {
            from = middle;
        } else {
            to = middle;
        }
    }
    PLACES_V6.get(start.wrapping_add(from)).map_or(0, |edge| edge[2])
}

/// A policy; what cannot be read is 0, and does nothing.
#[inline(always)]
pub(crate) fn policy(places: u64, number: u32) -> Policy {
    let at = place::policy_at(place::base_v4(places), number);
    // Each by itself: of three that are there or not the compiler makes ways on which none is read, and
    // has what was never written compared on them, which older verifiers refuse.
    let word = |at: u32| PLACES_V4.get(at).map_or(0, |word| *word);
    let (act, interval, tolerance) = (word(at), word(at.wrapping_add(1)), word(at.wrapping_add(2)));
    Policy { act, rate: Rate { interval, tolerance } }
}
