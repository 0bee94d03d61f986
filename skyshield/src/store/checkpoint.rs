//! Works the write-ahead log into the database beside the writer, so that few commits wait for it.
//!
//! `SQLite` by itself would do it inside of whichever commit makes the log a thousand pages long: that commit
//! then waits for pages all over the database to be written, and for the disk to have them.

use std::fs::OpenOptions;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::Counters;

/// Bytes of a page.
pub(super) const PAGE: u32 = 4096;
/// Pages that the database does not have from which on the log is worked off: commits that meet this wait for the
/// disk with it, which of some hundreds two or three may. 20 MiB.
pub(super) const WANTED: u32 = 5000;
/// Pages in the log from which on a commit works off what came meanwhile: only a log that is worked off to its end
/// is begun anew.
pub(super) const FULL: u32 = 5600;
/// What that may be at the most.
pub(super) const TAIL: u32 = 1000;
/// Pages that wait in the log at the most: beyond it the writer works them off itself, before it goes on, and
/// that is counted. 64 MiB.
pub(super) const MOST: u32 = 16_384;
/// Bytes that the log has from the start: more than it has when it is begun anew.
const ROOM: u64 = 24 << 20;

/// What is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Pages.
    pub(super) pages: u32,
    /// Those of them that the database has too.
    pub(super) done: u32,
}

impl Log {
    /// Pages that the database does not have yet.
    pub(super) fn left(self) -> u32 {
        self.pages.saturating_sub(self.done)
    }
}

/// The writer's end of the thread that works off the log.
pub(super) struct Checkpoints {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Held by whoever is at work on the log, so that nobody finds it taken and gives up.
    turn: Arc<Mutex<()>>,
}

impl Checkpoints {
    /// The thread, over a connection of its own to the database at `path`.
    pub(super) fn start(path: &Path, counters: Counters) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let turn = Arc::<Mutex<()>>::default();
        let (path, turns) = (path.to_owned(), Arc::clone(&turn));
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || work(&path, &woken, &turns, &counters))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), turn })
    }

    /// Has the thread work it off, unless it is told to already.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Full is woken already; gone is what the writer's own bound is for.
            let _woken = wake.try_send(());
        }
    }

    /// Does `what` while the thread is not at work.
    pub(super) fn alone<T>(&self, what: impl FnOnce() -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        what()
    }
}

impl Drop for Checkpoints {
    /// Ends the thread before the writer's connection closes: whoever closes last works off what is left.
    fn drop(&mut self) {
        drop(self.wake.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that works off the store's log panicked");
        }
    }
}

fn work(path: &Path, woken: &Receiver<()>, turn: &Mutex<()>, counters: &Counters) {
    let mut connection = None;
    while woken.recv().is_ok() {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match &connection {
            Some(open) => passive(open),
            None => connect(path).and_then(|open| passive(connection.insert(open))),
        };
        match outcome {
            Ok(_log) => counters.count_checkpoint(),
            Err(error) => {
                counters.count_failed_checkpoint();
                tracing::warn!(%error, "the store's log could not be worked off; it is tried again");
                connection = None;
            }
        }
    }
}

/// Gives the log of the database at `path` its room before anybody waits for a commit: one that makes the file
/// longer has the disk note its length and its new blocks, which takes ten times as long as bytes alone. What stands
/// behind the last frame is no part of the log. A disk without that much room has none to give.
pub(super) fn make_room(path: &Path) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut log = match OpenOptions::new().write(true).open(path.with_extension("db-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        log => log?,
    };
    let length = log.seek(SeekFrom::End(0))?;
    let mut missing = ROOM.saturating_sub(length);
    let mut fill = || {
        while missing > 0 {
            let piece = missing.min(ZEROS.len() as u64);
            log.write_all(&ZEROS[..usize::try_from(piece).unwrap_or(ZEROS.len())])?;
            missing -= piece;
        }
        log.sync_all()
    };
    fill().or_else(|_full| log.set_len(length))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Whoever works off the log has to sync it first, and the database afterwards.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Works off what nobody else is in the way of, and waits for nobody.
pub(super) fn passive(connection: &Connection) -> rusqlite::Result<Log> {
    ask(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// What is in the log, without any work.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Log> {
    ask(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn ask(connection: &Connection, pragma: &str) -> rusqlite::Result<Log> {
    let mut statement = connection.prepare_cached(pragma)?;
    statement.query_row([], |row| {
        // Minus one where there is no log.
        let count = |at| row.get::<_, i64>(at).map(|pages| u32::try_from(pages).unwrap_or(0));
        Ok(Log { pages: count(1)?, done: count(2)? })
    })
}
