//! The events of drops, out of the ring buffer.

use std::io;
use std::path::Path;

use skyshield_common::{Event, maps as names};

use super::error::Error;
use super::ring::Ring;

/// Events of drops, oldest first. There may be one reader in the whole system.
pub struct Events(Ring);

/// At most so many events at a time, so that their reader yields.
const BATCH: usize = 256;

impl Events {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ring::open(dir, names::EVENTS).map(Self)
    }

    /// Waits for events and takes up to 256 of them; never empty. May be dropped while it waits:
    /// nothing is lost by it. To be called within a Tokio runtime.
    pub async fn next(&mut self) -> io::Result<Vec<Event>> {
        let mut batch = Vec::new();
        while batch.is_empty() {
            self.0.next(BATCH, |record| batch.extend(Event::from_bytes(record))).await?;
        }
        Ok(batch)
    }

    /// Takes up to 256 events that are there already, without waiting.
    pub fn poll(&mut self) -> Vec<Event> {
        let mut batch = Vec::new();
        self.0.poll(BATCH, |record| batch.extend(Event::from_bytes(record)));
        batch
    }
}
