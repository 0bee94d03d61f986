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
        comment: String::new(),
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

/// A store of 60 decisions, closed; its bytes, and what they say.
fn written() -> (tempfile::TempDir, Config, Vec<u8>, Vec<DecisionRow>) {
    let (dir, mut config) = config();
    // What ended in 1970 is not to go meanwhile.
    config.keep.decisions.days = MAX_DAYS;
    let opened = open(&config).unwrap();
    for id in 1..=60 {
        assert!(opened.store.append(decision(id)));
    }
    for id in 1..=10 {
        assert!(opened.store.append(Record::Ended { id: DecisionId(id), cause: Ended::Lifted, at_ms: 5 }));
    }
    close(opened);
    let path = config.dir.join("skyshield.db");
    let opened = open(&config).unwrap();
    let rows = opened.reader.decisions_in_force(0).unwrap();
    close(opened);
    // The log is worked into the file, so that what is broken is what is read.
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_eq!(rows.len(), 50);
    (dir, config, fs::read(&path).unwrap(), rows)
}

/// Opens a store with these bytes: what it answers is what was written, or less.
fn answers_only_what_was_written(
    config: &Config,
    bytes: &[u8],
    rows: &[DecisionRow],
    told: &str,
) -> &'static str {
    let path = config.dir.join("skyshield.db");
    for log in ["db-wal", "db-shm"] {
        let _absent = fs::remove_file(path.with_extension(log));
    }
    fs::write(&path, bytes).unwrap();
    let opened = match open(config) {
        Ok(opened) => opened,
        Err(OpenError::Newer { .. }) => return "newer",
        Err(OpenError::Database { .. } | OpenError::Migrate { .. }) => return "refused",
        Err(error) => panic!("{told}: {error}"),
    };
    let how = if opened.quarantined.is_some() { "quarantined" } else { "open" };
    // A read that fails is told; one that succeeds is right.
    if let Ok(answered) = opened.reader.decisions_in_force(0) {
        // How fast it was enforced is a figure, and not what was decided.
        let decided = |row: &DecisionRow| DecisionRow { enforced_after_us: None, ..row.clone() };
        let written: Vec<_> = rows.iter().map(decided).collect();
        let wrong = answered.iter().map(decided).find(|row| !written.contains(row));
        assert_eq!(wrong, None, "{told} ({how}): nobody ever decided that");
    }
    if let Some(aside) = &opened.quarantined {
        assert!(fs::metadata(aside).unwrap().len() > 0, "{told}: what was there is moved aside");
        fs::remove_file(aside).unwrap();
    }
    close(opened);
    how
}

#[test]
fn no_flipped_bit_and_no_cut_makes_up_a_ban() {
    let (_dir, config, bytes, rows) = written();
    let mut seen = std::collections::BTreeMap::<_, u32>::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    // Rows are where the addresses are; there a flip is worst.
    let places: Vec<_> = memchr::memmem::find_iter(&bytes, b"203.0.113.").collect();
    for turn in 0..100 {
        let at = if turn % 2 == 0 { next(bytes.len()) } else { places[next(places.len())] - 20 + next(60) };
        let mut broken = bytes.clone();
        broken[at] ^= 1 << next(8);
        let how = answers_only_what_was_written(&config, &broken, &rows, &format!("bit at {at}"));
        *seen.entry(how).or_default() += 1;
    }
    for turn in 0..20 {
        let cut = if turn == 0 { 0 } else { next(bytes.len()) };
        let how = answers_only_what_was_written(&config, &bytes[..cut], &rows, &format!("cut at {cut}"));
        *seen.entry(how).or_default() += 1;
    }
    assert!(seen["open"] > 5 && seen["quarantined"] > 5, "{seen:?}");
}

#[test]
fn an_empty_file_is_a_new_store() {
    let (_dir, config, _, rows) = written();
    assert_eq!(answers_only_what_was_written(&config, b"", &rows, "empty"), "open");
}

