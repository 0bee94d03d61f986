use proptest::prelude::*;

use super::*;

fn log(lines: u64) -> (Connection, Key) {
    let mut connection = Connection::open_in_memory().unwrap();
    super::super::migrations::MIGRATIONS.to_latest(&mut connection).unwrap();
    let key = Key::of(&[7; 32]);
    for number in 1..=lines {
        let row = AuditRow {
            at_ms: number.cast_signed() * 1000,
            actor: format!("operator {}", number % 3),
            token: number.is_multiple_of(2).then(|| "0badcafe".to_owned()),
            role: "admin".to_owned(),
            action: "POST /api/v1/decisions".to_owned(),
            content: format!("{{\"after\":{{\"source\":\"203.0.113.{number}\"}}}}"),
            salt: [number.to_le_bytes()[0]; 16],
        };
        row.write(&connection, &key).unwrap();
    }
    (connection, key)
}

#[test]
fn a_whole_log_is_found_whole() {
    let (connection, key) = log(0);
    assert_eq!(verify(&connection, &key).unwrap(), Audited::default());
    let (connection, key) = log(50);
    let audited = verify(&connection, &key).unwrap();
    assert_eq!((audited.lines, audited.erased, audited.wrong.len()), (50, 0, 0), "{audited:?}");
    assert_eq!(audited.last.unwrap().0, 50);
}

#[test]
fn every_column_of_every_line_is_guarded() {
    for column in ["at_ms", "actor", "token", "role", "action", "content", "salt", "commitment", "hash"] {
        for line in [1, 7, 20] {
            let (connection, key) = log(20);
            let changed = match column {
                "at_ms" => "at_ms + 1".to_owned(),
                "salt" | "commitment" | "hash" => format!("zeroblob(length({column}))"),
                text => format!("coalesce({text}, '') || 'x'"),
            };
            let sql = format!("UPDATE audit SET {column} = {changed} WHERE seq = {line}");
            assert_eq!(connection.execute(&sql, []).unwrap(), 1);
            assert!(!verify(&connection, &key).unwrap().wrong.is_empty(), "{column} of line {line}");
        }
    }
}

#[test]
fn a_removed_line_is_missed_wherever_it_was() {
    for line in 1..=20 {
        let (connection, key) = log(20);
        connection.execute("DELETE FROM audit WHERE seq = ?1", [line]).unwrap();
        assert!(!verify(&connection, &key).unwrap().wrong.is_empty(), "line {line}");
    }
    let (connection, key) = log(20);
    connection.execute_batch("DELETE FROM audit; DELETE FROM audit_ends WHERE which = 'last'").unwrap();
    // Who removes the log whole is found by whoever kept its last number and hash elsewhere.
    assert_eq!(verify(&connection, &key).unwrap().last, None);
    let (connection, key) = log(20);
    connection.execute_batch("DELETE FROM audit").unwrap();
    assert!(!verify(&connection, &key).unwrap().wrong.is_empty());
}

#[test]
fn an_inserted_line_is_noticed_even_when_numbers_are_moved_up() {
    for at in [1, 10, 21] {
        let (connection, key) = log(20);
        connection
            .execute_batch(&format!(
                "UPDATE audit SET seq = -seq WHERE seq >= {at}; UPDATE audit SET seq = 1 - seq WHERE seq < 0;
                 INSERT INTO audit SELECT {at}, at_ms, 'mallory', token, role, action, content, salt, commitment, hash, restated
                 FROM audit WHERE seq = 5;
                 UPDATE audit_ends SET seq = 21"
            ))
            .unwrap();
        assert!(!verify(&connection, &key).unwrap().wrong.is_empty(), "at {at}");
    }
}

#[test]
fn only_the_installations_key_makes_lines() {
    let (connection, _) = log(20);
    let other = Key::of(&[8; 32]);
    assert!(!verify(&connection, &other).unwrap().wrong.is_empty());
}

#[test]
fn what_is_pruned_leaves_a_beginning_that_holds() {
    let (connection, key) = log(20);
    prune(&connection, &key, (0, 15), 1000).unwrap();
    let audited = verify(&connection, &key).unwrap();
    assert_eq!((audited.lines, audited.wrong.len()), (15, 0), "{audited:?}");
    prune(&connection, &key, (11_000, 1000), 1000).unwrap();
    let audited = verify(&connection, &key).unwrap();
    assert_eq!((audited.lines, audited.wrong.len()), (10, 0), "{audited:?}");
    connection.execute("DELETE FROM audit WHERE seq = 11", []).unwrap();
    assert!(!verify(&connection, &key).unwrap().wrong.is_empty(), "the first line that is left was removed");
}

