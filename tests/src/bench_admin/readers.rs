//! A thousand readers of the stream and a hundred writes a second, and what they do to a verdict's time: rounds with and
//! without readers take turns, the writes go on in both.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Places, Size, milliseconds, now};
use crate::daemon::Daemon;
use crate::http::{connect_from, exchange, get};

/// Between two requests of the client whose verdicts are timed.
const EVERY: Duration = Duration::from_millis(5);
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
    let (mut without, mut with, mut events, mut written) = (Vec::new(), Vec::new(), 0, 0.0);
    for round in 0..size.rounds {
        without.extend(verdicts(places.gateway, size.round)?);
        let readers = Readers::open(places.api, &token, size.readers)?;
        let (before, began) = (writes.load(Ordering::Relaxed), now());
        with.extend(verdicts(places.gateway, size.round)?);
        let rate = f64::from(u32::try_from(writes.load(Ordering::Relaxed) - before)?)
            / began.elapsed().as_secs_f64();
        written += rate / f64::from(size.rounds);
        events += readers.close();
        say(&format!("round {}: {rate:.0} writes a second", round + 1));
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let (without, with) = (Spread::of(without), Spread::of(with));
    say(&format!("verdicts without readers: {without}"));
    say(&format!("verdicts with {} readers: {with}; they got {events} events", size.readers));
    Ok(json!({
        "readers": size.readers, "writes_per_sec": written, "events": events,
        "without": without.json(), "with": with.json(),
        "p50_ratio": with.p50.as_secs_f64() / without.p50.as_secs_f64(),
        "p99_ratio": with.p99.as_secs_f64() / without.p99.as_secs_f64(),
    }))
}

/// Bans one address after the other, each for a second.
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

/// How long honest requests take, one after the other on one connection.
fn verdicts(gateway: SocketAddr, lasting: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut stream = connect_from(Ipv4Addr::LOCALHOST.into(), gateway, Duration::from_secs(10))?;
    let (mut took, began) = (Vec::new(), now());
    while began.elapsed() < lasting {
        let asked = now();
        let answer = exchange(&mut stream, &get("shop.example", "/"))?;
        took.push(asked.elapsed());
        ensure!(answer.status == 200, "{}", answer.head);
        thread::sleep(EVERY);
    }
    Ok(took)
}

/// Readers of the stream, on a thread of their own.
struct Readers {
    stop: tokio_util::sync::CancellationToken,
    thread: thread::JoinHandle<()>,
    events: Arc<AtomicU64>,
}

impl Readers {
    fn open(api: SocketAddr, token: &str, count: usize) -> anyhow::Result<Self> {
        let (stop, events, ready) = (
            tokio_util::sync::CancellationToken::new(),
            Arc::<AtomicU64>::default(),
            Arc::<AtomicU64>::default(),
        );
        let request = format!(
            "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::spawn({
            let (stop, events, ready) = (stop.clone(), Arc::clone(&events), Arc::clone(&ready));
            move || {
                runtime.block_on(async {
                    for _ in 0..count {
                        let (request, events, ready) =
                            (request.clone(), Arc::clone(&events), Arc::clone(&ready));
                        tokio::spawn(async move {
                            // One that is turned away is missed by who waits for all.
                            let _ended = follow(api, &request, &events, &ready).await;
                        });
                    }
                    stop.cancelled().await;
                });
            }
        });
        let began = now();
        while ready.load(Ordering::Relaxed) < count as u64 {
            ensure!(
                began.elapsed() < Duration::from_mins(1),
                "only {} readers came in",
                ready.load(Ordering::Relaxed)
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { stop, thread, events })
    }

    fn close(self) -> u64 {
        self.stop.cancel();
        let _ended = self.thread.join();
        self.events.load(Ordering::Relaxed)
    }
}

async fn follow(
    api: SocketAddr,
    request: &str,
    events: &AtomicU64,
    ready: &AtomicU64,
) -> std::io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(api).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut piece = vec![0; 1 << 14];
    let mut is_first = true;
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        if is_first && piece.starts_with(b"HTTP/1.1 200") {
            ready.fetch_add(1, Ordering::Relaxed);
        }
        is_first = false;
        let came = piece[..read].windows(7).filter(|window| window == b"event: ").count();
        events.fetch_add(came as u64, Ordering::Relaxed);
    }
}

/// How a time is spread.
struct Spread {
    count: usize,
    p50: Duration,
    p99: Duration,
    worst: Duration,
}

impl Spread {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at =
            |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied();
        let (p50, p99, worst) = (at(50), at(99), took.last().copied());
        Self {
            count: took.len(),
            p50: p50.unwrap_or_default(),
            p99: p99.unwrap_or_default(),
            worst: worst.unwrap_or_default(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "requests": self.count, "p50_ms": milliseconds(self.p50), "p99_ms": milliseconds(self.p99),
            "worst_ms": milliseconds(self.worst),
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, p50, p99, worst } = self;
        let [p50, p99, worst] = [p50, p99, worst].map(|time| milliseconds(*time));
        write!(out, "p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms of {count}")
    }
}