fn log_bytes(config: &Config) -> u64 {
    fs::metadata(config.dir.join("skyshield.db-wal")).map_or(0, |log| log.len())
}

/// A record of `kibibytes`, so that the log grows.
fn large(id: u64, kibibytes: usize) -> Record {
    let Record::Decision(row) = decision(id) else { unreachable!("a decision is one") };
    Record::Decision(DecisionRow { comment: "x".repeat(kibibytes * 1024), ..row })
}

#[tokio::test]
async fn the_log_is_worked_off_beside_the_commits() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    // 60 MiB of log in all, back to back: so fast that it is never worked off to its end beside them.
    for id in 1..=2500 {
        opened.store.commit(large(id, 16)).await.unwrap();
    }
    let counters = opened.store.counters();
    let (beside, in_commit) = (counters.checkpoints(), counters.checkpoints_in_commit());
    assert!(beside >= 2, "somebody worked it off: {beside}");
    assert!(
        in_commit <= beside + 1,
        "{in_commit} commits had to, and {beside} times it was done beside them"
    );
    assert!(log_bytes(&config) <= 65 << 20, "{} bytes", log_bytes(&config));
}

#[tokio::test]
async fn a_log_that_somebody_reads_by_grows_to_its_bound_and_is_begun_anew_afterwards() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    opened.store.commit(decision(1)).await.unwrap();
    let other = rusqlite::Connection::open(config.dir.join("skyshield.db")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM decisions").unwrap();
    for id in 2..=80 {
        opened.store.commit(large(id, 1024)).await.unwrap();
    }
    let counters = opened.store.counters().clone();
    assert!(counters.checkpoints_in_commit() > 0, "beyond its bound, commits try");
    assert!(counters.checkpoints_in_commit() < 40, "but not each of them");
    other.execute_batch("COMMIT").unwrap();
    for id in 81..=90 {
        opened.store.commit(large(id, 1024)).await.unwrap();
    }
    assert!(counters.log_pages() < u64::from(checkpoint::MOST), "{} pages", counters.log_pages());
    opened.store.commit(decision(91)).await.unwrap();
    assert!(log_bytes(&config) <= u64::from(checkpoint::MOST * checkpoint::PAGE), "and the disk has it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn scrubbing_empties_the_log_while_it_is_worked_off() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    for id in 1..=4 {
        // As much as wakes the other thread.
        opened.store.commit(large(id, 20 * 1024)).await.unwrap();
        assert!(opened.store.scrub().await.unwrap(), "nobody reads");
        let log = fs::read(config.dir.join("skyshield.db-wal")).unwrap();
        assert!(log.iter().all(|&byte| byte == 0), "there is room in it, and nothing else");
    }
}

#[tokio::test]
async fn the_log_has_its_room_before_the_first_commit_and_a_killed_daemons_is_read() {
    let (_dir, config) = config();
    let opened = open(&config).unwrap();
    opened.store.commit(decision(1)).await.unwrap();
    let room = log_bytes(&config);
    for id in 2..=100 {
        opened.store.commit(decision(id)).await.unwrap();
    }
    assert!(opened.store.counters().log_pages() > 100, "it was all written to the log");
    assert_eq!(log_bytes(&config), room, "which did not become longer");

    // What a daemon leaves that is killed: the database, and the log with a tail of nothing.
    let (_other, killed) = self::config();
    fs::create_dir(&killed.dir).unwrap();
    for file in ["skyshield.db", "skyshield.db-wal", "key"] {
        fs::copy(config.dir.join(file), killed.dir.join(file)).unwrap();
    }
    assert_eq!(open(&killed).unwrap().reader.last_decision().unwrap(), 100);
}

#[test]
fn a_store_that_is_closed_has_no_log() {
    let (_dir, config) = config();
    let Opened { store, writer, reader, .. } = open(&config).unwrap();
    drop(reader);
    for id in 1..=4 {
        assert!(store.append(large(id, 4096)));
    }
    store.close();
    writer.join().unwrap();
    assert_eq!(log_bytes(&config), 0, "it was worked off at the end");
}
