//! Large bodies both ways at a time, through the real daemon, with its memory flat.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::http::connect_from;
use tests::loopback::Loopback;

use crate::bodies::keeping;

const MIB: usize = 1024 * 1024;
/// How large the bodies are, in MiB: `SKYSHIELD_STREAM_MIB`, or enough to be told from the growth.
fn size() -> anyhow::Result<usize> {
    let asked = std::env::var("SKYSHIELD_STREAM_MIB").ok().map(|mib| mib.parse::<usize>()).transpose()?;
    Ok(asked.unwrap_or(192) * MIB)
}

/// Growth that is allowed, in MiB.
const FLAT_MIB: usize = 64;

/// The most a process has held in memory so far, in MiB.
fn most_resident_mib(pid: u32) -> anyhow::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<usize>()? / 1024)
}

/// What stands at `at` of the bodies.
fn byte(at: usize) -> u8 {
    u8::try_from(at / 7 % 251).unwrap_or_default()
}

fn piece(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(byte).collect()
}

fn upload(mut stream: TcpStream, size: usize) -> anyhow::Result<()> {
    let head = format!(
        "PUT /up HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    for at in (0..size).step_by(MIB) {
        stream.write_all(&piece(at, MIB.min(size - at)))?;
    }
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer)?;
    ensure!(answer[..count].starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&answer[..count]));
    Ok(())
}

fn download(mut stream: TcpStream, size: usize) -> anyhow::Result<()> {
    stream.write_all(b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let (mut read, mut head, mut got) = (vec![0; MIB], Vec::new(), 0);
    loop {
        let count = stream.read(&mut read)?;
        if count == 0 {
            break;
        }
        let mut bytes = &read[..count];
        if !head.ends_with(b"\r\n\r\n") {
            let end = bytes.iter().enumerate().find(|&(_, &byte)| {
                head.push(byte);
                head.ends_with(b"\r\n\r\n")
            });
            bytes = end.map_or(&[], |(at, _)| &bytes[at + 1..]);
        }
        ensure!(
            bytes.iter().enumerate().all(|(step, &found)| found == byte(got + step)),
            "others after {got}"
        );
        got += bytes.len();
    }
    ensure!(got == size, "{got} of {size} bytes came");
    Ok(())
}

pub(crate) fn both_ways() -> anyhow::Result<()> {
    let size = size()?;
    let nginx = keeping()?;
    let mut file = fs::File::create(nginx.dir().join("down"))?;
    for at in (0..size).step_by(MIB) {
        file.write_all(&piece(at, MIB.min(size - at)))?;
    }
    drop(file);
    let guard = Loopback::start(&format!(
        "upstream = \"{}\"\nbody_over_limit = \"pass-and-count\"\n",
        nginx.address
    ))?;
    ensure!(guard.get("a", "/none")?.status == 404);
    let before = most_resident_mib(guard.daemon.pid())?;
    let connect = || connect_from(Ipv4Addr::LOCALHOST.into(), guard.gateway, Duration::from_mins(2));
    let (up, down) = (connect()?, connect()?);
    let sending = thread::spawn(move || upload(up, size));
    download(down, size)?;
    sending.join().map_err(|_| anyhow::anyhow!("the upload panicked"))??;
    let after = most_resident_mib(guard.daemon.pid())?;
    writeln!(
        std::io::stderr(),
        "{} MiB each way: the most held went from {before} to {after} MiB",
        size / MIB
    )?;
    ensure!(after < before + FLAT_MIB, "memory grew from {before} to {after} MiB");
    let mut stored = fs::File::open(nginx.dir().join("up"))?;
    let (mut read, mut got) = (vec![0; MIB], 0);
    loop {
        let count = stored.read(&mut read)?;
        if count == 0 {
            break;
        }
        ensure!(
            read[..count].iter().enumerate().all(|(step, &found)| found == byte(got + step)),
            "others after {got}"
        );
        got += count;
    }
    ensure!(got == size, "{got} of {size} bytes arrived");
    Ok(())
}
