//! Slow clients of every kind at once, and honest ones among them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skyshield::clock;
use tests::loopback::Loopback;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::count;

/// How slow clients are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ConnectOnly,
    PartialHead,
    DrippedHead,
    SlowBody,
    SlowRead,
}

const KINDS: [Kind; 4] = [Kind::ConnectOnly, Kind::PartialHead, Kind::DrippedHead, Kind::SlowBody];
/// Larger than what the sockets on the way hold.
const BIG: usize = 8 << 20;
/// How long slow ones are watched, unless they are ended before.
const WATCHED: Duration = Duration::from_secs(15);
/// Slow ones of one address: fewer than a source may have connections.
const OF_ONE_ADDRESS: usize = 100;

pub(crate) fn hold_nobody_up() -> Result<()> {
    skyshield::lifecycle::raise_descriptor_limit();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let upstream = listener.local_addr()?;
        tokio::spawn(serve(listener));
        let text = format!("upstream = \"{upstream}\"\n[limits.classes.default]\nrequests = 0\n");
        let loopback = tokio::task::spawn_blocking(move || Loopback::start(&text)).await??;
        attack(loopback.gateway, count(300, 5000)).await
    })
}

async fn attack(gateway: SocketAddr, slow: usize) -> Result<()> {
    let mut attackers = JoinSet::new();
    for number in 0..slow {
        // Each that reads slowly fills what the sockets hold: there are fewer of them.
        let kind = if number % 20 == 0 { Kind::SlowRead } else { KINDS[number % KINDS.len()] };
        let address = u8::try_from(number / OF_ONE_ADDRESS)?;
        // Thousands at the same moment would measure the kernel's queue of handshakes.
        let comes_after = Duration::from_micros(500) * u32::try_from(number)?;
        attackers.spawn(async move {
            sleep(comes_after).await;
            (kind, be_slow(kind, Ipv4Addr::new(127, 8, 0, address + 1), gateway).await)
        });
    }
    let mut honest = JoinSet::new();
    for number in 1..=8 {
        honest.spawn(browse(Ipv4Addr::new(127, 7, 0, number), gateway));
    }
    let mut ends: BTreeMap<Kind, Vec<Option<f64>>> = BTreeMap::new();
    while let Some(ended) = attackers.join_next().await {
        let (kind, end) = ended?;
        ends.entry(kind).or_default().push(end.with_context(|| format!("{kind:?}"))?);
    }
    let (mut good, mut bad) = (0, Vec::new());
    while let Some(ended) = honest.join_next().await {
        let (answered, failed) = ended?;
        good += answered;
        bad.extend(failed);
    }
    for (kind, seconds) in &ends {
        let all: Vec<f64> = seconds.iter().filter_map(|end| *end).collect();
        let (least, most) =
            all.iter().fold((f64::MAX, 0.0_f64), |(least, most), &end| (least.min(end), most.max(end)));
        let when = if all.is_empty() {
            format!("none within {} s", WATCHED.as_secs())
        } else {
            format!("from {least:.2} s to {most:.2} s")
        };
        eprintln!("{kind:?}: {} of {} ended, {when}", all.len(), seconds.len());
        let expected = match kind {
            Kind::ConnectOnly => 4.9..6.5,
            Kind::PartialHead | Kind::DrippedHead => 9.9..12.5,
            // They get longer than they are watched.
            Kind::SlowBody | Kind::SlowRead => continue,
        };
        ensure!(all.len() == seconds.len(), "{kind:?}: {} are still open", seconds.len() - all.len());
        ensure!(expected.contains(&least) && expected.contains(&most), "{kind:?}: not within {expected:?}");
    }
    eprintln!("{slow} slow clients: {good} honest requests answered, {} failed", bad.len());
    ensure!(good > 100, "only {good} honest requests in {WATCHED:?}");
    ensure!(
        bad.len() * 1000 <= good,
        "{} of {} honest requests failed: {:?}",
        bad.len(),
        good + bad.len(),
        bad.first()
    );
    Ok(())
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(to).await?)
}

/// After how many seconds it was ended; nothing where it was not.
async fn be_slow(kind: Kind, from: Ipv4Addr, to: SocketAddr) -> Result<Option<f64>> {
    let started = clock::now();
    let mut stream = connect(from, to).await?;
    let (start, drip): (&[u8], &[u8]) = match kind {
        Kind::ConnectOnly => (b"", b""),
        Kind::PartialHead => (b"GET / HTTP/1.1\r\nHost: a\r\n", b""),
        Kind::DrippedHead => (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
        Kind::SlowBody => (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
        Kind::SlowRead => (b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    };
    stream.write_all(start).await?;
    let (mut reading, mut writing) = stream.split();
    let ended = async {
        if kind == Kind::SlowRead {
            // A little now and then, so that it is never quite still.
            let mut little = [0; 512];
            while reading.read(&mut little).await.is_ok_and(|count| count > 0) {
                sleep(Duration::from_secs(1)).await;
            }
        } else {
            let mut answer = [0; 4096];
            while reading.read(&mut answer).await.is_ok_and(|count| count > 0) {}
        }
    };
    let dripping = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if !drip.is_empty() && writing.write_all(drip).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let outcome = timeout(WATCHED, async {
        tokio::select! {
            () = ended => {}
            () = dripping => {}
        }
    });
    Ok(outcome.await.is_ok().then(|| started.elapsed().as_secs_f64()))
}

/// One request after the other on connections of their own: how many were answered, and what failed.
async fn browse(from: Ipv4Addr, to: SocketAddr) -> (usize, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    let until = clock::now() + WATCHED;
    while clock::now() < until {
        let asked = timeout(Duration::from_secs(5), async {
            let mut stream = connect(from, to).await?;
            stream.write_all(b"GET /products HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(answer)
        });
        match asked.await {
            Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"ok") => answered += 1,
            Ok(Ok(answer)) => failed.push(String::from_utf8_lossy(&answer).into_owned()),
            Ok(Err(error)) => failed.push(format!("{error:#}")),
            Err(late) => failed.push(late.to_string()),
        }
    }
    (answered, failed)
}

/// The upstream: a large answer for `/big`, a small one for everything else.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut read = Vec::new();
            loop {
                while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                        return;
                    }
                }
                let is_big = read.starts_with(b"GET /big");
                read.clear();
                let length = if is_big { BIG } else { 2 };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let piece = [b'x'; 16 * 1024];
                let mut sent = stream.write_all(head.as_bytes()).await;
                if is_big {
                    for _ in 0..BIG / piece.len() {
                        if sent.is_err() {
                            return;
                        }
                        sent = stream.write_all(&piece).await;
                    }
                } else if sent.is_ok() {
                    sent = stream.write_all(b"ok").await;
                }
                if sent.is_err() {
                    return;
                }
            }
        });
    }
}
