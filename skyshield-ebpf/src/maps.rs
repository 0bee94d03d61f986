//! The kernel's maps: who writes each, and what bounds it.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LpmTrie, PerCpuArray, RingBuf};
use skyshield_common::host::{self, Hash, Hold};
use skyshield_common::maps::EVENTS_BYTES;
use skyshield_common::place::Policy;
use skyshield_common::rate::Due;
use skyshield_common::rules::{Act, Layer4};
use skyshield_common::{Address, Ban, Banned, Hits, PrefixBan, Rate, Reason, Settings, Tally};
use skyshield_ebpf::{Admission, Glance, Load, Tables};

use crate::cells::Home;
use crate::keys::{Whole, octets};
use crate::places::{self, place_v4, place_v6};
use crate::ranges::{listed_v4, listed_v6};
use crate::rules;
use crate::settings::{hosts_mask, settings};
use crate::{cells, flows, hosts, hosts_v6, near, roster};

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by the daemon, which refuses a ban beyond `max_bans`; preallocated, so a ban never
/// fails for want of memory under attack. Used here only for events and hits, which this program
/// writes: a packet is judged by `HOSTS_V4`.
#[map]
static BANS_V4: HashMap<u32, Banned> = HashMap::with_max_entries(ENTRIES, 0);
/// As `BANS_V4`, for IPv6; a packet is judged by `HOSTS_V6`, and by this where that has no room.
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
/// Written by this program, each CPU its own, of one interface.
#[map]
pub(crate) static STATS: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);
/// Written by this program, read by the daemon; a full ring loses the event, never the verdict.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);

/// The maps, with what the daemon says.
pub(crate) struct KernelMaps {
    settings: &'static Settings,
    is_short: bool,
}

impl KernelMaps {
    /// For the short way, which has all of it at hand.
    #[inline(always)]
    pub(crate) fn short() -> Self {
        // SAFETY: zeros are settings, and the daemon writes none that are not.
        Self { settings: unsafe { &*settings() }, is_short: true }
    }

    /// For the long way, which calls for what the verifier is to walk but once.
    #[inline(always)]
    pub(crate) fn long() -> Self {
        Self { is_short: false, ..Self::short() }
    }
}

/// The lower half of a word.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is asked for")]
pub(crate) const fn low(word: u64) -> u32 {
    word as u32
}

/// Sets the clock: what is to be added to the jiffies for the time since boot. Left alone while it
/// is right to two jiffies, so that rates do not see it jump.
pub(crate) fn anchor() {
    let settings = settings();
    // SAFETY: the variable is there for as long as the program is, and the daemon runs this in turn with
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

/// The decision of a ban, if that is in force.
///
/// # Safety
///
/// There is a ban to be read.
#[inline(always)]
unsafe fn decision_in_force(ban: *const Ban, now_ns: u64) -> Option<u64> {
    // SAFETY: as the caller says; words, each read in one piece.
    let (expires_at_ns, decision) = unsafe {
        ((&raw const (*ban).expires_at_ns).read_volatile(), (&raw const (*ban).decision).read_volatile())
    };
    Ban::new(expires_at_ns, decision, 0).holds(now_ns).then_some(decision)
}

/// `word`, which is not known before `epoch` is: a processor that begins with what it can keeps to what depends on
/// what. The compiler reads nothing sooner that is to be read later.
#[inline(always)]
fn after(epoch: u64, mut word: u64) -> u64 {
    // SAFETY: two instructions on registers, of which the second undoes what the first does.
    unsafe {
        core::arch::asm!(
            "{0} ^= {1}",
            "{0} ^= {1}",
            inout(reg) word,
            in(reg) epoch,
            options(nostack)
        );
    };
    word
}

/// What the record says of an IPv6 address.
#[inline(always)]
pub(crate) fn recorded_v6(source: &Address) -> Hold {
    let Some(ban) = BANS_V6.get_ptr(octets(source)) else { return Hold::NONE };
    // SAFETY: the kernel keeps the element's memory while the program runs. It may be handed to
    // another address at this moment; then one packet is judged by that one.
    Hold::NONE.until(unsafe { (&raw const (*ban).ban.expires_at_ns).read_volatile() })
}

/// Whether an address is on the allow list, by a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn allowed_of(high: u64, low: u64) -> u64 {
    let (maps, source) = (KernelMaps::long(), &Address { high, low });
    if !maps.near_allowed(source, maps.settings) {
        return 0;
    }
    let found = match source.v4() {
        Some(address) => ALLOWED_V4.get(Whole::of_v4(address)),
        None => ALLOWED_V6.get(Whole::of_v6(source)),
    };
    found.is_some().into()
}

