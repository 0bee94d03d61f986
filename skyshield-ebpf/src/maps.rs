//! The kernel's maps: who writes each, and what bounds it.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use skyshield_common::maps::{EVENTS_BYTES, STATS_SLOTS};
use skyshield_common::{Address, Ban, Counter, EventCounter, PrefixBan, RateKey, Settings, rate};
use skyshield_ebpf::{Admission, Tables};

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by the daemon; one slot.
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
/// Written by the daemon, which refuses a ban beyond `max_bans`; preallocated, so a ban never
/// fails for want of memory under attack.
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
/// Written by this program; at `max_sources` the kernel recycles the least recently seen. State
/// only, never policy: a flood of spoofed sources may empty it.
#[map]
static RATES: LruHashMap<[u8; 16], u64> = LruHashMap::with_max_entries(ENTRIES, 0);
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

impl Tables for KernelMaps {
    #[inline(always)]
    fn settings(&self) -> Option<Settings> {
        let settings = SETTINGS.get_ptr(0)?;
        // SAFETY: the slot is there for as long as the program is. The daemon may write meanwhile;
        // each field is one word, and no two fields must be of one writing.
        Some(unsafe { settings.read_volatile() })
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn ban(&self, source: &Address) -> Option<Ban> {
        let entry = match source {
            Address::V4(address) => BANS_V4.get_ptr(address),
            Address::V6(address) => BANS_V6.get_ptr(address),
        }?;
        // SAFETY: the kernel keeps the element's memory while the program runs. It may be handed to
        // another ban at this moment, if this one is just being lifted; then one packet is judged by
        // that one's deadline.
        Some(unsafe { entry.read_volatile() })
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
    fn admit(&self, key: &RateKey, now_ns: u64, interval_ns: u64, tolerance_ns: u64) -> Admission {
        let cell = if let Some(cell) = RATES.get_ptr_mut(key.0) {
            cell
        } else {
            let Some(first) = rate::admit(0, now_ns, interval_ns, tolerance_ns) else {
                return Admission::Over;
            };
            if RATES.insert(key.0, first, u64::from(BPF_NOEXIST)).is_ok() {
                return Admission::Within;
            }
            // Another CPU was first, or there is no room.
            let Some(cell) = RATES.get_ptr_mut(key.0) else { return Admission::Untracked };
            cell
        };
        let mut tries = 0;
        while tries < SWAP_TRIES {
            // SAFETY: the kernel keeps the cell's memory while the program runs. If it is handed to
            // another source at this moment, one packet is counted against that one.
            let tat = unsafe { cell.read_volatile() };
            let Some(next) = rate::admit(tat, now_ns, interval_ns, tolerance_ns) else {
                return Admission::Over;
            };
            // SAFETY: the cell is eight aligned bytes in a map.
            let (_, swapped) = unsafe {
                atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(cell, tat, next)
            };
            if swapped {
                return Admission::Within;
            }
            tries += 1;
        }
        Admission::Over
    }
}
