//! The kernel's maps: who writes each, and what bounds it.

use core::borrow::Borrow;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use skyshield_common::host::{self, Hold};
use skyshield_common::maps::{EVENTS_BYTES, STATS_SLOTS};
use skyshield_common::near::{self, Depth};
use skyshield_common::place::Policy;
use skyshield_common::rules::{Act, Layer4};
use skyshield_common::{Address, Banned, Counter, EventCounter, Hits, PrefixBan, Rate, Reason, Settings};
use skyshield_ebpf::{Admission, Load, Tables};

use crate::places::{self, place_v4, place_v6};
use crate::ranges::{listed_v4, listed_v6};
use crate::rules;
use crate::{cells, flows};

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by the daemon; one slot.
#[map]
pub(crate) static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
/// Written by the daemon through shared memory; a bucket that is full sends its next to the stash.
#[map]
static HOSTS_V4: Array<host::Bucket> = Array::with_max_entries(ENTRIES, BPF_F_MMAPABLE);
/// Written by the daemon, which refuses what fits into neither a bucket nor this.
#[map]
static STASH_V4: HashMap<u32, u64> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by the daemon through shared memory; bits for every /24 there is.
#[map]
static NEAR_V4: Array<u64> = Array::with_max_entries(near::V4_WORDS, BPF_F_MMAPABLE);
/// Written by the daemon through shared memory; fixed, and of less help the more is in it.
#[map]
static NEAR_V6: Array<u64> = Array::with_max_entries(near::V6_WORDS, BPF_F_MMAPABLE);
/// Written by the daemon through shared memory; fixed.
#[map]
static NEAR_ALLOWED: Array<u64> = Array::with_max_entries(near::ALLOWED_WORDS, BPF_F_MMAPABLE);
/// Written by the daemon, which refuses a ban beyond `max_bans`; preallocated, so a ban never
/// fails for want of memory under attack. Used here only for events and hits, which this program
/// writes: a packet is judged by `HOSTS_V4`.
#[map]
static BANS_V4: HashMap<u32, Banned> = HashMap::with_max_entries(ENTRIES, 0);
/// As `BANS_V4`, for IPv6.
#[map]
static BANS_V6: HashMap<[u64; 2], Banned> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses a ban beyond `max_prefixes`.
#[map]
static PREFIXES_V4: LpmTrie<u32, PrefixBan> = LpmTrie::with_max_entries(ENTRIES, 0);
/// As `PREFIXES_V4`, for IPv6.
#[map]
static PREFIXES_V6: LpmTrie<[u64; 2], PrefixBan> = LpmTrie::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses an entry beyond `max_allowed`.
#[map]
static ALLOWED_V4: LpmTrie<u32, u64> = LpmTrie::with_max_entries(ENTRIES, 0);
/// As `ALLOWED_V4`, for IPv6.
#[map]
static ALLOWED_V6: LpmTrie<[u64; 2], u64> = LpmTrie::with_max_entries(ENTRIES, 0);
/// Written by the daemon, which refuses a shape beyond `max_allowed`.
#[map]
static SHAPES: HashMap<[u64; 2], Rate> = HashMap::with_max_entries(ENTRIES, 0);
/// Written by this program, each CPU its own; one slot per reason.
#[map]
pub(crate) static STATS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(STATS_SLOTS, 0);
/// Written by this program, read by the daemon; a full ring loses the event, never the verdict.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
/// Written by this program, each CPU its own; one slot.
#[map]
pub(crate) static EVENT_STATS: PerCpuArray<EventCounter> = PerCpuArray::with_max_entries(1, 0);

/// The maps, with what the daemon says, looked up once for a packet.
pub(crate) struct KernelMaps {
    settings: Option<&'static Settings>,
}

impl KernelMaps {
    #[inline(always)]
    pub(crate) fn of_this_packet() -> Self {
        Self { settings: SETTINGS.get(0) }
    }
}

/// The lower half of a word.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is asked for")]
pub(crate) const fn low(word: u64) -> u32 {
    word as u32
}

/// An address's bytes as the maps have them, in words: bytes might come to lie on the stack where the
/// verifier takes no words, and the compiler moves words.
#[inline(always)]
const fn octets(address: &Address) -> [u64; 2] {
    [address.high.to_be(), address.low.to_be()]
}

/// The keys that ask a trie for what holds an address. The length stands where the address behind it
/// is aligned.
#[repr(C, align(8))]
struct Whole<T> {
    before: u32,
    prefix_len: u32,
    address: T,
}

