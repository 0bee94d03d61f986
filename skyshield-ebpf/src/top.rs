//! Who sends most, and what bans have met.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_md};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use skyshield_common::host::mix;
use skyshield_common::top::{self, SAMPLE, Seen, WAYS};
use skyshield_common::{Address, Hits};
use skyshield_ebpf::{Frame as _, parse};

use crate::frame::XdpFrame;
use crate::maps;

/// Written by this program, and emptied by the daemon through shared memory; fixed.
#[map]
static TOP: Array<top::Bucket> = Array::with_max_entries(top::BUCKETS, BPF_F_MMAPABLE);

/// Counts a packet of the sample to its source. A function of its own: the verifier walks it once, and
/// few packets come this way.
///
/// CPUs write without regard for each other: a packet now and then is not counted, of what is a sample
/// to begin with.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub(crate) extern "C" fn note_source(ctx: *mut xdp_md, is_dropped: u64) -> u64 {
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::of(&ctx);
    let Ok(packet) = parse(&frame) else { return 0 };
    let Address { high, low } = packet.source;
    let low = if packet.source.v4().is_some() { low } else { 0 };
    let hash = mix(high ^ low.rotate_left(32));
    let Some(bucket) = TOP.get_ptr_mut(hash as u32 & (top::BUCKETS - 1)) else { return 0 };
    let ways = bucket.cast::<Seen>();
    let (mut at, mut least, mut fewest) = (0, 0, u64::MAX);
    while at < WAYS {
        // SAFETY: one of the eight of an array's slot, which is there as long as the program is.
        let seen = unsafe { ways.add(at).read_volatile() };
        if seen.high == high && seen.low == low {
            least = at;
            break;
        }
        if seen.packets < fewest {
            (least, fewest) = (at, seen.packets);
        }
        at += 1;
    }
    // SAFETY: as above; masked for the verifier, which has lost sight of what it is.
    let way = unsafe { ways.add(least & (WAYS - 1)) };
    // SAFETY: as above. A source that takes another's place takes what it has counted too, which is
    // little: what is told of a source is never too low for having been forgotten.
    unsafe {
        let mut seen = way.read_volatile();
        if seen.high != high || seen.low != low {
            seen = Seen { high, low, dropped: 0, bytes: 0, packets: seen.packets };
        }
        seen.packets += SAMPLE;
        seen.dropped += SAMPLE * (is_dropped & 1);
        seen.bytes += SAMPLE * frame.length() as u64;
        way.write_volatile(seen);
    }
    0
}

/// Writes down `hits` of the ban that the packet has met. A function of its own, as above.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn note_hits(ctx: *mut xdp_md, now_ns: u64, hits: u64) -> u64 {
    let ctx = XdpContext::new(ctx);
    let Ok(packet) = parse(&XdpFrame::of(&ctx)) else { return 0 };
    let Some(met) = maps::hits_of(&packet.source, now_ns) else { return 0 };
    add(met, now_ns, hits);
    1
}

#[inline(always)]
fn add(met: *mut Hits, now_ns: u64, hits: u64) {
    // SAFETY: the kernel keeps the element's memory while the program runs.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*met).packets, hits);
        (&raw mut (*met).last_ns).write_volatile(now_ns);
    }
}
