//! Connections by their addresses and ports, in the order in which they were last heard of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use skyshield_common::Address;
use skyshield_common::tap::Segment;

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: Address,
    destination: Address,
    ports: (u16, u16),
}

impl Key {
    pub(super) fn of(segment: &Segment) -> Self {
        Self {
            source: segment.source(),
            destination: segment.destination(),
            ports: (segment.source_port, segment.destination_port),
        }
    }
}

const NOWHERE: usize = usize::MAX;

#[derive(Debug)]
struct Slot<F> {
    key: Key,
    flow: F,
    older: usize,
    newer: usize,
}

/// A table of at most so many connections.
#[derive(Debug)]
pub(super) struct Flows<F> {
    places: HashMap<Key, usize>,
    slots: Vec<Option<Slot<F>>>,
    free: Vec<usize>,
    oldest: usize,
    newest: usize,
    most: usize,
}

impl<F> Flows<F> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NOWHERE,
            newest: NOWHERE,
            most,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether a new connection would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// The connection of `key`, made by `new` where there is none, and the newest from now on.
    pub(super) fn touch(&mut self, key: Key, new: impl FnOnce() -> F) -> Option<&mut F> {
        let at = match self.places.entry(key) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(place) => {
                let at = self.free.pop().unwrap_or(self.slots.len());
                let slot = Slot { key, flow: new(), older: NOWHERE, newer: NOWHERE };
                match self.slots.get_mut(at) {
                    Some(free) => *free = Some(slot),
                    None => self.slots.push(Some(slot)),
                }
                place.insert(at);
                at
            }
        };
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
        self.slots.get_mut(at)?.as_mut().map(|slot| &mut slot.flow)
    }

    /// The connection that was silent longest.
    pub(super) fn oldest(&self) -> Option<(&Key, &F)> {
        let slot = self.slots.get(self.oldest)?.as_ref()?;
        Some((&slot.key, &slot.flow))
    }

    /// Takes out the connection that was silent longest.
    pub(super) fn take_oldest(&mut self) -> Option<F> {
        let key = *self.oldest()?.0;
        self.remove(&key)
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<F> {
        let at = self.places.remove(key)?;
        self.unlink(at);
        let slot = self.slots.get_mut(at)?.take()?;
        self.free.push(at);
        Some(slot.flow)
    }

    fn slot(&mut self, at: usize) -> Option<&mut Slot<F>> {
        self.slots.get_mut(at)?.as_mut()
    }

    fn unlink(&mut self, at: usize) {
        let Some(slot) = self.slot(at) else { return };
        let (older, newer) = (slot.older, slot.newer);
        (slot.older, slot.newer) = (NOWHERE, NOWHERE);
        if let Some(slot) = self.slot(older) {
            slot.newer = newer;
        } else if self.oldest == at {
            self.oldest = newer;
        }
        if let Some(slot) = self.slot(newer) {
            slot.older = older;
        } else if self.newest == at {
            self.newest = older;
        }
    }

    fn link(&mut self, at: usize) {
        let newest = std::mem::replace(&mut self.newest, at);
        match self.slot(newest) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        if let Some(slot) = self.slot(at) {
            slot.older = newest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        Key { source: Address::from_v4(number.into()), destination: Address::from_v4(1), ports: (1, 2) }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_list(steps in prop::collection::vec((0_u8..3, 0_u8..12), 0..200)) {
            let mut flows = Flows::new(8);
            let mut model: Vec<u8> = Vec::new();
            for (step, number) in steps {
                match step {
                    0 => {
                        if flows.is_full() && !flows.contains(&key(number)) {
                            prop_assert_eq!(flows.take_oldest(), Some(model.remove(0)));
                        }
                        flows.touch(key(number), || number);
                        model.retain(|other| *other != number);
                        model.push(number);
                    }
                    1 => {
                        let was = model.contains(&number).then_some(number);
                        prop_assert_eq!(flows.remove(&key(number)), was);
                        model.retain(|other| *other != number);
                    }
                    _ => prop_assert_eq!(flows.oldest().map(|(_, flow)| *flow), model.first().copied()),
                }
                prop_assert_eq!(flows.len(), model.len());
                prop_assert!(flows.slots.len() <= 8);
            }
            for expected in model {
                prop_assert_eq!(flows.take_oldest(), Some(expected));
            }
            prop_assert!(flows.oldest().is_none());
        }
    }
}
