//! What goes, and what stays.

use super::*;

#[test]
fn the_oldest_go_beyond_rows_or_bytes_and_no_more_than_those() {
    let keep = Keep { rows: 100, mebibytes: 1, days: 1 };
    assert_eq!(surplus((100, 1000), keep), 0);
    assert_eq!(surplus((105, 1000), keep), 5);
    // Half a mebibyte too much, of 15,000 bytes each.
    assert_eq!(surplus((100, 1_572_864), keep), 524_288 / 15_728 + 1);
    assert_eq!(surplus((1_000_000, 1000), keep), 1000, "a bounded number at a time");
    assert_eq!(surplus((0, 0), keep), 0);
}

/// Some day.
const NOW_MS: i64 = 1_800_000_000_000;

fn store() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "recursive_triggers", "ON").unwrap();
    super::super::migrations::MIGRATIONS.to_latest(&mut connection).unwrap();
    connection
}

fn fill(connection: &Connection, sql: &str, days_ago: impl IntoIterator<Item = i64>) {
    for (at, days) in days_ago.into_iter().enumerate() {
        connection.execute(sql, params![i64::try_from(at).unwrap(), NOW_MS - days * MS_PER_DAY]).unwrap();
    }
}

fn prune(connection: &mut Connection, keep: Kinds, pseudonymise_after_days: u32) {
    let (key, pseudonyms) = (audit::Key::of(&[7; 32]), Pseudonyms::new(&[7; 32]));
    let retention = Retention { keep, pseudonymise_after_days };
    while retention.prune(connection, (&key, &pseudonyms), NOW_MS).unwrap() {}
}

