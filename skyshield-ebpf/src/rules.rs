//! Operators' rules in the kernel's map, and what they have met.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use skyshield_common::maps::HITS_SLOTS;
use skyshield_common::rules::{Act, Layer4, Part, Row, Rows, first};
use skyshield_common::{Address, Counter};

/// Written by the daemon through shared memory, in the half that is not in force; fixed.
#[map]
static RULES: Array<Row> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Written by this program, each CPU its own; a slot for each rule and each place.
#[map]
static HITS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(HITS_SLOTS, 0);

struct KernelRows;

impl Rows for KernelRows {
    #[inline(always)]
    fn row(&self, index: u32) -> Option<Row> {
        RULES.get(index).copied()
    }
}

const NONE: u64 = u64::MAX;

/// The first rule that suits. A function of its own: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "a map has no more rows")]
extern "C" fn first_rule(high: u64, low: u64, layer4: u64, rules: u64) -> u64 {
    first(&KernelRows, rules as u32, Address { high, low }, Layer4(layer4)).map_or(NONE, u64::from)
}

/// The first rule that suits, and what it does.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "there are 256 rules")]
pub(crate) fn rule(source: &Address, layer4: Layer4, rules: u64) -> Option<(u32, Act)> {
    let found = first_rule(source.high, source.low, layer4.0, rules);
    if found == NONE {
        return None;
    }
    let number = found as u32 & 0xff;
    let row = RULES.get((rules as u32).wrapping_add(Part::Acts as u32).wrapping_add(number))?;
    Some((number, Act::of(row)))
}

/// Counts in a slot.
#[inline(always)]
pub(crate) fn hit(slot: u32, bytes: u64) {
    if let Some(counter) = HITS.get_ptr_mut(slot) {
        // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += bytes;
        }
    }
}