#[test]
fn content_goes_by_an_erasure_only() {
    let (connection, key) = log(5);
    connection.execute("UPDATE audit SET content = NULL, salt = NULL WHERE seq = 3", []).unwrap();
    assert_eq!(verify(&connection, &key).unwrap().wrong.len(), 1);
    let row = AuditRow {
        at_ms: 6000,
        actor: "root".to_owned(),
        token: None,
        role: "admin".to_owned(),
        action: ERASED.to_owned(),
        content: "{\"after\":{\"audit_lines\":[3]}}".to_owned(),
        salt: [9; 16],
    };
    row.write(&connection, &key).unwrap();
    let audited = verify(&connection, &key).unwrap();
    assert_eq!((audited.erased, audited.wrong.len()), (1, 0), "{audited:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_single_changed_byte_goes_unnoticed(line in 1_i64..=8, place in 0_usize..60, flip in 1_u8..=255) {
        let (connection, key) = log(8);
        let content: String =
            connection.query_row("SELECT content FROM audit WHERE seq = ?1", [line], |row| row.get(0)).unwrap();
        let mut bytes = content.into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        connection.execute("UPDATE audit SET content = ?2 WHERE seq = ?1", params![line, changed]).unwrap();
        prop_assert!(!verify(&connection, &key).unwrap().wrong.is_empty());
    }
}

/// The log of twenty lines, with the addresses of the first ten under pseudonyms.
fn restated() -> (Connection, Key) {
    let (connection, key) = log(20);
    let pseudonyms = super::super::pseudonym::Pseudonyms::new(&[7; 32]);
    for _again in 0..2 {
        let looked_at = take_the_place(&connection, (&key, &pseudonyms), (10_001, 30_000), 7).unwrap();
        assert!(looked_at <= 7);
    }
    assert_eq!(take_the_place(&connection, (&key, &pseudonyms), (10_001, 30_000), 7).unwrap(), 0);
    (connection, key)
}

#[test]
fn what_is_restated_names_nobody_and_the_chain_holds() {
    let (connection, key) = restated();
    let audited = verify(&connection, &key).unwrap();
    assert_eq!((audited.wrong.len(), audited.restated, audited.erased), (0, 10, 0), "{audited:?}");
    // Each of the two times is a line of its own.
    assert_eq!(audited.lines, 22);
    let lines = lines(&connection, None, 100).unwrap();
    for line in &lines {
        let says = line.content.as_deref().unwrap();
        let names = says.contains("\"203.0.113.");
        assert_eq!(names, (11..=20).contains(&line.seq), "line {}: {says}", line.seq);
        assert_eq!(says.contains("anon-"), line.seq <= 10, "line {}: {says}", line.seq);
    }
}

#[test]
fn nobody_restates_a_line_without_the_key() {
    let forged = guarded("203.0.113.9", &Key::of(&[8; 32]));
    for change in [
        "UPDATE audit SET content = replace(content, 'anon-', 'anon-0') WHERE seq = 3".to_owned(),
        "UPDATE audit SET restated = NULL WHERE seq = 3".to_owned(),
        "UPDATE audit SET restated = (SELECT restated FROM audit WHERE seq = 4) WHERE seq = 3".to_owned(),
        "UPDATE audit SET content = (SELECT content FROM audit WHERE seq = 4), restated = (SELECT restated FROM audit WHERE seq = 4) WHERE seq = 3".to_owned(),
        "UPDATE audit SET content = NULL, restated = NULL WHERE seq = 3".to_owned(),
        format!("UPDATE audit SET content = '203.0.113.9', salt = NULL, restated = x'{forged}' WHERE seq = 15"),
    ] {
        let (connection, key) = restated();
        assert_eq!(connection.execute(&change, []).unwrap(), 1);
        assert!(!verify(&connection, &key).unwrap().wrong.is_empty(), "{change}");
    }
    // And by the right key, but said by no line.
    let (connection, key) = restated();
    let guard = guarded("203.0.113.9", &key);
    let sql = format!(
        "UPDATE audit SET content = '203.0.113.9', salt = NULL, restated = x'{guard}' WHERE seq = 15"
    );
    connection.execute(&sql, []).unwrap();
    let wrong = verify(&connection, &key).unwrap().wrong;
    assert_eq!(wrong, ["line 15 was restated, and no line says so"]);
}

fn guarded(content: &str, key: &Key) -> String {
    restated::guard(key, 15, content).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn users_are_named_no_more_either() {
    let (connection, key) = log(0);
    let pseudonyms = super::super::pseudonym::Pseudonyms::new(&[7; 32]);
    let row = AuditRow {
        at_ms: 1,
        actor: "alice the operator".to_owned(),
        token: None,
        role: "admin".to_owned(),
        action: "POST /api/v1/decisions".to_owned(),
        content: "{\"reason\":\"bob shares\",\"after\":{\"subject\":\"user:bob\"}}".to_owned(),
        salt: [1; 16],
    };
    row.write(&connection, &key).unwrap();
    take_the_place(&connection, (&key, &pseudonyms), (10, 10), 10).unwrap();
    let lines = lines(&connection, None, 10).unwrap();
    let said = lines[1].content.as_deref().unwrap();
    assert!(!said.contains("bob") && said.contains(&pseudonyms.of("user:bob")), "{said}");
    assert_eq!(lines[1].actor, "alice the operator", "who did something answers for it");
    assert!(verify(&connection, &key).unwrap().wrong.is_empty());
}
