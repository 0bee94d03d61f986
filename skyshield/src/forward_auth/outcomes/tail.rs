//! An access log followed as it grows, also where it is renamed, made anew or cut off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Teller;
use super::lines::Lines;
use crate::clock;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Bytes that are read in one look, so that the others have their turn; the file keeps the rest.
const BYTES_A_LOOK: usize = 8 * 1024 * 1024;
/// A file that was renamed is still written to until its proxy is told: it is read on for so long after
/// its last byte.
const RETIRES_AFTER: Duration = Duration::from_secs(30);

/// Follows the file at `path`, from what comes next on, until `stop`.
pub(super) async fn follow(path: PathBuf, teller: Teller, stop: CancellationToken) {
    let mut tail = Tail::new(path, clock::now());
    let mut period = tokio::time::interval(LOOK_EVERY);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        let teller = teller.clone();
        let looked = tokio::task::spawn_blocking(move || {
            tail.look(clock::now(), &teller.metrics.dropped, |line| teller.take(line));
            tail
        });
        match looked.await {
            Ok(looked) => tail = looked,
            Err(error) => {
                tracing::error!(%error, "an access log is not followed any more");
                return;
            }
        }
    }
}

/// A file by its name, and the one that had this name before.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    current: Option<Followed>,
    retiring: Option<Followed>,
    complained: bool,
}

#[derive(Debug)]
struct Followed {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    offset: u64,
    lines: Lines,
    read_at: Instant,
}

impl Followed {
    fn open(path: &Path, from_end: bool, now: Instant) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let offset = if from_end { file.seek(SeekFrom::End(0))? } else { 0 };
        let identity = (found.dev(), found.ino());
        Ok(Self { file, identity, offset, lines: Lines::default(), read_at: now })
    }

    /// Reads what has come; whether it was cut off and begun anew.
    fn read(
        &mut self,
        now: Instant,
        dropped: &prometheus::IntCounter,
        take: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        if self.file.metadata()?.len() < self.offset {
            // Copied and cut off: what is there now is new.
            self.offset = self.file.seek(SeekFrom::Start(0))?;
            self.lines.forget();
        }
        let mut chunk = vec![0; 64 * 1024];
        let mut left = BYTES_A_LOOK;
        while left > 0 {
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.lines.feed(chunk.get(..count).unwrap_or_default(), dropped, &mut *take);
            self.offset += count as u64;
            self.read_at = now;
            left = left.saturating_sub(count);
        }
        Ok(())
    }
}

impl Tail {
    /// What is in the file at `now` is the past.
    fn new(path: PathBuf, now: Instant) -> Self {
        let current = Followed::open(&path, true, now).ok();
        Self { path, current, retiring: None, complained: false }
    }

    /// Reads what has come since the last look.
    fn look(&mut self, now: Instant, dropped: &prometheus::IntCounter, mut take: impl FnMut(&[u8])) {
        if let Err(error) = self.attempt(now, dropped, &mut take) {
            if !std::mem::replace(&mut self.complained, true) {
                tracing::warn!(path = %self.path.display(), %error, "the access log cannot be read: waiting for it");
            }
            return;
        }
        self.complained = false;
    }

    fn attempt(
        &mut self,
        now: Instant,
        dropped: &prometheus::IntCounter,
        take: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        if let Some(retiring) = &mut self.retiring {
            retiring.read(now, dropped, take)?;
            if now.saturating_duration_since(retiring.read_at) >= RETIRES_AFTER {
                self.retiring = None;
            }
        }
        if let Some(current) = &mut self.current {
            current.read(now, dropped, take)?;
        }
        // While it is between two names, there is nothing to open.
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.current.is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        let identity = (found.dev(), found.ino());
        if self.current.as_ref().is_some_and(|current| current.identity == identity) {
            return Ok(());
        }
        let mut new = Followed::open(&self.path, false, now)?;
        new.read(now, dropped, take)?;
        self.retiring = self.current.replace(new).map(|last| Followed { read_at: now, ..last });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use prometheus::IntCounter;

    use super::*;

    struct Bench {
        tail: Tail,
        dir: tempfile::TempDir,
        dropped: IntCounter,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("log"), "the past\n").unwrap();
            let tail = Tail::new(dir.path().join("log"), clock::now());
            Self { tail, dir, dropped: IntCounter::new("dropped", "lines").unwrap() }
        }

        fn append(&self, name: &str, text: &str) {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(self.dir.path().join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn look(&mut self) -> Vec<String> {
            self.look_at(clock::now())
        }

        fn look_at(&mut self, now: Instant) -> Vec<String> {
            let mut found = Vec::new();
            self.tail.look(now, &self.dropped, |line| found.push(String::from_utf8_lossy(line).into_owned()));
            found
        }
    }

    #[test]
    fn what_comes_is_read_once_and_the_past_not_at_all() {
        let mut bench = Bench::new();
        assert!(bench.look().is_empty());
        bench.append("log", "one\ntw");
        assert_eq!(bench.look(), ["one"]);
        bench.append("log", "o\n");
        assert_eq!(bench.look(), ["two"]);
        assert!(bench.look().is_empty());
    }

    #[test]
    fn a_renamed_log_is_read_to_its_end_beside_the_new_one() {
        let mut bench = Bench::new();
        let (old, new) = (bench.dir.path().join("log.1"), bench.dir.path().join("log"));
        bench.append("log", "one\n");
        fs::rename(&new, &old).unwrap();
        bench.append("log.1", "two\n");
        assert_eq!(bench.look(), ["one", "two"]);
        bench.append("log", "three\n");
        bench.append("log.1", "late\n");
        assert_eq!(bench.look(), ["late", "three"]);
        // The proxy has not been told yet.
        bench.append("log.1", "later\n");
        bench.append("log", "four\n");
        assert_eq!(bench.look(), ["later", "four"]);
        bench.look_at(clock::now() + RETIRES_AFTER);
        bench.append("log.1", "too late\n");
        assert!(bench.look().is_empty());
    }

    #[test]
    fn a_log_that_is_copied_and_cut_off_is_read_from_its_start() {
        let mut bench = Bench::new();
        bench.append("log", "a line of some length\nunfin");
        assert_eq!(bench.look(), ["a line of some length"]);
        fs::write(bench.dir.path().join("log"), "").unwrap();
        assert!(bench.look().is_empty());
        bench.append("log", "new\n");
        assert_eq!(bench.look(), ["new"]);
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_waited_for_and_read_whole() {
        let mut bench = Bench::new();
        bench.tail = Tail::new(bench.dir.path().join("other"), clock::now());
        assert!(bench.look().is_empty());
        bench.append("other", "first\n");
        assert_eq!(bench.look(), ["first"]);
    }
}
