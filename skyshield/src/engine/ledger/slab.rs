//! Decisions, kept small: a million of them in force are a matter of megabytes.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;

use super::Brief;
use super::texts::{TextId, Texts};
use crate::engine::compact::{self, FOREVER, halves, joined, quarters, whole};
use crate::engine::decision::{Decision, DecisionId, Layer, Origin};
use crate::engine::incident::IncidentId;
use crate::engine::source::Source;

/// Slots that are allocated together: nothing is ever copied to make room.
const CHUNK: usize = 4096;

const AT_THE_DOORS: u8 = 1 << 2;
const IS_V6: u8 = 1 << 3;
const HAS_INCIDENT: u8 = 1 << 4;
const IS_TAKEN: u8 = 1 << 5;
const ORIGIN: u8 = 0b11;

/// Which slot.
pub(super) type Place = u32;

/// One decision. Numbers of 64 bits are in halves, so that the slot is no larger than what is in it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: [u32; 2],
    until_ns: [u32; 2],
    made_at_ms: [u32; 2],
    incident: [u32; 4],
    address: [u8; 16],
    bits: u8,
    flags: u8,
    enforced_after_us: u32,
    reason: TextId,
    comment: TextId,
}

const _: () = assert!(size_of::<Slot>() == 72);

/// What a slot is where nothing is in it.
const EMPTY: Slot = Slot {
    id: [0; 2],
    until_ns: [0; 2],
    made_at_ms: [0; 2],
    incident: [0; 4],
    address: [0; 16],
    bits: 0,
    flags: 0,
    enforced_after_us: NOT_MEASURED,
    reason: TextId::NONE,
    comment: TextId::NONE,
};

const NOT_MEASURED: u32 = u32::MAX;

/// The slots.
#[derive(Debug, Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Slot]>>,
    free: Vec<Place>,
    used: usize,
    texts: Texts,
    /// What ends are counted from: the first that came.
    epoch: Option<Instant>,
}

impl Slab {
    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn insert(&mut self, decision: &Decision) -> Place {
        let place = self.free.pop().unwrap_or_else(|| self.grow());
        let slot = self.slot_of(decision);
        if let Some(room) = self.slot_mut(place) {
            *room = slot;
        }
        self.used += 1;
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Some(slot) = self.slot_mut(place).filter(|slot| slot.flags & IS_TAKEN != 0) else { return };
        let old = std::mem::replace(slot, EMPTY);
        self.texts.release(old.reason);
        self.texts.release(old.comment);
        self.free.push(place);
        self.used -= 1;
    }

    pub(super) fn get(&self, place: Place) -> Option<Decision> {
        self.slot(place).map(|slot| self.decision_of(slot))
    }

    pub(super) fn brief(&self, place: Place) -> Option<Brief> {
        self.slot(place).map(|slot| Brief {
            id: DecisionId(whole(slot.id)),
            origin: origin_of(slot),
            layer: layer_of(slot),
            until: self.instant_of(whole(slot.until_ns).cast_signed()),
        })
    }

    pub(super) fn source(&self, place: Place) -> Option<Source> {
        self.slot(place).map(source_of)
    }

    /// When the decision ends; none where it does not by itself.
    pub(super) fn until(&self, place: Place) -> Option<Instant> {
        self.slot(place).and_then(|slot| self.instant_of(whole(slot.until_ns).cast_signed()))
    }