impl Whole<u64> {
    #[inline(always)]
    const fn of_v4(address: u32) -> Self {
        Self { before: 0, prefix_len: 32, address: address.to_be() as u64 }
    }
}

impl Whole<[u64; 2]> {
    #[inline(always)]
    const fn of_v6(address: &Address) -> Self {
        Self { before: 0, prefix_len: 128, address: octets(address) }
    }
}

impl Borrow<Key<u32>> for Whole<u64> {
    #[inline(always)]
    fn borrow(&self) -> &Key<u32> {
        // SAFETY: the length and the first half of the address, which a key is made of, in a place
        // that asks for no alignment.
        unsafe { &*(&raw const *self).cast::<Key<u32>>().byte_add(size_of::<u32>()) }
    }
}

impl Borrow<Key<[u64; 2]>> for Whole<[u64; 2]> {
    #[inline(always)]
    fn borrow(&self) -> &Key<[u64; 2]> {
        // SAFETY: as above, of the whole address.
        unsafe { &*(&raw const *self).cast::<Key<[u64; 2]>>().byte_add(size_of::<u32>()) }
    }
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
    let entry = match source.v4() {
        Some(address) => BANS_V4.get_ptr(address.to_be()),
        None => BANS_V6.get_ptr(octets(source)),
    };
    // SAFETY: the kernel keeps the element's memory while the program runs.
    entry.map_or(0, |entry| unsafe { (*entry).ban.decision })
}

/// Where the hits are counted of the ban that a packet from `source` meets now; `None` where it is
/// listed, and not banned.
#[inline(always)]
pub(crate) fn hits_of(source: &Address, now_ns: u64) -> Option<*mut Hits> {
    let exact = match source.v4() {
        Some(address) => BANS_V4.get_ptr_mut(address.to_be()),
        None => BANS_V6.get_ptr_mut(octets(source)),
    };
    // SAFETY: the kernel keeps the elements' memory while the program runs; they are read and written
    // by whole words.
    unsafe {
        if let Some(exact) = exact
            && (&raw const (*exact).ban).read_volatile().holds(now_ns)
        {
            return Some(&raw mut (*exact).hits);
        }
        let entry = match source.v4() {
            Some(address) => PREFIXES_V4.get(Whole::of_v4(address)),
            None => PREFIXES_V6.get(Whole::of_v6(source)),
        }?;
        let entry = (&raw const *entry).cast_mut();
        if (&raw const (*entry).own).read_volatile().holds(now_ns) {
            Some(&raw mut (*entry).own_hits)
        } else if (&raw const (*entry).cover).read_volatile().holds(now_ns) {
            Some(&raw mut (*entry).cover_hits)
        } else {
            None
        }
    }
}

#[inline(always)]
fn near_v4(address: u32) -> usize {
    let (word, shift) = near::v4(address);
    let Some(word) = NEAR_V4.get(word) else { return 0 };
    low(*word >> shift) as usize & (near::HOSTS | near::PREFIXES)
}

#[inline(always)]
fn near_v6(source: &Address, settings: &Settings) -> usize {
    let mut hints = 0;
    if settings.depths & Depth::Wide.bit() != 0 {
        hints |= near::PREFIXES;
    }
    for depth in Depth::FILTERED {
        if settings.depths & depth.bit() != 0 {
            let (word, bits) = near::v6(*source, depth);
            if NEAR_V6.get(word).is_some_and(|word| *word & bits == bits) {
                hints |= depth.hint();
            }
        }
    }
    hints
}

/// What is said of an IPv4 address: in its buckets, or in the stash if there is anything.
#[inline(always)]
fn hold(address: u32, settings: &Settings) -> Hold {
    let (first, second) = host::buckets(address, low(settings.hosts_mask));
    let mut hold = held(first, address);
    if hold == Hold::NONE {
        hold = held(second, address);
    }
    if hold == Hold::NONE
        && settings.stashed != 0
        && let Some(stashed) = STASH_V4.get_ptr(address.to_be())
    {
        // SAFETY: the kernel keeps the element's memory while the program runs, as it does a ban's.
        hold = Hold::from_bits(low(unsafe { stashed.read_volatile() }));
    }
    hold
}

