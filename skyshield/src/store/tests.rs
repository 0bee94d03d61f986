//! The store on a real disk: what is committed is read back, by the next daemon too.

use std::fs;

use super::*;
use crate::engine::decision::{DecisionId, Ended};

fn config() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().join("state"), ..Config::default() };
    (dir, config)
}

fn decision(id: u64) -> Record {
    Record::Decision(DecisionRow {
        id: DecisionId(id),
        source: format!("203.0.113.{id}"),
        origin: "detector".to_owned(),
        layer: "packet".to_owned(),
        reason: "test".to_owned(),
        incident: None,
        made_at_ms: 1,
        expires_at_ms: Some(1000),
        enforced_after_us: Some(80),
    })
}

fn close(opened: Opened) {
    let Opened { store, writer, .. } = opened;
    drop(store);
    writer.join().unwrap();
}

#[tokio::test]
async fn what_is_committed_is_there_for_the_next_daemon() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    assert!(opened.store.append(decision(1)));
    opened.store.commit(decision(2)).await.unwrap();
    assert_eq!(
        opened.reader.decisions_in_force(999).unwrap().len(),
        2,
        "a commit takes earlier appends along"
    );
    opened.store.commit(Record::Ended { id: DecisionId(1), cause: Ended::Lifted, at_ms: 5 }).await.unwrap();
    close(opened);

    let opened = open(&config).unwrap();
    let in_force = opened.reader.decisions_in_force(999).unwrap();
    assert_eq!(in_force.iter().map(|row| row.id).collect::<Vec<_>>(), [DecisionId(2)]);
    assert_eq!(opened.reader.decisions_in_force(1000).unwrap(), [], "its time is over");
    assert_eq!(opened.reader.last_decision().unwrap(), 2);
}

#[test]
fn an_append_is_on_disk_when_the_store_is_closed() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    assert!(opened.store.append(decision(7)));
    close(opened);
    assert_eq!(open(&config).unwrap().reader.last_decision().unwrap(), 7);
}

#[test]
fn a_close_does_not_wait_for_every_handle() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    assert!(opened.store.append(decision(7)));
    opened.store.close();
    opened.writer.join().unwrap();
    assert!(!opened.store.append(decision(8)), "nobody is there to write it");
    assert_eq!(open(&config).unwrap().reader.last_decision().unwrap(), 7);
}

#[test]
fn a_second_daemon_is_refused() {
    let (_dir, config) = config();
    let _first = open(&config).unwrap();
    let error = open(&config).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

#[test]
fn a_broken_database_is_moved_aside_and_a_new_one_begun() {
    let (_dir, config) = config();
    close(open(&config).unwrap());
    fs::write(config.dir.join("skyshield.db"), b"not a database, only some bytes that stand in its place")
        .unwrap();
    let opened = open(&config).unwrap();
    let aside = opened.quarantined.clone().unwrap();
    assert!(fs::read(aside).unwrap().starts_with(b"not a database"));
    assert_eq!(opened.reader.decisions_in_force(0).unwrap(), []);
}

#[test]
fn a_store_of_a_later_release_is_left_alone() {
    let (_dir, config) = config();
    close(open(&config).unwrap());
    let path = config.dir.join("skyshield.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open(&config).unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
}

#[tokio::test]
async fn a_disk_that_refuses_is_said_to_whoever_asked() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    // Another process that holds the write lock stands in for a disk that refuses.
    let other = rusqlite::Connection::open(config.dir.join("skyshield.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(opened.store.append(decision(1)));
    assert!(opened.store.commit(decision(2)).await.is_err());
    assert!(opened.store.counters().failed_commits() >= 1);
    other.execute_batch("ROLLBACK").unwrap();
    opened.store.commit(decision(3)).await.unwrap();
    let ids: Vec<_> = opened.reader.decisions_in_force(0).unwrap().iter().map(|row| row.id.0).collect();
    assert_eq!(ids, [1, 3], "what was appended is kept for the next try; what was refused was said to be");
}
