//! Flows that were seen lately.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use skyshield_common::rate;

/// Written by this program; fixed. A new flow takes the place of the one that was seen least lately, so
/// that a flood of new ones soon forgets its own, and last those that go on.
#[map]
static FLOWS: Array<rate::Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Whether the flow of `hash` was not seen lately; from now on it was. A function of its own: the
/// verifier walks it once.
///
/// CPUs write without regard for each other: a flow that two see at once may count as two.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub(crate) extern "C" fn is_new_flow(hash: u64, now: u64, mask: u64) -> u64 {
    let Some(bucket) = FLOWS.get_ptr_mut((hash & mask) as u32) else { return 1 };
    let cells = bucket.cast::<u64>();
    let (mut at, mut oldest, mut oldest_age) = (0, 0, 0);
    while at < rate::CELLS {
        // SAFETY: one of the eight words of an array's slot, which is there as long as the program is.
        let cell = unsafe { cells.add(at).read_volatile() };
        let age = rate::age(cell, now);
        if rate::is_of(cell, hash) && age < rate::FLOW_LASTS {
            // SAFETY: as above.
            unsafe { cells.add(at).write_volatile(rate::cell(rate::tag(hash), now)) };
            return 0;
        }
        if age >= oldest_age {
            (oldest, oldest_age) = (at, age);
        }
        at += 1;
    }
    // SAFETY: as above; masked for the verifier, which has lost sight of what it is.
    unsafe { cells.add(oldest & (rate::CELLS - 1)).write_volatile(rate::cell(rate::tag(hash), now)) };
    1
}
