//! What became of answered requests, on its way to the engine: a queue in parts, so that no request
//! waits for another to tell.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::engine::behaviour::Signal;

/// Parts with a lock each.
const PARTS: usize = 16;
/// Signals that wait in one part. Beyond it they are dropped and counted.
const ROOM: usize = 4096;

thread_local! {
    /// The part that this thread tells, so that threads do not wait for each other.
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The queue.
#[derive(Debug)]
pub(super) struct Outcomes {
    parts: [Mutex<Vec<Signal>>; PARTS],
    dropped: AtomicU64,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), dropped: AtomicU64::new(0) }
    }
}

impl Outcomes {
    /// Tells of one. Never waits for longer than the others take to tell of theirs.
    pub(super) fn tell(&self, signal: Signal) {
        let part = PART.get().unwrap_or_else(|| {
            let part = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
            PART.set(Some(part));
            part
        });
        let Ok(mut waiting) = self.parts[part].lock() else { return };
        if waiting.len() < ROOM {
            waiting.push(signal);
        } else {
            drop(waiting);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves all that waits into `into`, oldest first within each part.
    pub(super) fn take(&self, into: &mut Vec<Signal>) {
        for part in &self.parts {
            if let Ok(mut waiting) = part.lock() {
                into.append(&mut waiting);
            }
        }
    }

    /// How many found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock;
    use crate::engine::behaviour::Traits;

    fn signal() -> Signal {
        Signal {
            address: Ipv4Addr::LOCALHOST.into(),
            at: clock::now(),
            status: 200,
            traits: Traits::default(),
            site: 1,
            path: 1,
            series: None,
            value: 0,
            login: None,
            account: None,
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let outcomes = Outcomes::default();
        for _ in 0..ROOM + 3 {
            outcomes.tell(signal());
        }
        let mut taken = Vec::new();
        outcomes.take(&mut taken);
        assert_eq!((taken.len(), outcomes.dropped()), (ROOM, 3));
        outcomes.tell(signal());
        taken.clear();
        outcomes.take(&mut taken);
        assert_eq!(taken.len(), 1);
    }

    #[test]
    fn no_thread_loses_what_another_tells() {
        let outcomes = Outcomes::default();
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| outcomes.tell(signal())));
            }
        });
        outcomes.take(&mut taken);
        assert_eq!(taken.len() as u64 + outcomes.dropped(), 4000);
    }
}
