//! Every packet is counted; of those dropped, some are told of.

use skyshield_common::{Address, Event, FAMILY_V4, FAMILY_V6, Reason};
use skyshield_ebpf::{Details, Frame as _, Outcome, Packet, Tables as _, details};

use crate::frame::XdpFrame;
use crate::maps::{EVENT_STATS, EVENTS, KernelMaps, STATS};

/// Counts the packet under its reason, and sends an event if it was dropped or would have been.
#[inline(always)]
pub(crate) fn report(frame: &XdpFrame<'_>, parsed: &Result<Packet, Reason>, outcome: &Outcome) {
    let length = frame.length() as u64;
    if let Some(counter) = STATS.get_ptr_mut(outcome.reason.index()) {
        // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += length;
        }
    }
    if outcome.reason.is_told()
        && let Ok(packet) = parsed
    {
        tell(frame, packet, outcome);
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "no frame has 4 GiB")]
fn tell(frame: &XdpFrame<'_>, packet: &Packet, outcome: &Outcome) {
    let (Some(stats), Some(settings)) = (EVENT_STATS.get_ptr_mut(0), KernelMaps.settings()) else { return };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    let stats = unsafe { &mut *stats };
    if !stats.take(outcome.now_ns, settings.events_per_window) {
        stats.skipped += 1;
        return;
    }
    let Some(mut record) = EVENTS.reserve::<Event>(0) else {
        stats.lost += 1;
        return;
    };
    let Details { protocol, ports: (source_port, destination_port) } = details(frame, packet);
    let (family, source) = match packet.source {
        Address::V4([a, b, c, d]) => (FAMILY_V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Address::V6(address) => (FAMILY_V6, address),
    };
    record.write(Event {
        at_ns: outcome.now_ns,
        decision: outcome.decision,
        source,
        reason: outcome.reason.index(),
        length: frame.length() as u32,
        ifindex: frame.ifindex(),
        source_port,
        destination_port,
        family,
        protocol,
        reserved: [0; 14],
    });
    record.submit(0);
    stats.sent += 1;
}
