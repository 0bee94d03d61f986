//! A ring buffer of the kernel's, and waiting for what comes into it.

use std::io;
use std::path::Path;

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

use super::error::Error;
use super::family;

/// The reader's side of a ring buffer. There may be one in the whole system.
pub(super) struct Ring(State);

enum State {
    Idle(RingBuf<MapData>),
    Listening(AsyncFd<RingBuf<MapData>>),
    /// The runtime did not take the descriptor.
    Broken,
}

impl Ring {
    pub(super) fn open(dir: &Path, name: &'static str) -> Result<Self, Error> {
        family::open(dir, name).map(|ring| Self(State::Idle(ring)))
    }

    /// Waits for records and has `each` look at up to `most` of them, at least one; how many. May be
    /// dropped while it waits: nothing is lost by it. To be called within a Tokio runtime.
    pub(super) async fn next(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        let listening = self.listen()?;
        loop {
            let mut ready = listening.readable_mut().await?;
            let count = take(ready.get_inner_mut(), most, &mut each);
            if count < most {
                // Drained: wait for the kernel to tell of more.
                ready.clear_ready();
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }

    /// Has `each` look at up to `most` records that are there already, without waiting; how many.
    pub(super) fn poll(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        match &mut self.0 {
            State::Idle(ring) => take(ring, most, &mut each),
            State::Listening(listening) => take(listening.get_mut(), most, &mut each),
            State::Broken => 0,
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

fn take(ring: &mut RingBuf<MapData>, most: usize, each: &mut impl FnMut(&[u8])) -> usize {
    let mut count = 0;
    while count < most
        && let Some(record) = ring.next()
    {
        each(&record);
        count += 1;
    }
    count
}