    pub(super) fn note_enforced(&mut self, place: Place, after: Duration) {
        if let Some(slot) = self.slot_mut(place)
            && slot.enforced_after_us == NOT_MEASURED
        {
            slot.enforced_after_us = micros(after);
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let slots = self.chunks.iter().flatten().enumerate();
        let taken = slots.filter(|(_, slot)| slot.flags & IS_TAKEN != 0);
        taken.filter_map(|(place, _)| Place::try_from(place).ok())
    }

    /// `at` in nanoseconds since the first end that was ever noted; before it is below zero.
    pub(super) fn nanos_of(&self, at: Instant) -> i64 {
        self.epoch.map_or(0, |epoch| compact::nanos(at, epoch))
    }

    fn instant_of(&self, nanos: i64) -> Option<Instant> {
        self.epoch.and_then(|epoch| compact::instant(nanos, epoch))
    }

    fn grow(&mut self) -> Place {
        let first = Place::try_from(self.chunks.len() * CHUNK).unwrap_or(Place::MAX);
        self.chunks.push(vec![EMPTY; CHUNK].into_boxed_slice());
        let count = Place::try_from(CHUNK).unwrap_or_default();
        self.free.extend((first + 1..first + count).rev());
        first
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let slot = self.chunks.get(place as usize / CHUNK)?.get(place as usize % CHUNK)?;
        (slot.flags & IS_TAKEN != 0).then_some(slot)
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot> {
        self.chunks.get_mut(place as usize / CHUNK)?.get_mut(place as usize % CHUNK)
    }

    fn slot_of(&mut self, decision: &Decision) -> Slot {
        if let (None, Some(until)) = (self.epoch, decision.until) {
            self.epoch = Some(until);
        }
        let prefix = decision.source.as_prefix();
        let mut address = [0; 16];
        let mut flags = IS_TAKEN | decision.origin as u8 & ORIGIN;
        match prefix.addr() {
            IpAddr::V4(v4) => address[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => {
                address = v6.octets();
                flags |= IS_V6;
            }
        }
        if decision.layer == Layer::Request {
            flags |= AT_THE_DOORS;
        }
        let incident = decision.incident.map(IncidentId::to_bits).inspect(|_| flags |= HAS_INCIDENT);
        let made_at = decision.made_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Slot {
            id: halves(decision.id.0),
            until_ns: halves(decision.until.map_or(FOREVER, |until| self.nanos_of(until)).cast_unsigned()),
            made_at_ms: halves(u64::try_from(made_at.as_millis()).unwrap_or(u64::MAX)),
            incident: quarters(incident.unwrap_or_default()),
            address,
            bits: prefix.prefix_len(),
            flags,
            enforced_after_us: decision.enforced_after.map_or(NOT_MEASURED, micros),
            reason: self.texts.keep(&decision.reason),
            comment: self.texts.keep(decision.comment.as_deref().unwrap_or_default()),
        }
    }

    fn decision_of(&self, slot: &Slot) -> Decision {
        let text = |id| Cow::Owned(self.texts.get(id).to_owned());
        let made_at: SystemTime =
            UNIX_EPOCH.checked_add(Duration::from_millis(whole(slot.made_at_ms))).unwrap_or(UNIX_EPOCH);
        Decision {
            id: DecisionId(whole(slot.id)),
            source: source_of(slot),
            origin: origin_of(slot),
            layer: layer_of(slot),
            reason: text(slot.reason),
            comment: (slot.comment != TextId::NONE).then(|| self.texts.get(slot.comment).into()),
            until: self.instant_of(whole(slot.until_ns).cast_signed()),
            incident: (slot.flags & HAS_INCIDENT != 0).then(|| IncidentId::from_bits(joined(slot.incident))),
            made_at,
            enforced_after: (slot.enforced_after_us != NOT_MEASURED)
                .then(|| Duration::from_micros(slot.enforced_after_us.into())),
        }
    }
}

fn origin_of(slot: &Slot) -> Origin {
    Origin::from_code(slot.flags & ORIGIN).unwrap_or(Origin::Detector)
}

fn layer_of(slot: &Slot) -> Layer {
    if slot.flags & AT_THE_DOORS == 0 { Layer::Packet } else { Layer::Request }
}

fn source_of(slot: &Slot) -> Source {
    let address = if slot.flags & IS_V6 == 0 {
        let [a, b, c, d, ..] = slot.address;
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::from(Ipv6Addr::from(slot.address))
    };
    IpNet::new(address, slot.bits).map_or_else(|_| Source::host(address), Source::prefix)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(NOT_MEASURED).min(NOT_MEASURED - 1)
}
