//! The events of drops, out of the ring buffer.

use std::io;
use std::path::Path;

use aya::maps::{MapData, RingBuf};
use skyshield_common::{Event, maps as names};
use tokio::io::unix::AsyncFd;

use super::error::Error;
use super::family;

/// Events of drops, oldest first. There may be one reader in the whole system.
pub struct Events(State);

enum State {
    Idle(RingBuf<MapData>),
    Listening(AsyncFd<RingBuf<MapData>>),
    /// The runtime did not take the descriptor.
    Broken,
}

/// At most so many events at a time, so that their reader yields.
const BATCH: usize = 256;

impl Events {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        family::open(dir, names::EVENTS).map(|ring| Self(State::Idle(ring)))
    }

    /// Waits for events and takes up to 256 of them; never empty. May be dropped while it waits:
    /// nothing is lost by it. To be called within a Tokio runtime.
    pub async fn next(&mut self) -> io::Result<Vec<Event>> {
        let listening = self.listen()?;
        loop {
            let mut ready = listening.readable_mut().await?;
            let batch = take(ready.get_inner_mut());
            if batch.len() < BATCH {
                // Drained: wait for the kernel to tell of more.
                ready.clear_ready();
            }
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// Takes up to 256 events that are there already, without waiting.
    pub fn poll(&mut self) -> Vec<Event> {
        match &mut self.0 {
            State::Idle(ring) => take(ring),
            State::Listening(listening) => take(listening.get_mut()),
            State::Broken => Vec::new(),
        }
    }

    fn listen(&mut self) -> io::Result<&mut AsyncFd<RingBuf<MapData>>> {
        self.0 = match std::mem::replace(&mut self.0, State::Broken) {
            State::Idle(ring) => State::Listening(register(ring)?),
            same @ (State::Listening(_) | State::Broken) => same,
        };
        match &mut self.0 {
            State::Listening(listening) => Ok(listening),
            State::Idle(_) | State::Broken => Err(io::Error::other("the ring buffer is not readable")),
        }
    }
}

fn register(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring owns its descriptor and keeps it until it is dropped, which `AsyncFd` does
    // after it has deregistered it.
    #[expect(unsafe_code, reason = "the descriptor's life is the ring's")]
    unsafe { AsyncFd::register(ring) }.map_err(Into::into)
}

fn take(ring: &mut RingBuf<MapData>) -> Vec<Event> {
    let mut batch = Vec::new();
    while batch.len() < BATCH
        && let Some(record) = ring.next()
    {
        batch.extend(Event::from_bytes(&record));
    }
    batch
}