fn left(connection: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Says each kind's size as it is counted by triggers, and as it is.
fn counted(connection: &Connection, kind: &str) -> (i64, i64) {
    let sql = match kind {
        "alerts" => "SELECT count(*), coalesce(sum(120 + length(which) + length(summary)), 0) FROM alerts",
        "near_misses" => "SELECT count(*), coalesce(sum(40 + length(assessment)), 0) FROM near_misses",
        "rulings" => {
            "SELECT count(*), coalesce(sum(120 + length(subject) + length(reason) + length(comment)), 0) FROM rulings"
        }
        "decisions" => {
            "SELECT count(*), coalesce(sum(120 + length(source) + length(reason)), 0) FROM decisions"
        }
        _ => {
            "SELECT (SELECT count(*) FROM business_totals) + (SELECT count(*) FROM business_sketches),
             (SELECT coalesce(sum(60 + length(kind)), 0) FROM business_totals)
             + (SELECT coalesce(sum(60 + length(registers)), 0) FROM business_sketches)"
        }
    };
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

const ALERT: &str = "INSERT INTO alerts (id, rule, which, severity, summary, value, started_at_ms, resolved_at_ms)
    VALUES (printf('%03d', ?1), 'response/tell', 'source=203.0.113.' || ?1, 'warning', 'it applies', 1.0, ?2, ?2)";
const NEAR_MISS: &str =
    "INSERT INTO near_misses (id, at_ms, route, assessment) VALUES (?1 + 1, ?2, 'default', '{\"terms\":[]}')";
const TOTAL: &str = "INSERT INTO business_totals VALUES ('orders', '', 3600, ?2 / 1000, 1, ?1)";
const SKETCH: &str = "INSERT INTO business_sketches VALUES ('users', 86400, ?2 / 1000, zeroblob(64 + ?1))";

#[test]
fn alerts_near_misses_and_the_business_go_by_age_and_by_rows() {
    let mut connection = store();
    fill(&connection, ALERT, [401, 399, 2, 1]);
    connection.execute("INSERT INTO alerts (id, rule, which, severity, summary, value, started_at_ms) VALUES ('999', 'disk', '/', 'warning', 'full', 1.0, 0)", []).unwrap();
    fill(&connection, NEAR_MISS, [3, 1, 0]);
    fill(&connection, TOTAL, [800, 760, 1]);
    fill(&connection, SKETCH, [800, 760, 1]);
    prune(&mut connection, Kinds::default(), 0);
    assert_eq!(left(&connection, "SELECT CAST(id AS INTEGER) FROM alerts ORDER BY id"), [1, 2, 3, 999]);
    assert_eq!(left(&connection, "SELECT id FROM near_misses ORDER BY id"), [2, 3]);
    assert_eq!(left(&connection, "SELECT sum FROM business_totals ORDER BY at"), [1, 2]);
    assert_eq!(left(&connection, "SELECT length(registers) - 64 FROM business_sketches ORDER BY at"), [1, 2]);
    let few = Keep { rows: 2, days: 800, ..Keep::default() };
    let keep = Kinds {
        alerts: few,
        near_misses: Keep { rows: 1, ..few },
        business: Keep { rows: 3, ..few },
        ..Kinds::default()
    };
    prune(&mut connection, keep, 0);
    // What fires stays, however much there is.
    assert_eq!(left(&connection, "SELECT CAST(id AS INTEGER) FROM alerts ORDER BY id"), [3, 999]);
    assert_eq!(left(&connection, "SELECT id FROM near_misses"), [3]);
    assert_eq!(left(&connection, "SELECT sum FROM business_totals"), [2]);
    assert_eq!(left(&connection, "SELECT length(registers) - 64 FROM business_sketches"), [2]);
    for kind in ["alerts", "near_misses", "business"] {
        assert_eq!(size(&connection, kind).unwrap(), counted(&connection, kind), "{kind}");
    }
}

#[test]
fn what_has_ended_is_found_without_a_look_at_all_there_is() {
    let connection = store();
    for table in ["decisions", "rulings"] {
        let sql = format!("EXPLAIN QUERY PLAN {}", delete_ended(table));
        let mut statement = connection.prepare(&sql).unwrap();
        let plan = statement.query_map([NOW_MS, 1], |row| row.get::<_, String>("detail")).unwrap();
        let plan: Vec<_> = plan.map(Result::unwrap).collect();
        let wanted = format!("INDEX {table}_by_end (<expr><?)");
        assert!(plan.iter().any(|step| step.ends_with(&wanted)), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
    }
}

#[test]
fn decisions_and_rulings_go_when_they_have_ended_for_so_long() {
    let mut connection = store();
    for sql in [
        "INSERT INTO decisions (id, source, origin, layer, reason, made_at_ms, ended_at_ms)
             VALUES (?1 + 1, '203.0.113.7', 'operator', 'packet', 'x', 0, ?2)",
        "INSERT INTO rulings (id, kind, subject, origin, reason, comment, made_at_ms, expires_at_ms)
             VALUES (?1 + 1, 'ban', 'user:' || ?1, 'operator', 'x', '', 0, ?2)",
    ] {
        fill(&connection, sql, [500, 1, 500, 500]);
    }
    connection.execute("UPDATE decisions SET ended_at_ms = NULL WHERE id = 3", []).unwrap();
    prune(&mut connection, Kinds::default(), 0);
    assert_eq!(left(&connection, "SELECT id FROM decisions ORDER BY id"), [2, 3, 4], "the third is for ever");
    assert_eq!(left(&connection, "SELECT id FROM rulings ORDER BY id"), [2, 4], "the newest has the number");
}

#[test]
fn they_go_by_bytes_too() {
    let mut connection = store();
    let sql = "INSERT INTO near_misses (id, at_ms, route, assessment) VALUES (?1 + 1, ?2, 'default', hex(zeroblob(300000)))";
    fill(&connection, sql, [1, 1, 1, 1]);
    let keep = Kinds { near_misses: Keep { mebibytes: 1, ..Keep::default() }, ..Kinds::default() };
    prune(&mut connection, keep, 0);
    assert_eq!(left(&connection, "SELECT id FROM near_misses"), [4], "of 600,000 bytes each");
}

#[test]
fn sizes_stay_true_whatever_becomes_of_a_row() {
    let connection = store();
    connection
        .execute_batch(
            "INSERT OR REPLACE INTO rulings (id, kind, subject, origin, reason, comment, made_at_ms) VALUES (1, 'ban', 'user:a', 'operator', 'x', '', 0);
             INSERT OR REPLACE INTO rulings (id, kind, subject, origin, reason, comment, made_at_ms) VALUES (1, 'ban', 'user:abc', 'operator', 'xyz', 'c', 0);
             UPDATE rulings SET comment = 'longer';
             INSERT INTO decisions (source, origin, layer, reason, made_at_ms) VALUES ('203.0.113.7', 'operator', 'packet', 'x', 0);
             UPDATE decisions SET source = 'erased', reason = 'erased';
             INSERT OR REPLACE INTO business_sketches VALUES ('users', 3600, 0, x'00');
             INSERT OR REPLACE INTO business_sketches VALUES ('users', 3600, 0, x'0000');
             UPDATE business_sketches SET registers = x'000000';",
        )
        .unwrap();
    for kind in ["rulings", "decisions", "business"] {
        assert_eq!(size(&connection, kind).unwrap(), counted(&connection, kind), "{kind}");
    }
}

#[test]
fn after_so_many_days_alerts_and_the_audit_log_name_nobody() {
    let mut connection = store();
    fill(&connection, ALERT, [31, 29]);
    let key = audit::Key::of(&[7; 32]);
    for days in [31, 29] {
        let row = audit::AuditRow {
            at_ms: NOW_MS - days * MS_PER_DAY,
            actor: "ann".to_owned(),
            token: None,
            role: "admin".to_owned(),
            action: "POST /api/v1/decisions".to_owned(),
            content: format!("{{\"after\":{{\"source\":\"203.0.113.{days}\"}}}}"),
            salt: [1; 16],
        };
        row.write(&connection, &key).unwrap();
    }
    prune(&mut connection, Kinds::default(), 30);
    let said = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    };
    let which = said("SELECT which FROM alerts ORDER BY id");
    assert!(which[0].starts_with("source=anon-") && which[1] == "source=203.0.113.1", "{which:?}");
    let lines = said("SELECT content FROM audit ORDER BY seq");
    assert_eq!(lines.len(), 3, "that they were restated is a line");
    assert!(lines[0].contains("anon-") && lines[1].contains("203.0.113.29"), "{lines:?}");
    assert!(audit::verify(&connection, &key).unwrap().wrong.is_empty());
}
