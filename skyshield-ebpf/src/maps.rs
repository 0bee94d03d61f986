//! The kernel's maps: who writes each, and what bounds it.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use skyshield_common::host::{self, Hold};
use skyshield_common::maps::{EVENTS_BYTES, STATS_SLOTS};
use skyshield_common::near::{self, Depth};
use skyshield_common::{Address, Ban, Counter, EventCounter, PrefixBan, Rate, Settings, rate};
use skyshield_ebpf::{Admission, Tables};

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by the daemon; one slot.
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
/// Written by the daemon through shared memory; a bucket that is full sends its next to the stash.
#[map]
static HOSTS_V4: Array<host::Bucket> = Array::with_max_entries(ENTRIES, BPF_F_MMAPABLE);
/// Written by the daemon, which refuses what fits into neither a bucket nor this.
#[map]
static STASH_V4: HashMap<[u8; 4], u64> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by the daemon through shared memory; bits for every /24 there is.
#[map]
static NEAR_V4: Array<u64> = Array::with_max_entries(near::V4_WORDS, BPF_F_MMAPABLE);
/// Written by the daemon through shared memory; fixed, and of less help the more is in it.
#[map]
static NEAR_V6: Array<u64> = Array::with_max_entries(near::V6_WORDS, BPF_F_MMAPABLE);
/// Written by the daemon, which refuses a ban beyond `max_bans`; preallocated, so a ban never
/// fails for want of memory under attack. Read here only for an event: a packet is judged by
/// `HOSTS_V4`.
#[map]
static BANS_V4: HashMap<[u8; 4], Ban> = HashMap::with_max_entries(ENTRIES, 0);
/// As `BANS_V4`, for IPv6.
#[map]
static BANS_V6: HashMap<[u8; 16], Ban> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses a ban beyond `max_prefixes`.
#[map]
static PREFIXES_V4: LpmTrie<[u8; 4], PrefixBan> = LpmTrie::with_max_entries(ENTRIES, 0);
/// As `PREFIXES_V4`, for IPv6.
#[map]
static PREFIXES_V6: LpmTrie<[u8; 16], PrefixBan> = LpmTrie::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses an entry beyond `max_allowed`.
#[map]
static ALLOWED_V4: LpmTrie<[u8; 4], u64> = LpmTrie::with_max_entries(ENTRIES, 0);
/// As `ALLOWED_V4`, for IPv6.
#[map]
static ALLOWED_V6: LpmTrie<[u8; 16], u64> = LpmTrie::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses a shape beyond `max_allowed`.
#[map]
static SHAPES: HashMap<[u8; 16], Rate> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by this program; fixed. A cell is taken from a source only when that has its whole burst
/// to spend, so a flood of spoofed sources neither fills it nor makes it forget.
#[map]
static RATES: Array<rate::Bucket> = Array::with_max_entries(ENTRIES, BPF_F_MMAPABLE);
/// Written by this program, each CPU its own; one slot per reason.
#[map]
pub(crate) static STATS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(STATS_SLOTS, 0);
/// Written by this program, read by the daemon; a full ring loses the event, never the verdict.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
/// Written by this program, each CPU its own; one slot.
#[map]
pub(crate) static EVENT_STATS: PerCpuArray<EventCounter> = PerCpuArray::with_max_entries(1, 0);

/// Tries at a cell that other CPUs keep changing; a race lost so often is a source far over its rate.
const SWAP_TRIES: usize = 4;

pub(crate) struct KernelMaps;

/// The lower half of a word.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is asked for")]
const fn low(word: u64) -> u32 {
    word as u32
}

/// Sets the clock: what is to be added to the jiffies for the time since boot. Left alone while it
/// is right to two jiffies, so that rates do not see it jump.
pub(crate) fn anchor() -> Option<()> {
    let settings = SETTINGS.get_ptr_mut(0)?;
    // SAFETY: the slot is there for as long as the program is, and the daemon runs this in turn with
    // its own writes.
    let settings = unsafe { &mut *settings };
    // SAFETY: the helpers take nothing and return a number.
    let (now_ns, jiffies) = unsafe { (bpf_ktime_get_boot_ns(), bpf_jiffies64()) };
    let exact = now_ns.wrapping_sub(jiffies.wrapping_mul(settings.jiffy_ns));
    let off = exact.wrapping_sub(settings.clock_offset_ns);
    let off = if off >> 63 == 0 { off } else { 0_u64.wrapping_sub(off) };
    if settings.clock_offset_ns == 0 || off > 2 * settings.jiffy_ns {
        settings.clock_offset_ns = exact;
    }
    Some(())
}

/// The number of the ban of exactly this address; 0 where only a list has it.
#[inline(always)]
pub(crate) fn decision_of(source: &Address) -> u64 {
    let entry = match source {
        Address::V4(address) => BANS_V4.get_ptr(address),
        Address::V6(address) => BANS_V6.get_ptr(address),
    };
    // SAFETY: the kernel keeps the element's memory while the program runs.
    entry.map_or(0, |entry| unsafe { (*entry).decision })
}

