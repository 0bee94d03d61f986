//! What there is room for, and how much of it is taken.

use super::Rejected;
use crate::engine::decision::Layer;
use crate::engine::source::Source;

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bans of all kinds.
    pub bans: usize,
    /// Prefixes of one family whose packets are dropped: the kernel has a table for each.
    pub prefixes: usize,
}

impl Capacity {
    /// Room for so many bans, whatever they are of.
    pub const fn of(bans: usize) -> Self {
        Self { bans, prefixes: bans }
    }
}

/// What of it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    capacity: Capacity,
    bans: usize,
    /// Of IPv4 and of IPv6.
    prefixes: [usize; 2],
}

impl Room {
    pub(super) const fn new(capacity: Capacity) -> Self {
        Self { capacity, bans: 0, prefixes: [0; 2] }
    }

    /// Whether a ban of `source` finds room in the place of one at the layer of `standing`.
    pub fn check(&self, source: Source, layer: Layer, standing: Option<Layer>) -> Result<(), Rejected> {
        let Capacity { bans, prefixes } = self.capacity;
        if standing.is_none() && self.bans >= bans {
            return Err(Rejected::Full { capacity: bans });
        }
        let is_new = table(source, layer).filter(|_| standing != Some(Layer::Packet));
        match is_new {
            Some(family) if self.prefixes[family] >= prefixes => {
                Err(Rejected::NoRoom { family: FAMILIES[family], capacity: prefixes })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the room that a ban of `source` needs.
    pub fn take(&mut self, source: Source, layer: Layer) {
        self.bans += 1;
        if let Some(family) = table(source, layer) {
            self.prefixes[family] += 1;
        }
    }

    /// Gives back what a ban of `source` has taken.
    pub fn give_back(&mut self, source: Source, layer: Layer) {
        self.bans = self.bans.saturating_sub(1);
        if let Some(family) = table(source, layer) {
            self.prefixes[family] = self.prefixes[family].saturating_sub(1);
        }
    }
}

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// The family whose prefixes a ban is counted with. Addresses need no room of their own: the kernel has as much
/// for those of each family as there is for all bans together.
fn table(source: Source, layer: Layer) -> Option<usize> {
    (layer == Layer::Packet && !source.is_host()).then_some(usize::from(source.address().is_ipv6()))
}
