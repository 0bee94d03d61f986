//! The tables, as steps that a store of any earlier release takes.

use rusqlite_migration::{M, Migrations};

/// Every step, oldest first; a step once released is never changed.
const STEPS: &[M<'static>] =
    &[M::up(FIRST), M::up(ACTS), M::up(ASSESSMENTS), M::up(ALLOWS), M::up(EXCEPTIONS), M::up(AUDIT)];

const FIRST: &str = "CREATE TABLE decisions (
         id INTEGER PRIMARY KEY,
         source TEXT NOT NULL,
         origin TEXT NOT NULL,
         layer TEXT NOT NULL,
         reason TEXT NOT NULL,
         incident TEXT,
         made_at_ms INTEGER NOT NULL,
         expires_at_ms INTEGER,
         enforced_after_us INTEGER,
         ended_at_ms INTEGER,
         ended TEXT
     ) STRICT;
     CREATE INDEX decisions_in_force ON decisions (id) WHERE ended_at_ms IS NULL;
     CREATE TABLE incidents (
         id TEXT PRIMARY KEY,
         at_ms INTEGER NOT NULL,
         address TEXT NOT NULL,
         by_proxy INTEGER NOT NULL,
         door TEXT NOT NULL,
         score REAL NOT NULL,
         method TEXT NOT NULL,
         host TEXT NOT NULL,
         target TEXT NOT NULL,
         findings TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE tokens (
         id TEXT PRIMARY KEY,
         name TEXT NOT NULL,
         secret_sha256 BLOB NOT NULL,
         made_at_ms INTEGER NOT NULL,
         expires_at_ms INTEGER
     ) STRICT, WITHOUT ROWID;";

const ACTS: &str = "ALTER TABLE incidents ADD COLUMN act TEXT NOT NULL DEFAULT 'refuse';
     ALTER TABLE incidents ADD COLUMN route TEXT NOT NULL DEFAULT 'default';";

const ASSESSMENTS: &str = "ALTER TABLE incidents ADD COLUMN assessment TEXT NOT NULL DEFAULT '{}';";

const ALLOWS: &str = "CREATE TABLE allows (
         id INTEGER PRIMARY KEY,
         whom TEXT NOT NULL,
         comment TEXT NOT NULL,
         made_by TEXT NOT NULL,
         made_at_ms INTEGER NOT NULL,
         expires_at_ms INTEGER,
         addresses TEXT NOT NULL
     ) STRICT;";

const EXCEPTIONS: &str = "CREATE TABLE exceptions (
         id TEXT PRIMARY KEY,
         scope TEXT NOT NULL,
         comment TEXT NOT NULL,
         made_by TEXT NOT NULL,
         made_at_ms INTEGER NOT NULL,
         expires_at_ms INTEGER
     ) STRICT, WITHOUT ROWID;";

const AUDIT: &str = "CREATE TABLE audit (
         seq INTEGER PRIMARY KEY,
         at_ms INTEGER NOT NULL,
         actor TEXT NOT NULL,
         token TEXT,
         role TEXT NOT NULL,
         action TEXT NOT NULL,
         content TEXT,
         salt BLOB,
         commitment BLOB NOT NULL,
         hash BLOB NOT NULL
     ) STRICT;
     CREATE TABLE audit_ends (which TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, mac BLOB NOT NULL)
     STRICT, WITHOUT ROWID;
     ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';
     ALTER TABLE tokens ADD COLUMN scopes TEXT;
     ALTER TABLE tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';";

/// The steps.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