impl Tables for KernelMaps {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        // The daemon may write meanwhile: each field is one word, and no two must be of one writing.
        Some(self.settings)
    }

    #[inline(always)]
    fn now_ns(&self, settings: &Settings) -> u64 {
        // SAFETY: the helpers take nothing and return a number.
        unsafe {
            // By the short way nobody goes before the clock is set.
            if !self.is_short && settings.clock_offset_ns == 0 {
                return bpf_ktime_get_boot_ns();
            }
            bpf_jiffies64().wrapping_mul(settings.jiffy_ns).wrapping_add(settings.clock_offset_ns)
        }
    }

    #[inline(always)]
    fn near_host(&self, source: &Address, settings: &Settings) -> bool {
        near::host(source, settings)
    }

    #[inline(always)]
    fn near_prefix(&self, source: &Address, settings: &Settings) -> bool {
        near::prefix(source, settings)
    }

    #[inline(always)]
    fn hints(&self, source: &Address, _: &Settings) -> usize {
        near::hints(source)
    }

    #[inline(always)]
    fn bans(&self, source: &Address, _: &Settings, now_ns: u64) -> bool {
        if let Some(address) = source.v4() {
            let at_home = |address| hosts::hold_at_home(address, Hash::of(address));
            let home = if self.is_short { at_home(address) } else { Hold::NONE };
            let hold = if home == Hold::NONE { hosts::hold_at_length(address) } else { home };
            return hold.holds(now_ns);
        }
        hosts_v6::hold_at_length(source).holds(now_ns)
    }

    #[inline(always)]
    fn glance(&self, source: &Address, settings: &Settings, now_ns: u64) -> Glance {
        let is_near = match source.v4() {
            Some(address) if roster::is_there() => return roster::glance(address, now_ns),
            Some(address) => near::host_v4(Hash::of(address)),
            None => near::host(source, settings),
        };
        if is_near { Glance::Unclear } else { Glance::Clear }
    }

    #[inline(always)]
    fn prefix_ban(&self, source: &Address, now_ns: u64) -> Option<u64> {
        let entry: *const PrefixBan = match source.v4() {
            Some(address) => PREFIXES_V4.get(Whole::of_v4(address)),
            None => PREFIXES_V6.get(Whole::of_v6(source)),
        }?;
        // SAFETY: the kernel keeps the element's memory while the program runs. Read where it lies: all of
        // it would take a sixth of the stack.
        unsafe {
            decision_in_force(&raw const (*entry).own, now_ns)
                .or(decision_in_force(&raw const (*entry).cover, now_ns))
        }
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
    fn near_allowed(&self, source: &Address, settings: &Settings) -> bool {
        settings.allowed != 0 && near::allowed(source)
    }

    #[inline(always)]
    fn allowed(&self, source: &Address, settings: &Settings) -> bool {
        settings.allowed != 0 && allowed_of(source.high, source.low) != 0
    }

    #[inline(always)]
    fn shape(&self, source: &Address) -> Option<Rate> {
        let low = if source.v4().is_some() { source.low } else { 0 };
        let shape = SHAPES.get_ptr(octets(&Address { high: source.high, low }))?;
        // SAFETY: the kernel keeps the element's memory while the program runs.
        Some(unsafe { shape.read() })
    }

    #[inline(always)]
    fn admit(&self, hash: u64, now: u64, cost: u64, tolerance: u64) -> Admission {
        cells::admission(hash, now, cost, tolerance)
    }

    #[inline(always)]
    fn is_met(&self, source: &Address, now_ns: u64) -> bool {
        source.v4().is_some_and(|address| {
            hosts_mask() < host::SMALL && hosts::hold_at_home(address, Hash::of(address)).holds(now_ns)
        })
    }

    #[inline(always)]
    fn epoch(&self) -> u64 {
        // SAFETY: a word of the settings, which the daemon may write at any time.
        unsafe { (&raw const (*settings()).epoch).read_volatile() }
    }

    #[inline(always)]
    fn after(&self, epoch: u64, source: &Address) -> Address {
        if let Some(address) = source.v4() {
            return Address::from_v4(low(after(epoch, address.into())));
        }
        Address { high: after(epoch, source.high), low: after(epoch, source.low) }
    }

    type Home = Home;

    #[inline(always)]
    fn home(&self, hash: u64) -> Home {
        cells::home(hash)
    }

    #[inline(always)]
    fn is_cleared(&self, home: Home, clearance: u64) -> bool {
        cells::is_cleared(home, clearance)
    }

    #[inline(always)]
    fn clear(&self, home: Home, hash: u64, clearance: u64) {
        cells::clear(home, hash, clearance);
    }

    #[inline(always)]
    fn due(&self, home: Home, hash: u64, now: u64, rate: Rate) -> Due {
        cells::due(home, hash, now, rate)
    }

    #[inline(always)]
    fn admit_by(&self, home: Home, hash: u64, now_ns: u64, settings: &Settings, due: Due) -> Admission {
        cells::admission_by(home, hash, now_ns, settings, due)
    }
}
