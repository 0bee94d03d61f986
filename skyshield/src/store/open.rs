//! Opening the store: alone, checked, brought to this release's shape.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::MigrationDefinitionError;

use super::checkpoint;
use super::migrations::MIGRATIONS;
use crate::clock;

/// Nobody else writes; somebody's backup may hold the database for a moment.
const PATIENCE: Duration = Duration::from_millis(250);

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be used.
    #[error("{path}: cannot be used for the store", path = path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("{path}: another skyshield holds this store; stop it first, or set store.dir", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The store is of a later release.
    #[error("{path}: the store is of a later release than this one; start that release, or set store.dir", path = path.display())]
    Newer {
        /// The database.
        path: PathBuf,
    },
    /// `SQLite` cannot open it.
    #[error("{path}: the store does not open", path = path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It cannot be brought to this release's shape.
    #[error("{path}: the store cannot be brought to this release's shape", path = path.display())]
    Migrate {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite_migration::Error,
    },
}

/// The database in the folder `dir`.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("skyshield.db")
}

/// The open database, the lock that keeps others out, and where an unreadable one was moved to.
pub(super) fn open(dir: &Path) -> Result<(Connection, Flock<File>, Option<PathBuf>), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    let lock_path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
    let lock = Flock::lock(file.map_err(at(&lock_path))?, FlockArg::LockExclusiveNonblock)
        .map_err(|_| OpenError::Locked { path: lock_path })?;

    let path = database(dir);
    let (connection, quarantined) = match connect(&path) {
        Err(error) if is_unreadable(&error) => {
            let aside = quarantine(&path).map_err(at(&path))?;
            (connect(&path), Some(aside))
        }
        connected => (connected, None),
    };
    let mut connection = connection.map_err(|source| OpenError::Database { path: path.clone(), source })?;
    if let Err(source) = MIGRATIONS.to_latest(&mut connection) {
        let is_newer = matches!(
            source,
            rusqlite_migration::Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead)
        );
        return Err(if is_newer { OpenError::Newer { path } } else { OpenError::Migrate { path, source } });
    }
    Ok((connection, lock, quarantined))
}

/// A connection for the writer; fails on a database that is broken inside.
fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With FULL a commit is on the platter when it returns; NORMAL would lose the last ones to a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // No commit works off the log: `checkpoint` does, and the writer where it has outgrown its bound.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", checkpoint::MOST * checkpoint::PAGE)?;
    // What is deleted is overwritten: an erased address is not to be read off the disk.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // What takes the place of a row is counted as one that has gone and one that was made.
    connection.pragma_update(None, "recursive_triggers", "ON")?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(connection)
    } else {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
    }
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Moves a broken database aside, with its log; what is in force is taken up from the kernel's map.
fn quarantine(path: &Path) -> io::Result<PathBuf> {
    let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let aside = path.with_extension(format!("db.broken-{}", since_epoch.as_secs()));
    std::fs::rename(path, &aside)?;
    for log in ["db-wal", "db-shm"] {
        match std::fs::remove_file(path.with_extension(log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}