/// A bucket's hold on an address.
#[inline(always)]
fn held(bucket: u32, address: u32) -> Hold {
    let Some(bucket) = HOSTS_V4.get_ptr(bucket) else { return Hold::NONE };
    let slots = bucket.cast::<u64>();
    let mut at = 0;
    while at < host::SLOTS {
        // SAFETY: one of the eight words of an array's slot, which is there as long as the program is.
        // The daemon may write it meanwhile: then it is read as it was or as it is.
        let slot = unsafe { slots.add(at).read_volatile() };
        let hold = host::hold_of(slot);
        if host::address_of(slot) == address && hold != Hold::NONE {
            return hold;
        }
        at += 1;
    }
    Hold::NONE
}

impl Tables for KernelMaps {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        // The daemon may write meanwhile: each field is one word, and no two must be of one writing.
        SETTINGS.get(0)
    }

    #[inline(always)]
    fn now_ns(&self, settings: &Settings) -> u64 {
        // SAFETY: the helpers take nothing and return a number.
        unsafe {
            if settings.clock_offset_ns == 0 {
                return bpf_ktime_get_boot_ns();
            }
            bpf_jiffies64().wrapping_mul(settings.jiffy_ns).wrapping_add(settings.clock_offset_ns)
        }
    }

    #[inline(always)]
    fn near(&self, source: &Address, settings: &Settings) -> u32 {
        match source {
            Address::V4(address) => {
                let (word, shift) = near::v4(u32::from_be_bytes(*address));
                let Some(word) = NEAR_V4.get(word) else { return 0 };
                low(*word >> shift) & (near::HOSTS | near::PREFIXES)
            }
            Address::V6(address) => {
                let mut hints = 0;
                if settings.depths & Depth::Wide.bit() != 0 {
                    hints |= near::PREFIXES;
                }
                for depth in Depth::FILTERED {
                    if settings.depths & depth.bit() != 0 {
                        let (word, bits) = near::v6(*address, depth);
                        if NEAR_V6.get(word).is_some_and(|word| *word & bits == bits) {
                            hints |= depth.hint();
                        }
                    }
                }
                hints
            }
        }
    }

    #[inline(always)]
    fn bans(&self, source: &Address, settings: &Settings, now_ns: u64) -> bool {
        match source {
            Address::V4(bytes) => {
                let address = u32::from_be_bytes(*bytes);
                let (first, second) = host::buckets(address, low(settings.hosts_mask));
                let mut hold = held(first, address);
                if hold == Hold::NONE {
                    hold = held(second, address);
                }
                if hold == Hold::NONE && settings.stashed != 0 {
                    let Some(stashed) = STASH_V4.get_ptr(bytes) else { return false };
                    // SAFETY: the kernel keeps the element's memory while the program runs. It may be
                    // handed to another address at this moment; then one packet is judged by that one.
                    hold = Hold::from_bits(low(unsafe { stashed.read_volatile() }));
                }
                hold.holds(now_ns)
            }
            Address::V6(address) => {
                let Some(ban) = BANS_V6.get_ptr(address) else { return false };
                // SAFETY: as above.
                unsafe { ban.read_volatile() }.holds(now_ns)
            }
        }
    }

    #[inline(always)]
    fn prefix_ban(&self, source: &Address) -> Option<PrefixBan> {
        match source {
            Address::V4(address) => PREFIXES_V4.get(Key::new(32, *address)),
            Address::V6(address) => PREFIXES_V6.get(Key::new(128, *address)),
        }
        .copied()
    }

    #[inline(always)]
    fn allowed(&self, source: &Address) -> bool {
        match source {
            Address::V4(address) => ALLOWED_V4.get(Key::new(32, *address)),
            Address::V6(address) => ALLOWED_V6.get(Key::new(128, *address)),
        }
        .is_some()
    }

    #[inline(always)]
    fn shape(&self, source: &Address) -> Option<Rate> {
        let shape = SHAPES.get_ptr(source.rate_key().0)?;
        // SAFETY: the kernel keeps the element's memory while the program runs.
        Some(unsafe { shape.read() })
    }

    #[inline(always)]
    fn admit(&self, hash: u64, now: u64, cost: u64, tolerance: u64, settings: &Settings) -> Admission {
        match admit(hash, now, cost, tolerance, settings.rates_mask) {
            WITHIN => Admission::Within,
            OVER => Admission::Over,
            _ => Admission::Untracked,
        }
    }
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
    let tag = rate::tag(hash);
    let mut tries = 0;
    while tries < SWAP_TRIES {
        tries += 1;
        let Some((at, before)) = find(cells, tag, now) else { return UNTRACKED };
        let tat = if rate::tag(before) == tag { rate::tat(before) } else { 0 };
        let Some(next) = rate::admit(tat, now, cost, tolerance) else { return OVER };
        // SAFETY: `at` is below eight, and a cell is eight aligned bytes in a map.
        let (_, swapped) = unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                cells.add(at & (rate::CELLS - 1)),
                before,
                rate::cell(tag, next),
            )
        };
        if swapped {
            return WITHIN;
        }
    }
    OVER
}

/// The source's own cell, or else the first that may be taken.
#[inline(always)]
fn find(cells: *const u64, tag: u64, now: u64) -> Option<(usize, u64)> {
    let mut idle = None;
    let mut at = 0;
    while at < rate::CELLS {
        // SAFETY: one of the eight words of an array's slot, which is there as long as the program is.
        let cell = unsafe { cells.add(at).read_volatile() };
        if rate::tag(cell) == tag {
            return Some((at, cell));
        }
        if idle.is_none() && rate::is_idle(cell, now) {
            idle = Some((at, cell));
        }
        at += 1;
    }
    idle
}
