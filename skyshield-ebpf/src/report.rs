//! Every packet is counted; of those dropped, some are told of.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use skyshield_common::top::is_sampled;
use skyshield_common::{Counter, Event, EventCounter, FAMILY_V4, FAMILY_V6, Reason};
use skyshield_ebpf::{Details, Frame as _, Outcome, Tables as _, details, parse};

use crate::frame::XdpFrame;
use crate::maps::{EVENTS, KernelMaps, STATS, decision_of};
use crate::top::{note_hits, note_source};

/// Counts the packet under its reason, and sends an event if it was dropped or would have been.
#[inline(always)]
pub(crate) fn report(frame: &XdpFrame<'_>, outcome: &Outcome, maps: &KernelMaps) {
    let mut slot = outcome.reason.index() as usize;
    // SAFETY: one instruction on one register; the verifier does not know how many reasons there are.
    unsafe { core::arch::asm!("{0} &= 0x7f", inout(reg) slot, options(pure, nomem, nostack)) };
    count(frame, outcome, slot, maps);
}

/// The same of a reason that the compiler knows, and the verifier then does, too.
#[inline(always)]
pub(crate) fn report_known(frame: &XdpFrame<'_>, outcome: &Outcome, maps: &KernelMaps) {
    count(frame, outcome, outcome.reason.index() as usize, maps);
}

#[inline(always)]
fn count(frame: &XdpFrame<'_>, outcome: &Outcome, slot: usize, maps: &KernelMaps) {
    let length = frame.length() as u64;
    let Some(tally) = STATS.get_ptr_mut(0) else { return };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    let (counted, stats) = unsafe {
        let counter = (&raw mut (*tally).counters).cast::<Counter>().add(slot);
        (*counter).packets += 1;
        (*counter).bytes += length;
        ((*counter).packets, &mut (*tally).events)
    };
    if is_sampled(counted) {
        note_source(frame.context(), outcome.reason.drops().into());
    }
    if outcome.reason.is_told() {
        sample(frame, outcome, stats, maps);
    }
}

/// Most drops are not told of, and end here.
#[inline(always)]
fn sample(frame: &XdpFrame<'_>, outcome: &Outcome, stats: &mut EventCounter, maps: &KernelMaps) {
    let Some(settings) = maps.settings() else { return };
    if outcome.reason.is_of_a_ban() {
        if stats.passes_over(outcome.now_ns) {
            return;
        }
        stats.settle();
    }
    let is_told = stats.take(outcome.now_ns, settings.events_per_window);
    if outcome.reason.is_of_a_ban() {
        match stats.note(settings.hits_per_window) {
            Some(hits) => {
                note_hits(frame.context(), outcome.now_ns, hits);
            }
            None if !is_told => stats.spend(),
            None => {}
        }
    }
    if !is_told {
        stats.skipped += 1;
        return;
    }
    let code = outcome.reason.index().into();
    if tell(frame.context(), code, outcome.now_ns, outcome.decision) == SENT {
        stats.sent += 1;
    } else {
        stats.lost += 1;
    }
}

const SENT: u64 = 1;
const LOST: u64 = 0;

/// Sends an event. A function of its own: the verifier walks it once, and a packet comes this way
/// seldom, so that it may read its frame anew.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "no frame has 4 GiB, and no code more bits")]
extern "C" fn tell(ctx: *mut xdp_md, code: u64, now_ns: u64, decision: u64) -> u64 {
    let ctx = XdpContext::new(ctx);
    let frame = &XdpFrame::of(&ctx);
    let packet = parse(frame);
    let Some(mut record) = EVENTS.reserve::<Event>(0) else { return LOST };
    let unread = Event {
        at_ns: now_ns,
        decision,
        reason: code as u32,
        length: frame.length() as u32,
        ifindex: frame.ifindex(),
        ..Event::default()
    };
    let Ok(packet) = packet else {
        // Nobody is named by what ends before its addresses.
        record.write(unread);
        record.submit(0);
        return SENT;
    };
    let Details { protocol, ports: (source_port, destination_port) } = details(frame, &packet);
    let is_exact = [Reason::BannedExact, Reason::DryRunBannedExact]
        .iter()
        .any(|reason| u64::from(reason.index()) == code);
    let decision = if is_exact { decision_of(&packet.source) } else { decision };
    let (family, source) = match packet.source.v4() {
        Some(address) => (FAMILY_V4, u128::from(address) << 96),
        None => (FAMILY_V6, u128::from(packet.source.high) << 64 | u128::from(packet.source.low)),
    };
    let source = source.to_be_bytes();
    record.write(Event { decision, source, source_port, destination_port, family, protocol, ..unread });
    record.submit(0);
    SENT
}
