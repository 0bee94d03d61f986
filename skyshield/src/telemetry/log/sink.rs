//! A destination behind a queue of its own: a thread writes, and whoever logs goes on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait for a destination. One more is lost, and counted.
const QUEUED_LINES: usize = 8192;
/// Bytes of a line; the rest of a longer one is cut off.
pub(super) const LINE_BYTES: usize = 32 << 10;

/// The destinations there are.
pub(super) type Sinks = Vec<Sink>;

/// A destination.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) name: &'static str,
    pub(super) counts: Counts,
    /// Has the thread write what waits, when it is dropped.
    _guard: WorkerGuard,
}

/// What became of lines that were not written.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    queue: ErrorCounter,
    failed: Arc<AtomicU64>,
}

impl Counts {
    /// Lines that found the queue full.
    pub(super) fn overflowed(&self) -> u64 {
        u64::try_from(self.queue.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Lines that the destination did not take.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Sink {
    /// Writes to `destination`, behind a queue, what is written to the answer.
    pub(super) fn add(
        sinks: &mut Sinks,
        name: &'static str,
        destination: impl Write + Send + 'static,
    ) -> NonBlocking {
        let failed = Arc::<AtomicU64>::default();
        let counted = Counted { destination, failed: Arc::clone(&failed) };
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUED_LINES)
            .lossy(true)
            .thread_name(&format!("log-{name}"))
            .finish(counted);
        sinks.push(Self { name, counts: Counts { queue: writer.error_counter(), failed }, _guard: guard });
        writer
    }
}

/// Counts what its destination does not take: the thread that writes would end by an error.
struct Counted<W> {
    destination: W,
    failed: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let cut = line.get(..LINE_BYTES).unwrap_or(line);
        let whole = if cut.len() < line.len() {
            self.destination.write_all(cut).and_then(|()| self.destination.write_all(b"\n"))
        } else {
            self.destination.write_all(line)
        };
        if whole.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _counted_when_written = self.destination.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Takes a line only when it is told to.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _told = self.0.recv_timeout(Duration::from_secs(10));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_does_not_wait_for_a_destination_that_hangs() {
        let (tell, told) = mpsc::sync_channel(1);
        let mut sinks = Vec::new();
        let mut writer = Sink::add(&mut sinks, "stuck", Stuck(told));
        for _ in 0..QUEUED_LINES + 100 {
            writer.write_all(b"line\n").unwrap();
        }
        // One is in the hands of the thread.
        let lost = sinks[0].counts.overflowed();
        assert!((99..=100).contains(&lost), "{lost}");
        drop(tell);
    }

    #[test]
    fn what_a_destination_refuses_is_counted() {
        let mut sinks = Vec::new();
        let mut writer = Sink::add(&mut sinks, "broken", Broken);
        writer.write_all(b"a\n").unwrap();
        writer.write_all(b"b\n").unwrap();
        let counts = sinks[0].counts.clone();
        sinks.clear();
        assert_eq!((counts.failed(), counts.overflowed()), (2, 0));
    }
}
