//! How long honest requests take, by two watches: the client's, and the daemon's own, which is what its metrics and
//! the kernel say of its workers.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Places, milliseconds, now};
use crate::daemon::Daemon;
use crate::figures::quantile;
use crate::http::{connect_from, exchange, get};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(5);
/// What the threads are called that take requests in and judge them.
const WORKERS: &str = "skyshield";
/// From a request's last byte to its answer's last byte.
const TOOK: &str = "skyshield_request_duration_seconds";
/// The part of it that is the upstream's.
const UPSTREAM: &str = "skyshield_upstream_duration_seconds";
/// Seconds beyond which the daemon's histogram tells how many.
const BEYOND: [&str; 3] = ["0.0005", "0.001", "0.0025"];

/// What was measured in a number of rounds.
#[derive(Default)]
pub(super) struct Verdicts {
    took: Vec<Duration>,
    own: Own,
}

/// What the daemon itself has counted, since it started or since another moment.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    requests: f64,
    /// Their time, in seconds, without the upstream's.
    secs: f64,
    /// How many took no longer than each of [`BEYOND`].
    within: [f64; 3],
    /// How long its workers waited for a processor, in seconds.
    waited: f64,
}

impl Verdicts {
    /// Asks, one request after the other on one connection, for as long as `lasting`.
    pub(super) fn round(
        &mut self,
        daemon: &Daemon,
        places: &Places,
        lasting: Duration,
    ) -> anyhow::Result<()> {
        let before = Own::now(daemon, places)?;
        let mut stream = connect_from(Ipv4Addr::LOCALHOST.into(), places.gateway, Duration::from_secs(10))?;
        let began = now();
        while began.elapsed() < lasting {
            let asked = now();
            let answer = exchange(&mut stream, &get("shop.example", "/"))?;
            self.took.push(asked.elapsed());
            ensure!(answer.status == 200, "{}", answer.head);
            thread::sleep(EVERY);
        }
        self.own = self.own.plus(Own::now(daemon, places)?.plus(before.times(-1.0)));
        Ok(())
    }

    /// What it comes to.
    pub(super) fn figures(mut self) -> Value {
        let Own { requests, secs, within, waited } = self.own;
        let each = |secs: f64| (secs / requests * 1e7).round() / 10.0;
        let share = |within: f64| ((1.0 - within / requests) * 1e5).round() / 1e5;
        json!({
            "requests": self.took.len(),
            "client": {
                "p50_ms": milliseconds(quantile(&mut self.took, 0.5)),
                "p99_ms": milliseconds(quantile(&mut self.took, 0.99)),
                "worst_ms": milliseconds(quantile(&mut self.took, 1.0)),
            },
            "daemon": {
                "own_mean_us": each(secs),
                "waited_for_a_processor_us": each(waited),
                "beyond_0.5_ms": share(within[0]),
                "beyond_1_ms": share(within[1]),
                "beyond_2.5_ms": share(within[2]),
            },
        })
    }
}

impl Own {
    fn now(daemon: &Daemon, places: &Places) -> anyhow::Result<Self> {
        let mut stream = connect_from(Ipv4Addr::LOCALHOST.into(), places.metrics, Duration::from_secs(10))?;
        let page = exchange(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let page = String::from_utf8(page.body)?;
        let sum = |series: &str, label: &str| {
            let lines = page.lines().filter(|line| line.starts_with(series) && line.contains(label));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>()
        };
        let took = |part: &str| sum(&format!("{TOOK}_{part}"), "");
        Ok(Self {
            requests: took("count"),
            secs: took("sum") - sum(&format!("{UPSTREAM}_sum"), ""),
            within: BEYOND.map(|bound| sum(&format!("{TOOK}_bucket"), &format!("le=\"{bound}\""))),
            waited: waited(daemon.pid())?,
        })
    }

    fn plus(self, other: Self) -> Self {
        let Self { requests, secs, mut within, waited } = self;
        for (mine, its) in within.iter_mut().zip(other.within) {
            *mine += its;
        }
        Self {
            requests: requests + other.requests,
            secs: secs + other.secs,
            within,
            waited: waited + other.waited,
        }
    }

    fn times(self, factor: f64) -> Self {
        let Self { requests, secs, within, waited } = self;
        Self {
            requests: requests * factor,
            secs: secs * factor,
            within: within.map(|count| count * factor),
            waited: waited * factor,
        }
    }
}

/// How long the workers of `pid` were ready to run and did not, in seconds.
fn waited(pid: u32) -> anyhow::Result<f64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == WORKERS) {
            let told = fs::read_to_string(thread.join("schedstat"))?;
            nanos += told.split(' ').nth(1).context("no schedstat")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}
