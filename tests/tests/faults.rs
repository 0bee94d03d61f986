//! Disks that are full or read-only: what the store says, and what it does afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use libtest_mimic::Arguments;
use skyshield::engine::decision::DecisionId;
use skyshield::store::{self, DecisionRow, OpenError, Opened, Record};
use tempfile::TempDir;
use tests::requirement::{Requirement, trial};

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Requirement::Kernel.missing();
    let tests: [(&str, Test); 2] = [
        ("a_full_disk_is_told_of_and_recovered_from", full),
        ("a_read_only_disk_is_told_apart_and_nothing_is_quarantined", read_only),
    ];
    let trials = tests.into_iter().map(|(name, test)| trial(name, missing.clone(), test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A disk of four megabytes in memory, gone with this.
struct Disk(TempDir);

impl Disk {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sky-disk-").tempdir()?;
        mount(&["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"], dir.path())?;
        Ok(Self(dir))
    }

    fn store(&self) -> store::Config {
        store::Config { dir: self.0.path().join("state"), ..store::Config::default() }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nobody else knows of it.
        let _gone = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(words: &[&str], at: &Path) -> anyhow::Result<()> {
    let status = Command::new("mount").args(words).arg(at).status().context("mount")?;
    ensure!(status.success(), "mount {words:?}: {status}");
    Ok(())
}

fn decision(id: u64) -> Record {
    Record::Decision(DecisionRow {
        id: DecisionId(id),
        source: format!("198.18.{}.{}", id / 256 % 256, id % 256),
        origin: "operator".to_owned(),
        layer: "packet".to_owned(),
        reason: "a test of disks that refuse".to_owned(),
        comment: String::new(),
        incident: None,
        made_at_ms: 1,
        expires_at_ms: None,
        enforced_after_us: None,
    })
}

fn close(opened: Opened) -> anyhow::Result<()> {
    opened.store.close();
    opened.writer.join().map_err(|_panic| anyhow::anyhow!("the writer panicked"))
}

fn ids(opened: &Opened) -> anyhow::Result<Vec<u64>> {
    Ok(opened.reader.decisions_in_force(0)?.iter().map(|row| row.id.0).collect())
}

fn full() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let opened = store::open(&disk.store())?;
    runtime.block_on(opened.store.commit(decision(1)))?;
    // What is left of the disk goes to somebody else.
    let filled = fs::write(disk.filler(), vec![0; 8 << 20]);
    ensure!(filled.is_err(), "the disk is larger than it should be");
    let mut acknowledged = vec![1];
    let mut refused = 0;
    for id in 2..200 {
        match runtime.block_on(opened.store.commit(decision(id))) {
            Ok(()) => acknowledged.push(id),
            Err(_) => refused += 1,
        }
    }
    ensure!(refused > 0, "a full disk took everything");
    fs::remove_file(disk.filler())?;
    runtime.block_on(opened.store.commit(decision(1000)))?;
    acknowledged.push(1000);
    ensure!(opened.store.counters().failed_commits() >= refused);
    close(opened)?;
    let opened = store::open(&disk.store())?;
    ensure!(opened.quarantined.is_none(), "a full disk is not a broken store");
    ensure!(ids(&opened)? == acknowledged, "what was acknowledged is not what is there");
    close(opened)
}

fn read_only() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let opened = store::open(&disk.store())?;
    runtime.block_on(opened.store.commit(decision(1)))?;
    close(opened)?;
    mount(&["-o", "remount,ro"], disk.0.path())?;
    let Err(error) = store::open(&disk.store()) else {
        anyhow::bail!("a store was opened on a read-only disk");
    };
    ensure!(matches!(error, OpenError::Io { .. } | OpenError::Database { .. }), "{error:?}");
    let told = format!("{:#}", anyhow::Error::new(error)).to_lowercase();
    ensure!(told.contains("read-only") || told.contains("readonly"), "{told}");
    mount(&["-o", "remount,rw"], disk.0.path())?;
    let kept: Vec<_> = fs::read_dir(disk.store().dir)?.filter_map(Result::ok).collect();
    ensure!(
        !kept.iter().any(|file| file.file_name().to_string_lossy().contains("broken")),
        "it was quarantined"
    );
    let opened = store::open(&disk.store())?;
    ensure!(ids(&opened)? == [1]);
    close(opened)
}
