//! A vector sent to the real daemon, and what came of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::recorder::{Forwarded, Recorder};
use super::{Expected, Vector};
use crate::http;
use crate::loopback::Loopback;

/// What stands behind every vector: a server that delimits it otherwise does not see this as it is.
pub const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// Longer than the gateway takes for anything here.
const PATIENCE: Duration = Duration::from_secs(15);
const COUNTER: &str = "skyshield_gateway_invalid_requests_total";

/// The daemon between a client of ours and an upstream of ours.
pub struct Run {
    daemon: Loopback,
    recorder: Recorder,
    counted: f64,
}

impl Run {
    /// Starts a daemon that refuses no request for what it says, with the keys `gateway` in `[gateway]`.
    pub fn start(gateway: &str) -> Result<Self> {
        let recorder = Recorder::start()?;
        let text = format!(
            "upstream = \"{}\"\n{gateway}\n[inspect]\nmode = \"observe\"\n[limits]\nenabled = false\n",
            recorder.address
        );
        Ok(Self { daemon: Loopback::start(&text)?, recorder, counted: 0.0 })
    }

    /// Sends `vector` and what stands behind it, holds what comes of it to what is expected, and
    /// returns what was forwarded.
    pub fn hold(&mut self, vector: &Vector) -> Result<Vec<Forwarded>> {
        let mut stream = TcpStream::connect(self.daemon.gateway)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Who is refused early may not get all of it sent.
        let _refused_early = stream.write_all(&[vector.bytes.as_slice(), NEXT].concat());
        let (answers, ends) = match vector.expected {
            Expected::Refused(_) => (1, true),
            Expected::Passed(count) => (count + 1, false),
            Expected::Ended(count) => (count, true),
        };
        let mut input = Input { stream, read: Vec::new() };
        let mut statuses = Vec::new();
        while statuses.len() < answers {
            let head = input.head().with_context(|| format!("after {statuses:?}"))?;
            let status: u16 = head.get(9..12).context("no status")?.parse()?;
            if status == 100 {
                continue;
            }
            let length = http::field(&head, "content-length").context("no length")?.parse()?;
            let body = input.body(length)?;
            if let Expected::Refused(_) = vector.expected {
                let id = http::field(&head, "x-skyshield-incident").context("no incident id")?;
                ensure!(
                    id.len() == 26 && String::from_utf8_lossy(&body).contains(id),
                    "the incident id {id:?}"
                );
            }
            statuses.push(status);
        }
        if ends {
            ensure!(
                input.ends(),
                "after {statuses:?} there is more: {:?}",
                input.read.escape_ascii().to_string()
            );
        }
        self.compare(vector, &statuses)
    }

    fn compare(&mut self, vector: &Vector, statuses: &[u16]) -> Result<Vec<Forwarded>> {
        let (forwarded, odd) = self.recorder.take();
        ensure!(odd.is_empty(), "forwarded so that it can be read otherwise: {odd:?}");
        let counted = self.counted()?;
        let more = counted - std::mem::replace(&mut self.counted, counted);
        let targets: Vec<_> = forwarded.iter().map(|request| request.target.as_str()).collect();
        match vector.expected {
            Expected::Refused(status) => {
                ensure!(statuses == [status], "{statuses:?} instead of {status}");
                ensure!(forwarded.is_empty(), "refused, and forwarded {targets:?}");
                ensure!((more - 1.0).abs() < 0.5, "counted {more} times");
            }
            Expected::Passed(count) | Expected::Ended(count) => {
                ensure!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
                let next = usize::from(matches!(vector.expected, Expected::Passed(_)));
                ensure!(forwarded.len() == count + next, "forwarded {targets:?}");
                ensure!(next == 0 || targets.last() == Some(&"/next"), "forwarded {targets:?}");
                ensure!(more.abs() < 0.5, "counted {more} times");
            }
        }
        Ok(forwarded)
    }

    /// Requests that were turned away so far, over all causes.
    fn counted(&self) -> Result<f64> {
        let page = self.daemon.daemon.get("/api/v1/monitoring/prometheus/")?;
        let lines = page.lines().filter(|line| line.starts_with(COUNTER));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }
}

/// The client's side of a connection.
struct Input {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Input {
    fn more(&mut self) -> Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.read.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn head(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..at + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            ensure!(self.more()? > 0, "the connection ended without an answer");
        }
    }

    fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.read.len() < length {
            ensure!(self.more()? > 0, "the connection ended in an answer");
        }
        Ok(self.read.drain(..length).collect())
    }

    /// Whether nothing more comes but the end; a reset is one.
    fn ends(&mut self) -> bool {
        self.read.is_empty() && self.more().unwrap_or(0) == 0
    }
}
