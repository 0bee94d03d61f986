//! Large bodies and live ones, with memory that stays flat.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skyshield::gateway::BodyOverLimit;
use tokio::io::AsyncReadExt;

use super::bench::{Bench, Upstream};

const MIB: usize = 1024 * 1024;
const LARGE: usize = 256 * MIB;
/// Less than a quarter of it, and more than the tests beside this one hold.
const FLAT_MIB: usize = 48;

#[tokio::test]
async fn events_flow_as_they_happen() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.request().await?;
        client.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await?;
        for event in 1..=5 {
            client.send(format!("data: {event}\n\n").as_bytes()).await?;
            // The next is sent only when the client says, by the test's own pace, that it has this one.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    })
    .await?;
    let bench = Bench::start(upstream.address)?;
    let mut client = bench.client().await?;
    client.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    client.until("\r\n\r\n").await?;
    for event in 1..=5 {
        client.until(&format!("data: {event}\n\n\r\n")).await?;
        let ahead = String::from_utf8_lossy(client.pending()).into_owned();
        ensure!(!ahead.contains("data: "), "event {event} came together with {ahead:?}");
    }
    client.until("0\r\n\r\n").await?;
    Ok(())
}

/// What the process holds in memory, in MiB.
fn resident_mib() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<usize>()? / 1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_flow_both_ways_at_once_with_memory_flat() -> Result<()> {
    // Sends back what it reads, while it reads it.
    let upstream = Upstream::doing(|mut client| async move {
        client.until("\r\n\r\n").await?;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await?;
        let ahead = client.pending().to_vec();
        client.send(&ahead).await?;
        let mut piece = vec![0; MIB / 4];
        let mut left = LARGE - ahead.len();
        while left > 0 {
            let count = client.stream.read(&mut piece).await?;
            ensure!(count > 0, "cut");
            client.send(&piece[..count]).await?;
            left -= count;
        }
        Ok(())
    })
    .await?;
    let bench = Bench::with(upstream.address, |config| config.body_over_limit = BodyOverLimit::PassAndCount)?;
    let before = resident_mib()?;
    let client = bench.client().await?;
    let (mut from, mut to) = client.stream.into_split();
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {LARGE}\r\n\r\n"
        );
        to.write_all(head.as_bytes()).await?;
        let piece: Vec<u8> = (0..=255).cycle().take(MIB).collect();
        for _ in 0..LARGE / MIB {
            to.write_all(&piece).await?;
        }
        anyhow::Ok(to)
    });
    let (mut got, mut head, mut piece, mut most) = (0, Vec::new(), vec![0; MIB], 0);
    while got < LARGE {
        let count = from.read(&mut piece).await?;
        ensure!(count > 0, "cut after {got} bytes");
        most = most.max(resident_mib()?);
        let mut bytes = &piece[..count];
        if got == 0 && !head.ends_with(b"\r\n\r\n") {
            while !head.ends_with(b"\r\n\r\n")
                && let Some((&byte, rest)) = bytes.split_first()
            {
                head.push(byte);
                bytes = rest;
            }
        }
        ensure!(
            bytes.iter().enumerate().all(|(at, &byte)| usize::from(byte) == (got + at) % 256),
            "the bytes are others after {got}"
        );
        got += bytes.len();
    }
    sending.await??;
    ensure!(most <= before + FLAT_MIB, "memory grew from {before} to {most} MiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_chunked_upload_arrives_whole() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.until("\r\n\r\n").await?;
        let mut body = 0;
        loop {
            let line = client.until("\r\n").await?;
            let size = usize::from_str_radix(line.trim(), 16)?;
            let bytes = client.exactly(size).await?;
            ensure!(bytes.iter().all(|&byte| byte == b'z') && client.exactly(2).await? == b"\r\n");
            body += size;
            if size == 0 {
                break;
            }
        }
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{body:08}").as_bytes()).await
    })
    .await?;
    let bench = Bench::with(upstream.address, |config| config.body_over_limit = BodyOverLimit::PassAndCount)?;
    let mut client = bench.client().await?;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    for size in (0..200).map(|step| 1 + step * 97) {
        client.send(format!("{size:X};ext\r\n{}\r\n", "z".repeat(size)).as_bytes()).await?;
    }
    client.send(b"0\r\nTrailer: dropped\r\n\r\n").await?;
    let total: usize = (0..200).map(|step| 1 + step * 97).sum();
    assert_eq!(client.answer(false).await?.text(), format!("{total:08}"));
    Ok(())
}

#[tokio::test]
async fn an_answer_given_before_the_body_is_read_reaches_the_client() -> Result<()> {
    let upstream = Upstream::doing(|mut client| async move {
        client.until("\r\n\r\n").await?;
        client.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    })
    .await?;
    let bench = Bench::with(upstream.address, |config| config.body_over_limit = BodyOverLimit::PassAndCount)?;
    let mut client = bench.client().await?;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await?;
    client.send(&vec![b'a'; 2 * MIB]).await?;
    let answer = client.answer(false).await?;
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    Ok(())
}
