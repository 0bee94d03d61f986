//! The tables, as steps that a store of any earlier release takes.

use rusqlite_migration::{M, Migrations};

/// Every step, oldest first; a step once released is never changed.
const STEPS: &[M<'static>] = &[
    M::up(FIRST),
    M::up(ACTS),
    M::up(ASSESSMENTS),
    M::up(ALLOWS),
    M::up(EXCEPTIONS),
    M::up(AUDIT),
    M::up(LOOKS),
    M::up(RULINGS),
    M::up(NEAR_MISSES),
    M::up(SEALS),
    M::up(KNOWN),
    M::up(MONITORING),
    M::up(RETENTION),
    M::up(ENDS),
];

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

/// What looks at incidents go along, and how much there is of each kind: kept by triggers, so that nobody
/// counts a million rows. Times are in the ids.
const LOOKS: &str = "CREATE INDEX incidents_by_time ON incidents (id, act, door, route, score);
     CREATE INDEX incidents_by_address ON incidents (address, id, act, door, route, score);
     CREATE INDEX incidents_by_host ON incidents (host, id, act, door, route, score);
     CREATE TABLE incident_rules (rule TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (rule, id)) STRICT, WITHOUT ROWID;
     CREATE INDEX incident_rules_by_id ON incident_rules (id);
     CREATE TABLE sizes (kind TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE marks (name TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT, WITHOUT ROWID;
     INSERT OR IGNORE INTO incident_rules
         SELECT json_extract(value, '$.rule'), incidents.id
         FROM incidents, json_each(CASE WHEN json_valid(findings) THEN findings ELSE '[]' END)
         WHERE json_extract(value, '$.rule') IS NOT NULL;
     INSERT INTO sizes SELECT 'incidents', count(*), coalesce(sum(
         200 + length(address) + length(host) + length(target) + length(findings) + length(assessment)), 0) FROM incidents;
     INSERT INTO sizes SELECT 'decisions', count(*), coalesce(sum(120 + length(source) + length(reason)), 0) FROM decisions;
     INSERT INTO sizes SELECT 'audit', count(*), coalesce(sum(200 + length(coalesce(content, ''))), 0) FROM audit;
     CREATE TRIGGER incident_made AFTER INSERT ON incidents BEGIN
         INSERT OR IGNORE INTO incident_rules
             SELECT json_extract(value, '$.rule'), NEW.id
             FROM json_each(CASE WHEN json_valid(NEW.findings) THEN NEW.findings ELSE '[]' END)
             WHERE json_extract(value, '$.rule') IS NOT NULL;
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 200 + length(NEW.address) + length(NEW.host)
             + length(NEW.target) + length(NEW.findings) + length(NEW.assessment) WHERE kind = 'incidents';
     END;
     CREATE TRIGGER incident_gone AFTER DELETE ON incidents BEGIN
         DELETE FROM incident_rules WHERE id = OLD.id;
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 200 - length(OLD.address) - length(OLD.host)
             - length(OLD.target) - length(OLD.findings) - length(OLD.assessment) WHERE kind = 'incidents';
     END;
     CREATE TRIGGER decision_made AFTER INSERT ON decisions BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 120 + length(NEW.source) + length(NEW.reason)
             WHERE kind = 'decisions';
     END;
     CREATE TRIGGER decision_gone AFTER DELETE ON decisions BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 120 - length(OLD.source) - length(OLD.reason)
             WHERE kind = 'decisions';
     END;
     CREATE TRIGGER audit_made AFTER INSERT ON audit BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 200 + length(coalesce(NEW.content, '')) WHERE kind = 'audit';
     END;
     CREATE TRIGGER audit_gone AFTER DELETE ON audit BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 200 - length(coalesce(OLD.content, '')) WHERE kind = 'audit';
     END;
     CREATE TRIGGER incident_changed AFTER UPDATE ON incidents BEGIN
         UPDATE sizes SET bytes = bytes + length(NEW.address) + length(NEW.host) + length(NEW.target)
             + length(NEW.findings) + length(NEW.assessment) - length(OLD.address) - length(OLD.host)
             - length(OLD.target) - length(OLD.findings) - length(OLD.assessment) WHERE kind = 'incidents';
     END;
     CREATE TRIGGER audit_changed AFTER UPDATE ON audit BEGIN
         UPDATE sizes SET bytes = bytes + length(coalesce(NEW.content, '')) - length(coalesce(OLD.content, ''))
             WHERE kind = 'audit';
     END;
     CREATE TABLE operators (
         name TEXT PRIMARY KEY,
         role TEXT NOT NULL,
         password TEXT NOT NULL,
         totp BLOB,
         totp_step INTEGER NOT NULL DEFAULT 0,
         made_at_ms INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;";

const RULINGS: &str = "ALTER TABLE decisions ADD COLUMN comment TEXT NOT NULL DEFAULT '';
     CREATE TABLE rulings (
         id INTEGER PRIMARY KEY,
         kind TEXT NOT NULL,
         subject TEXT NOT NULL,
         origin TEXT NOT NULL,
         reason TEXT NOT NULL,
         comment TEXT NOT NULL,
         requests_per_min INTEGER,
         made_at_ms INTEGER NOT NULL,
         expires_at_ms INTEGER,
         ended_at_ms INTEGER,
         ended TEXT
     ) STRICT;";

const NEAR_MISSES: &str = "CREATE TABLE near_misses (
         id INTEGER PRIMARY KEY,
         at_ms INTEGER NOT NULL,
         route TEXT NOT NULL,
         assessment TEXT NOT NULL
     ) STRICT;";

const SEALS: &str = "ALTER TABLE decisions ADD COLUMN seal INTEGER;
     ALTER TABLE rulings ADD COLUMN seal INTEGER;";

const KNOWN: &str = "CREATE TABLE known (
         page TEXT NOT NULL,
         key TEXT NOT NULL,
         value TEXT NOT NULL,
         expires_at_ms INTEGER,
         PRIMARY KEY (page, key)
     ) STRICT, WITHOUT ROWID;";

const MONITORING: &str = super::monitoring::TABLES;

/// How much there is of the kinds that were not counted, and what stands under a pseudonym in the log and in alerts.
const RETENTION: &str = "ALTER TABLE audit ADD COLUMN restated BLOB;
     ALTER TABLE alerts ADD COLUMN is_anonymous INTEGER NOT NULL DEFAULT 0;
     CREATE INDEX alerts_to_name_no_more ON alerts (resolved_at_ms) WHERE is_anonymous = 0;
     CREATE INDEX alerts_by_end ON alerts (resolved_at_ms);
     CREATE INDEX near_misses_by_age ON near_misses (at_ms);
     INSERT INTO sizes SELECT 'rulings', count(*), coalesce(sum(120 + length(subject) + length(reason) + length(comment)), 0) FROM rulings;
     INSERT INTO sizes SELECT 'alerts', count(*), coalesce(sum(120 + length(which) + length(summary)), 0) FROM alerts;
     INSERT INTO sizes SELECT 'near_misses', count(*), coalesce(sum(40 + length(assessment)), 0) FROM near_misses;
     INSERT INTO sizes SELECT 'business', (SELECT count(*) FROM business_totals) + (SELECT count(*) FROM business_sketches),
         (SELECT coalesce(sum(60 + length(kind)), 0) FROM business_totals)
         + (SELECT coalesce(sum(60 + length(registers)), 0) FROM business_sketches);
     UPDATE sizes SET bytes = (SELECT coalesce(sum(120 + length(source) + length(reason)), 0) FROM decisions)
         WHERE kind = 'decisions';
     CREATE TRIGGER decision_changed AFTER UPDATE ON decisions BEGIN
         UPDATE sizes SET bytes = bytes + length(NEW.source) + length(NEW.reason) - length(OLD.source) - length(OLD.reason)
             WHERE kind = 'decisions';
     END;
     CREATE TRIGGER ruling_made AFTER INSERT ON rulings BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 120 + length(NEW.subject) + length(NEW.reason)
             + length(NEW.comment) WHERE kind = 'rulings';
     END;
     CREATE TRIGGER ruling_gone AFTER DELETE ON rulings BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 120 - length(OLD.subject) - length(OLD.reason)
             - length(OLD.comment) WHERE kind = 'rulings';
     END;
     CREATE TRIGGER ruling_changed AFTER UPDATE ON rulings BEGIN
         UPDATE sizes SET bytes = bytes + length(NEW.subject) + length(NEW.reason) + length(NEW.comment)
             - length(OLD.subject) - length(OLD.reason) - length(OLD.comment) WHERE kind = 'rulings';
     END;
     CREATE TRIGGER alert_made AFTER INSERT ON alerts BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 120 + length(NEW.which) + length(NEW.summary) WHERE kind = 'alerts';
     END;
     CREATE TRIGGER alert_gone AFTER DELETE ON alerts BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 120 - length(OLD.which) - length(OLD.summary) WHERE kind = 'alerts';
     END;
     CREATE TRIGGER alert_changed AFTER UPDATE OF which, summary ON alerts BEGIN
         UPDATE sizes SET bytes = bytes + length(NEW.which) + length(NEW.summary) - length(OLD.which) - length(OLD.summary)
             WHERE kind = 'alerts';
     END;
     CREATE TRIGGER near_miss_made AFTER INSERT ON near_misses BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 40 + length(NEW.assessment) WHERE kind = 'near_misses';
     END;
     CREATE TRIGGER near_miss_gone AFTER DELETE ON near_misses BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 40 - length(OLD.assessment) WHERE kind = 'near_misses';
     END;
     CREATE TRIGGER total_made AFTER INSERT ON business_totals BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 60 + length(NEW.kind) WHERE kind = 'business';
     END;
     CREATE TRIGGER total_gone AFTER DELETE ON business_totals BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 60 - length(OLD.kind) WHERE kind = 'business';
     END;
     CREATE TRIGGER sketch_made AFTER INSERT ON business_sketches BEGIN
         UPDATE sizes SET rows = rows + 1, bytes = bytes + 60 + length(NEW.registers) WHERE kind = 'business';
     END;
     CREATE TRIGGER sketch_gone AFTER DELETE ON business_sketches BEGIN
         UPDATE sizes SET rows = rows - 1, bytes = bytes - 60 - length(OLD.registers) WHERE kind = 'business';
     END;
     CREATE TRIGGER sketch_changed AFTER UPDATE ON business_sketches BEGIN
         UPDATE sizes SET bytes = bytes + length(NEW.registers) - length(OLD.registers) WHERE kind = 'business';
     END;";

/// What has ended is found by when, and not by a look at all there is.
const ENDS: &str = "CREATE INDEX decisions_by_end ON decisions (coalesce(ended_at_ms, expires_at_ms));
     CREATE INDEX rulings_by_end ON rulings (coalesce(ended_at_ms, expires_at_ms));";

/// The steps.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
