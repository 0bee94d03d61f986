//! One measurement: wrk against one contender, and what it cost there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::peers::Contender;
use crate::process;

/// What is asked for.
pub(in crate::bench) struct Workload {
    pub(in crate::bench) name: &'static str,
    path: &'static str,
    body: Body,
    connections: u32,
    tls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Json2k,
}

const TEN: &str = "/search?q=winter+shoes&page=2&size=20&sort=price&dir=asc&color=dark+red&brand=acme&min=10&max=250&ref=home";

pub(super) const WORKLOADS: &[Workload] = &[
    Workload { name: "get", ..GET },
    Workload { name: "get10", path: TEN, ..GET },
    Workload { name: "post2k", path: "/orders", body: Body::Json2k, ..GET },
    Workload { name: "body100k", path: "/100k", ..GET },
    Workload { name: "tls_get", tls: true, ..GET },
    Workload { name: "keepalive1000", connections: 1000, ..GET },
];

const GET: Workload = Workload { name: "get", path: "/", body: Body::None, connections: 32, tls: false };

impl Workload {
    /// A small page, over so many connections.
    pub(in crate::bench) const fn get(name: &'static str, connections: u32) -> Self {
        Self { name, connections, ..GET }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Measured {
    pub(in crate::bench) rps: f64,
    pub(in crate::bench) p50_ms: f64,
    p99_ms: f64,
    /// CPU time of a request.
    pub(in crate::bench) cpu_us: f64,
    rss_mb: f64,
}

impl Measured {
    /// The median of each figure.
    pub(in crate::bench) fn median(rounds: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Self {
            rps: of(|one| one.rps)?,
            p50_ms: of(|one| one.p50_ms)?,
            p99_ms: of(|one| one.p99_ms)?,
            cpu_us: of(|one| one.cpu_us)?,
            rss_mb: of(|one| one.rss_mb)?,
        })
    }

    pub(in crate::bench) fn json(&self) -> Value {
        json!({
            "rps": rounded(self.rps),
            "p50_ms": rounded(self.p50_ms),
            "p99_ms": rounded(self.p99_ms),
            "cpu_us": rounded(self.cpu_us),
            "rss_mb": rounded(self.rss_mb),
        })
    }
}

/// To the thousandth.
pub(in crate::bench) fn rounded(figure: f64) -> Value {
    json!((figure * 1000.0).round() / 1000.0)
}

/// What wrk is told beside the target, and to say at the end.
const SCRIPT: &str = "done = function(s, l, r)\n\
    io.write(string.format('MEASURED %d %d %d %d %d\\n', s.requests, s.duration, l:percentile(50), l:percentile(99),\n\
    s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout))\nend\n";

/// Waits until a contender serves: what accepts may still be starting what it asks.
pub(in crate::bench) fn awaited(contender: &Contender) -> Result<()> {
    for _ in 0..200 {
        if serves(contender.port).unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("{} has not served a page for 10 seconds", contender.name)
}

fn serves(port: u16) -> Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}

pub(in crate::bench) fn measure(
    dir: &Path,
    contender: &Contender,
    workload: &Workload,
    seconds: u32,
) -> Result<Measured> {
    let script = dir.join("load.lua");
    let mut lines = SCRIPT.to_owned();
    if workload.body == Body::Json2k {
        lines.push_str("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n");
        lines = format!("{lines}wrk.body = [[{}]]\n", json_of_2k());
    }
    fs::write(&script, lines)?;
    let (scheme, port) = if workload.tls { ("https", contender.tls_port) } else { ("http", contender.port) };
    let url = format!("{scheme}://127.0.0.1:{port}{}", workload.path);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", &workload.connections.to_string(), "-d", &format!("{seconds}s")]);
    wrk.args(["--timeout", "10s", "-s"]).arg(&script).arg(url);
    let before = cpu_ticks(contender)?;
    let said = process::quiet(&mut wrk)?;
    let ticks = cpu_ticks(contender)? - before;
    let line = said.lines().find_map(|line| line.strip_prefix("MEASURED ")).context("wrk said nothing")?;
    let figures: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, micros, p50, p99, errors] = figures[..] else { anyhow::bail!("wrk said `{line}`") };
    ensure!(errors == 0.0 && requests > 0.0, "{}: {errors} errors in {requests} requests", contender.name);
    // Linux counts CPU time in hundredths of a second.
    let cpu_us = ticks * 10_000.0 / requests;
    let rss_mb = memory_kib(contender)? / 1024.0;
    Ok(Measured { rps: requests * 1e6 / micros, p50_ms: p50 / 1e3, p99_ms: p99 / 1e3, cpu_us, rss_mb })
}

/// An order of about two kilobytes, as a shop's page would send it.
fn json_of_2k() -> String {
    let item =
        r#"{"id":4711,"name":"Winter shoes, dark red","qty":2,"price":"129.90","note":"please wrap it"}"#;
    format!(r#"{{"customer":"anna@example.org","items":[{}]}}"#, vec![item; 20].join(","))
}

/// CPU time of all of a contender's processes so far, in ticks.
fn cpu_ticks(contender: &Contender) -> Result<f64> {
    let mut ticks = 0.0;
    for pid in contender.processes() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
        // Fields 14 and 15, the third being the first after the name.
        for field in after_name.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks)
}

fn memory_kib(contender: &Contender) -> Result<f64> {
    let mut kib = 0.0;
    for pid in contender.processes() {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        kib += line.split_whitespace().next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_taken_of_each_figure() {
        let round =
            |figure: f64| Measured { rps: figure, p50_ms: -figure, p99_ms: 0.0, cpu_us: 1.0, rss_mb: 1.0 };
        let median = Measured::median(&[round(3.0), round(1.0), round(2.0)]).unwrap();
        assert_eq!((median.rps, median.p50_ms), (2.0, -2.0));
        assert!(Measured::median(&[]).is_none());
        assert!((1900..2200).contains(&json_of_2k().len()));
    }
}
