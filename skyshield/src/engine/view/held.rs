//! A ban of one address as the doors look it up: 32 bytes, of which there may be a million.

use std::time::Instant;

use super::InForce;
use crate::engine::compact::{self, FOREVER, halves, joined, quarters, whole};
use crate::engine::decision::{DecisionId, Layer, Origin};
use crate::engine::incident::IncidentId;

/// Numbers of 64 and 128 bits in parts, so that an entry is no larger than what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The highest bit tells the layer, and the two below it the origin.
    id: [u32; 2],
    until_ns: [u32; 2],
    /// 0 where there is none.
    incident: [u32; 4],
}

const _: () = assert!(size_of::<Held>() == 32);

const AT_THE_DOORS: u64 = 1 << 63;
const ORIGIN_SHIFT: u32 = 61;
/// What is left for the number.
const NUMBER: u64 = (1 << ORIGIN_SHIFT) - 1;

impl Held {
    /// `ban`, whose end is counted from `epoch`.
    pub(super) fn of(ban: InForce, epoch: Option<Instant>) -> Self {
        let layer = if ban.layer == Layer::Request { AT_THE_DOORS } else { 0 };
        let until = ban.until.zip(epoch).map_or(FOREVER, |(until, epoch)| compact::nanos(until, epoch));
        let incident = ban.incident.map_or(0, IncidentId::to_bits);
        Self {
            id: halves(ban.id.0 & NUMBER | layer | (ban.origin as u64) << ORIGIN_SHIFT),
            until_ns: halves(until.cast_unsigned()),
            incident: quarters(incident),
        }
    }

    pub(super) fn in_force(self, epoch: Option<Instant>) -> InForce {
        let id = whole(self.id);
        let incident = joined(self.incident);
        InForce {
            id: DecisionId(id & NUMBER),
            until: epoch.and_then(|epoch| compact::instant(whole(self.until_ns).cast_signed(), epoch)),
            incident: (incident != 0).then(|| IncidentId::from_bits(incident)),
            layer: if id & AT_THE_DOORS == 0 { Layer::Packet } else { Layer::Request },
            origin: origin(id),
        }
    }
}

fn origin(id: u64) -> Origin {
    let code = (id & !AT_THE_DOORS) >> ORIGIN_SHIFT;
    // There is none without a code; what is not understood gives way to nobody.
    u8::try_from(code).ok().and_then(Origin::from_code).unwrap_or(Origin::Operator)
}
