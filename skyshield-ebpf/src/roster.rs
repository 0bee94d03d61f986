//! The roster of IPv4 hosts in the kernel.

use skyshield_common::host;
use skyshield_common::roster::{self, Line, NOTE, Note, Seat};
use skyshield_ebpf::Glance;

use crate::maps::low;
use crate::settings::{roster_mask, tag_bits};
use crate::variable::Variable;

/// Written by the daemon through shared memory, beside `HOSTS_V4`; made for as many as that is.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.ROSTER_V4")]
static ROSTER_V4: Variable<Line> = Variable::new();

/// Whether there is one. The verifier knows, and leaves out what is asked of none.
#[inline(always)]
pub(crate) fn is_there() -> bool {
    roster_mask() != 0
}

/// What it says of an address.
#[inline(always)]
pub(crate) fn glance(address: u32, now_ns: u64) -> Glance {
    match (look(address), host::tick(now_ns)) {
        (Some((note, true)), tick) if tick < u64::from(note.ends()) => Glance::Banned,
        (Some((note, false)), _) if note.left_out() == 0 => Glance::Clear,
        _ => Glance::Unclear,
    }
}

/// Whether an address is neither banned nor listed, whatever the time.
#[inline(always)]
pub(crate) fn is_clear(address: u32) -> bool {
    look(address).is_some_and(|(note, is_on)| !is_on && note.left_out() == 0)
}

/// The line of an address, and whether that has its tag; `None` for one that has no seat.
#[inline(always)]
fn look(address: u32) -> Option<(Note, bool)> {
    let Seat { line, words, tag } = roster::seat(address, low(tag_bits()));
    let line = line & low(roster_mask());
    // SAFETY: there are as many lines as the mask says.
    let line = unsafe { ROSTER_V4.opaque().add(line as usize).cast::<u64>() };
    // Before the tags: who is given a seat is counted among those left out until it has it. A processor that does not
    // keep to the order may misjudge a packet that comes at that very moment.
    // SAFETY: the words of a line, which is there as long as the program is.
    let note = Note::from_bits(unsafe { line.add(NOTE).read_volatile() });
    // SAFETY: as above.
    let words = words.map(|word| unsafe { line.add(word).read_volatile() });
    (tag != 0).then_some((note, roster::have(words, tag)))
}
