//! A thousand readers of the stream and a hundred writes a second, and what they do to a verdict's time: rounds with and
//! without readers take turns, the writes go on in both.
//!
//! Client, upstream, writer, daemon and readers share the processors. The readers are behind all others
//! (`audience.rs`), so that what is measured is what the daemon does for them; and beside the client's watch there is the
//! daemon's own (`verdicts.rs`), which knows nothing of when the client was woken.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::audience::Audience;
use super::verdicts::Verdicts;
use super::{Places, Size, now};
use crate::daemon::Daemon;

/// Between two writes.
const WRITE_EVERY: Duration = Duration::from_millis(10);

pub(super) fn run(daemon: &Daemon, places: &Places, size: Size, say: &dyn Fn(&str)) -> anyhow::Result<Value> {
    let token = daemon.ask("POST", "/api/v1/tokens", "{\"name\":\"bench\"}")?;
    let token: Value = serde_json::from_str(&token)?;
    let token = token["token"].as_str().context("no token")?.to_owned();
    let stop = Arc::<AtomicBool>::default();
    let writes = Arc::<AtomicU64>::default();
    let writer = {
        let (stop, writes, socket) = (Arc::clone(&stop), Arc::clone(&writes), places.socket.clone());
        thread::spawn(move || write(&socket, &stop, &writes))
    };
    let (mut without, mut with) = (Verdicts::default(), Verdicts::default());
    let (mut events, mut written) = (0, 0.0);
    for round in 0..size.rounds {
        without.round(daemon, places, size.round)?;
        let readers = Audience::gather(places.api, &token, size.readers)?;
        let (before, began) = (writes.load(Ordering::Relaxed), now());
        with.round(daemon, places, size.round)?;
        let rate = f64::from(u32::try_from(writes.load(Ordering::Relaxed) - before)?)
            / began.elapsed().as_secs_f64();
        written += rate / f64::from(size.rounds);
        events += readers.leave()?;
        say(&format!("round {}: {rate:.0} writes a second", round + 1));
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let (without, with) = (without.figures(), with.figures());
    say(&format!("verdicts without readers: {without}"));
    say(&format!("verdicts with {} readers: {with}", size.readers));
    say(&format!("the readers got {events} events"));
    Ok(json!({
        "readers": size.readers, "writes_per_sec": written, "events": events, "without": without, "with": with,
    }))
}

/// Bans one address after the other, each for a minute.
fn write(socket: &Path, stop: &AtomicBool, writes: &AtomicU64) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let (mut number, mut answer) = (0_u32, vec![0; 1 << 14]);
    let mut due = now();
    while !stop.load(Ordering::Relaxed) {
        let body =
            format!("{{\"source\":\"10.9.{}.{}\",\"ttl\":\"60s\"}}", (number >> 8) & 255, number & 255);
        write!(
            stream,
            "POST /api/v1/decisions HTTP/1.1\r\nHost: skyshield\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let read = stream.read(&mut answer)?;
        ensure!(answer[..read].starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer[..read]));
        writes.fetch_add(1, Ordering::Relaxed);
        number += 1;
        due += WRITE_EVERY;
        thread::sleep(due.saturating_duration_since(now()));
    }
    Ok(())
}