/// A bucket's hold on an address.
#[inline(always)]
fn held(bucket: u32, address: u32) -> Hold {
    let Some(bucket) = HOSTS_V4.get_ptr(bucket) else { return Hold::NONE };
    let slots = bucket.cast::<u64>();
    let mut at = 0;
    while at < host::SLOTS {
        // The address is in the upper half, which comes last on this target. Most slots end here.
        // SAFETY: one of the eight words of an array's slot, which is there as long as the program is.
        let found = unsafe { slots.add(at).cast::<u32>().add(1).read_volatile() };
        if found == address {
            // SAFETY: as above. The daemon may write it meanwhile: then it is read as it was or as it is.
            let slot = unsafe { slots.add(at).read_volatile() };
            if host::address_of(slot) == address && host::hold_of(slot) != Hold::NONE {
                return host::hold_of(slot);
            }
        }
        at += 1;
    }
    Hold::NONE
}

impl Tables for KernelMaps {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        // The daemon may write meanwhile: each field is one word, and no two must be of one writing.
        self.settings
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
    fn near(&self, source: &Address, settings: &Settings) -> usize {
        if let Some(address) = source.v4() { near_v4(address) } else { near_v6(source, settings) }
    }

    #[inline(always)]
    fn bans(&self, source: &Address, settings: &Settings, now_ns: u64) -> bool {
        if let Some(address) = source.v4() {
            return hold(address, settings).holds(now_ns);
        }
        let Some(ban) = BANS_V6.get_ptr(octets(source)) else { return false };
        // SAFETY: the kernel keeps the element's memory while the program runs. It may be handed to
        // another address at this moment; then one packet is judged by that one.
        unsafe { (&raw const (*ban).ban).read_volatile() }.holds(now_ns)
    }

    #[inline(always)]
    fn prefix_ban(&self, source: &Address) -> Option<PrefixBan> {
        match source.v4() {
            Some(address) => PREFIXES_V4.get(Whole::of_v4(address)),
            None => PREFIXES_V6.get(Whole::of_v6(source)),
        }
        .copied()
    }

    #[inline(always)]
    fn listed(&self, source: &Address, settings: &Settings) -> bool {
        let found = match source.v4() {
            Some(_) if settings.ranges_v4 == 0 => 0,
            Some(address) => listed_v4(address.into(), settings.ranges_v4),
            None if settings.ranges_v6 == 0 => 0,
            None => listed_v6(source.high, source.low, settings.ranges_v6),
        };
        found != 0
    }

    #[inline(always)]
    fn place(&self, source: &Address, places: u64) -> u32 {
        low(match source.v4() {
            Some(address) => place_v4(address.into(), places),
            None => place_v6(source.high, source.low, places),
        })
    }

    #[inline(always)]
    fn policy(&self, places: u64, number: u32) -> Policy {
        places::policy(places, number)
    }

    #[inline(always)]
    fn rule(&self, source: &Address, layer4: Layer4, rules: u64) -> Option<(u32, Act)> {
        rules::rule(source, layer4, rules)
    }

    #[inline(always)]
    fn hit(&self, slot: u32, bytes: u64) {
        rules::hit(slot, bytes);
    }

    #[inline(always)]
    fn is_new_flow(&self, hash: u64, now: u64, settings: &Settings) -> bool {
        flows::is_new_flow(hash, now, settings.flows_mask) != 0
    }

    #[inline(always)]
    fn further(&self, source: u64, network: u64, load: Load, now: u64, _: &Settings) -> Reason {
        cells::further_of(source, network, load, now)
    }

    #[inline(always)]
    fn allowed(&self, source: &Address, settings: &Settings) -> bool {
        if settings.allowed == 0 {
            return false;
        }
        let (word, bit) = near::allowed(*source);
        if NEAR_ALLOWED.get(word).is_none_or(|word| *word & bit == 0) {
            return false;
        }
        match source.v4() {
            Some(address) => ALLOWED_V4.get(Whole::of_v4(address)),
            None => ALLOWED_V6.get(Whole::of_v6(source)),
        }
        .is_some()
    }

    #[inline(always)]
    fn shape(&self, source: &Address) -> Option<Rate> {
        let low = if source.v4().is_some() { source.low } else { 0 };
        let shape = SHAPES.get_ptr(octets(&Address { high: source.high, low }))?;
        // SAFETY: the kernel keeps the element's memory while the program runs.
        Some(unsafe { shape.read() })
    }

    #[inline(always)]
    fn foresee(&self, hash: u64, settings: &Settings) {
        cells::foresee(hash, settings.rates_mask);
    }

    #[inline(always)]
    fn admit(&self, hash: u64, now: u64, cost: u64, tolerance: u64, settings: &Settings) -> Admission {
        cells::admission(hash, now, cost, tolerance, settings.rates_mask)
    }
}
