//! A few connections that readers share, so that a long look keeps nobody else from a short one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::{Connection, OpenFlags};

use super::open::OpenError;

/// Reads at once; further ones wait for one of them to end.
const CONNECTIONS: usize = 4;

/// The connections.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Connections>);

#[derive(Debug)]
struct Connections {
    each: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Pool {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let open = |_| {
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
                .map(Mutex::new)
                .map_err(|source| OpenError::Database { path: path.to_owned(), source })
        };
        let each = (0..CONNECTIONS).map(open).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Connections { each, next: AtomicUsize::new(0) })))
    }

    /// Reads by a connection that nobody else uses meanwhile: an idle one, or the one whose turn it is.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> T) -> T {
        for connection in &self.0.each {
            match connection.try_lock() {
                Ok(connection) => return read(&connection),
                // A reader that panicked leaves a connection that is whole: statements reset themselves.
                Err(TryLockError::Poisoned(poisoned)) => return read(&poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        read(&self.0.each[turn].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
