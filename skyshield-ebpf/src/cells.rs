//! The cells of rates, each changed by one compare-and-swap.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use skyshield_common::{Reason, rate};
use skyshield_ebpf::{Admission, Load, Tables as _, further};

use crate::maps::{KernelMaps, low};

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by this program; fixed. A cell is taken from a source only when that has its whole burst
/// to spend, so a flood of spoofed sources neither fills it nor makes it forget.
#[map]
static RATES: Array<rate::Bucket> = Array::with_max_entries(ENTRIES, BPF_F_MMAPABLE);

/// Tries at a cell that other CPUs keep changing; a race lost so often is a source far over its rate.
const SWAP_TRIES: usize = 4;

/// Has the bucket of `hash` fetched.
#[inline(always)]
pub(crate) fn foresee(hash: u64, mask: u64) {
    if let Some(bucket) = RATES.get_ptr(low(hash & mask)) {
        // SAFETY: the first word of an array's slot, which is there as long as the program is.
        let _ = unsafe { bucket.cast::<u64>().read_volatile() };
    }
}

/// Takes `cost` out of the bucket of `hash`.
#[inline(always)]
pub(crate) fn admission(hash: u64, now: u64, cost: u64, tolerance: u64, mask: u64) -> Admission {
    match admit(hash, now, cost, tolerance, mask) {
        WITHIN => Admission::Within,
        OVER => Admission::Over,
        _ => Admission::Untracked,
    }
}

/// What [`further`] says.
#[inline(always)]
pub(crate) fn further_of(source: u64, network: u64, load: Load, now: u64) -> Reason {
    let code = low(count_further(source, network, load.0, now)) & 0x7f;
    // SAFETY: the code of a reason, which `count_further` has made of one.
    unsafe { core::mem::transmute::<u32, Reason>(code) }
}

/// [`further`], as a function of its own: the verifier walks it once, and most hosts have no such rates.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_further(source: u64, network: u64, load: u64, now: u64) -> u64 {
    let maps = KernelMaps::of_this_packet();
    let Some(settings) = maps.settings() else { return Reason::Passed as u64 };
    further(&maps, source, network, Load(load), now, settings) as u64
}

const WITHIN: u64 = 0;
const OVER: u64 = 1;
const UNTRACKED: u64 = 2;

/// Takes `cost` out of the bucket of `hash`. A function of its own, with a name: the verifier then
/// walks it once for any arguments, and not once for every way there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit(hash: u64, now: u64, cost: u64, tolerance: u64, mask: u64) -> u64 {
    let Some(bucket) = RATES.get_ptr_mut(low(hash & mask)) else { return UNTRACKED };
    let cells = bucket.cast::<u64>();
    let Some((cell, mut before)) = find(cells, hash, now) else { return UNTRACKED };
    let mut tat = if rate::is_of(before, hash) { rate::tat(before) } else { 0 };
    let mut tries = 0;
    while tries < SWAP_TRIES {
        tries += 1;
        let Some(next) = rate::admit(tat, now, cost, tolerance) else { return OVER };
        // SAFETY: a cell is eight aligned bytes in a map.
        let (found, swapped) = unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                cell,
                before,
                rate::cell(rate::tag(hash), next),
            )
        };
        if swapped {
            return WITHIN;
        }
        if !rate::is_of(found, hash) {
            // Another source was first at the idle cell; the next packet finds another.
            return UNTRACKED;
        }
        before = found;
        tat = rate::tat(found);
    }
    OVER
}

/// The source's own cell, or else the first that may be taken.
#[inline(always)]
fn find(cells: *mut u64, hash: u64, now: u64) -> Option<(*mut u64, u64)> {
    let mut at = 0;
    while at < rate::CELLS {
        // SAFETY: one of the eight words of an array's slot, which is there as long as the program is.
        let (place, cell) = unsafe { (cells.add(at), cells.add(at).read_volatile()) };
        if rate::is_of(cell, hash) {
            return Some((place, cell));
        }
        at += 1;
    }
    at = 0;
    while at < rate::CELLS {
        // SAFETY: as above.
        let (place, cell) = unsafe { (cells.add(at), cells.add(at).read_volatile()) };
        if rate::is_idle(cell, now) {
            return Some((place, cell));
        }
        at += 1;
    }
    None
}
