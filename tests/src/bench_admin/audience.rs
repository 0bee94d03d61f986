//! The readers: a process of their own, that runs when nobody else does (`chrt --idle`), as what they
//! use of the processors is not the daemon's. They are asked for by [`Audience::gather`], and are [`sit`] there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::now;

/// All of them are in after this long.
const ENTRY: Duration = Duration::from_mins(1);

/// Readers of the stream, in another process.
pub(super) struct Audience {
    process: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Audience {
    /// As many as `count`, once each has got its answer.
    pub(super) fn gather(api: SocketAddr, token: &str, count: usize) -> anyhow::Result<Self> {
        let mut process = Command::new("chrt")
            .args(["--idle", "0"])
            .arg(std::env::current_exe()?)
            .args(["audience", &api.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the readers cannot be started")?;
        let mut asks = process.stdin.take().context("no standard input")?;
        let says = BufReader::new(process.stdout.take().context("no standard output")?);
        writeln!(asks, "{token}")?;
        let mut audience = Self { process, asks, says };
        let said = audience.line()?;
        ensure!(said == "ready", "the readers did not come in: {said}");
        Ok(audience)
    }

    /// Sends them home; says how many events they got, all together.
    pub(super) fn leave(self) -> anyhow::Result<u64> {
        let Self { mut process, asks, mut says } = self;
        drop(asks);
        let mut said = String::new();
        says.read_line(&mut said)?;
        ensure!(process.wait()?.success(), "the readers failed");
        Ok(said.trim().parse()?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut said = String::new();
        self.says.read_line(&mut said)?;
        Ok(said.trim().to_owned())
    }
}

/// Reads the stream `count` times over until standard input ends. Its first line is the token.
#[expect(clippy::print_stdout, reason = "the process that asked for it waits for the lines")]
pub fn sit(api: SocketAddr, count: usize) -> anyhow::Result<()> {
    skyshield::lifecycle::raise_descriptor_limit();
    let mut asked = std::io::stdin().lines();
    let token = asked.next().context("no token")??;
    let request =
        format!("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (events, ready) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for _ in 0..count {
        let (request, events, ready) = (request.clone(), Arc::clone(&events), Arc::clone(&ready));
        runtime.spawn(async move {
            // One that is turned away is missed by who waits for all.
            let _ended = follow(api, &request, &events, &ready).await;
        });
    }
    let began = now();
    while ready.load(Ordering::Relaxed) < count as u64 {
        let came = ready.load(Ordering::Relaxed);
        ensure!(began.elapsed() < ENTRY, "only {came} readers came in");
        thread::sleep(Duration::from_millis(20));
    }
    println!("ready");
    // Nothing more is said there: it ends.
    asked.for_each(drop);
    println!("{}", events.load(Ordering::Relaxed));
    runtime.shutdown_background();
    Ok(())
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
        events.fetch_add(
            memchr::memmem::find_iter(&piece[..read], b"event: ").count() as u64,
            Ordering::Relaxed,
        );
    }
}
