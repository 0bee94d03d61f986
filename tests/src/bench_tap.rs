//! What the tap hears of a busy server, and what that costs: nginx and wrk in namespaces of their own.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use skyshield::dataplane::{Config, Kernel, Tapped};

use crate::bpffs::Bpffs;
use crate::daemon::Daemon;
use crate::loopback::until;
use crate::netns::{End, Netns, Veth};
use crate::nginx::{self, Nginx};
use crate::world::{HOST, HOST_V4, World, attacker};
use crate::{http, packet, traffic};

const PORT: u16 = 8080;

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rounds with the tap and without it, in turn.
    pub rounds: usize,
    /// Seconds of one of them.
    pub seconds: u64,
    /// Connections at a time.
    pub connections: u32,
}

/// Measures; the figures are medians of the rounds.
pub fn run(size: Size, say: &dyn Fn(&str)) -> anyhow::Result<Value> {
    let packets = cost_of_packets()?;
    say(&format!("a packet, in ns: {packets}"));
    let world = World::new("")?;
    let nginx = world.host.run(|| Nginx::at((HOST_V4, PORT).into(), &nginx::saying("shop")))?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 1..=size.rounds {
        without.push(self::round(&world, size, false)?);
        with.push(self::round(&world, size, true)?);
        say(&format!("round {round}: {:?} without, {:?} with the tap", without.last(), with.last()));
    }
    let wire_to_ban = json!({
        "five_ms_apart": bans(&world, 1, Duration::from_millis(5))?,
        "back_to_back": bans(&world, 501, Duration::ZERO)?,
    });
    drop(nginx);
    let requests: f64 = with.iter().map(|round| round.requests).sum();
    let heard: f64 = with.iter().map(|round| round.heard).sum();
    let micros = median(with.iter().map(|round| round.cpu_secs * 1e6 / round.requests));
    let rate = |rounds: &[Round]| median(rounds.iter().map(|round| round.requests / round.secs));
    Ok(json!({
        "requests_per_sec_without": rate(&without).round(),
        "requests_per_sec_with": rate(&with).round(),
        "ratio": rate(&with) / rate(&without),
        "heard_share": heard / requests,
        "lost_bytes": with.iter().map(|round| round.lost).sum::<f64>(),
        "daemon_cpu_micros_per_request": micros,
        "core_share_at_20000_per_sec": micros * 20_000.0 / 1e6,
        "wire_to_ban_ms": wire_to_ban,
        "packet_ns": packets,
    }))
}

/// From the last byte of an attack on the wire to the ban in the kernel, of many attackers: each `apart` from the last
/// one's end. They are those from number `first` on.
fn bans(world: &World, first: u16, apart: Duration) -> anyhow::Result<Value> {
    const ATTACKERS: u16 = 300;
    world.configure("", &format!("[tap]\nports = [{PORT}]\n"))?;
    let daemon = world.start_daemon()?;
    let attacks = traffic::attacks(HOST);
    let all: Vec<IpAddr> = (first..first + ATTACKERS).map(|n| attacker(n * 4 + 1)).collect();
    let before = daemon.decisions()?.len();
    world.clients.run(|| {
        for (from, attack) in all.iter().zip(attacks.iter().cycle()) {
            http::ask(*from, (HOST_V4, PORT).into(), &attack.request, Duration::from_secs(5))?;
            std::thread::sleep(apart);
        }
        Ok(())
    })?;
    until("everybody is banned", || Ok(daemon.decisions()?.len() >= before + all.len()))?;
    let mut decisions = daemon.decisions()?;
    let mine = |decision: &Value| {
        let source = decision["source"].as_str().and_then(|source| source.parse().ok());
        source.is_some_and(|source: IpAddr| all.contains(&source))
    };
    decisions.retain(mine);
    let mut lags: Vec<f64> =
        decisions.iter().filter_map(|decision| decision["enforced_after_ms"].as_f64()).collect();
    daemon.stop()?;
    ensure!(lags.len() == all.len(), "{} of {} attackers were banned", lags.len(), all.len());
    lags.sort_by(f64::total_cmp);
    let at = |share: usize| lags.get(lags.len() * share / 100).copied();
    Ok(json!({ "attackers": lags.len(), "p50": at(50), "p99": at(99), "most": lags.last() }))
}

#[derive(Clone, Copy, Debug)]
struct Round {
    requests: f64,
    secs: f64,
    heard: f64,
    lost: f64,
    cpu_secs: f64,
}

fn round(world: &World, size: Size, tapped: bool) -> anyhow::Result<Round> {
    let section = if tapped { format!("[tap]\nports = [{PORT}]\n") } else { String::new() };
    world.configure("", &section)?;
    let config = fs::read_to_string(world.config())?;
    // One client alone makes all the packets.
    fs::write(world.config(), config.replace("[dataplane]\n", "[dataplane]\nrate_packets_per_sec = 0\n"))?;
    let daemon = world.start_daemon()?;
    let (cpu, started) = (cpu_secs(daemon.pid())?, now());
    let output = world
        .clients
        .command("wrk")
        .args(["-t", "1", "-c", &size.connections.to_string(), "-d", &format!("{}s", size.seconds)])
        .arg(format!("http://{HOST_V4}:{PORT}/products/42?ref=newsletter&utm_source=mail"))
        .output()
        .context("wrk (apt-get install wrk)")?;
    let secs = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let requests: f64 = requests.with_context(|| format!("wrk said {text}"))?;
    std::thread::sleep(Duration::from_millis(300));
    let cpu_secs = cpu_secs(daemon.pid())? - cpu;
    let (mut heard, mut lost) = (0.0, 0.0);
    if tapped {
        heard = metric(&daemon, "skyshield_tap_requests_total{heard=\"whole\"}")?;
        for fate in ["lost", "sampled_out", "over_flow"] {
            lost += metric(&daemon, &format!("skyshield_tap_bytes_total{{fate=\"{fate}\"}}"))?;
        }
    }
    daemon.stop()?;
    Ok(Round { requests, secs, heard, lost, cpu_secs })
}

fn metric(daemon: &Daemon, name: &str) -> anyhow::Result<f64> {
    let page = daemon.get("/api/v1/monitoring/prometheus/")?;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("no {name}"))?.parse().context("not a number")
}

/// User and system time of a process, all its threads together.
fn cpu_secs(pid: u32) -> anyhow::Result<f64> {
    const TICKS_PER_SEC: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().context("no fields")?.split(' ').collect();
    let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("too few")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SEC)
}

/// What one packet costs in the program: without the tap, to another port, and to a tapped one.
fn cost_of_packets() -> anyhow::Result<Value> {
    const TIMES: u32 = 400_000;
    let (host, peer, bpffs) = (Netns::new("tapped")?, Netns::new("peer")?, Bpffs::new()?);
    Veth::join(
        End { netns: &host, interface: "sky-tapped", addresses: &["10.68.0.1/24"] },
        End { netns: &peer, interface: "sky-peer", addresses: &["10.68.0.2/24"] },
    )?;
    let segment = |port: u16, carried: usize| {
        let mut tcp = packet::tcp_head(5, 0x18);
        tcp[2..4].copy_from_slice(&port.to_be_bytes());
        tcp.extend(vec![b'a'; carried]);
        packet::ip("10.68.0.2".parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()), packet::TCP, &tcp)
    };
    let mut figures = serde_json::Map::new();
    for (name, tapped, port, carried) in [
        ("without_the_tap", false, PORT, 400),
        ("to_another_port", true, 22, 400),
        ("an_acknowledgement", true, PORT, 0),
        ("of_no_connection", true, PORT, 400),
    ] {
        let tapped = tapped.then(|| Tapped {
            ports: vec![PORT],
            ring_bytes: 1 << 20,
            flow_bytes: 1 << 20,
            flows: 1 << 16,
        });
        let config = Config {
            interface: Some("sky-tapped".to_owned()),
            pin_dir: bpffs.pin_dir().join(name),
            rate_packets_per_sec: 0,
            tapped,
            ..Config::default()
        };
        let nanos = host.run(|| {
            let kernel = Kernel::open(&config)?;
            let mut rounds = Vec::new();
            for _ in 0..7 {
                let started = now();
                kernel.attachment.judge_often(&segment(port, carried), TIMES)?;
                rounds.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
            }
            Ok(median(rounds.into_iter()))
        })?;
        host.run(|| {
            let pinned = skyshield::dataplane::Pinned::open(&config.pin_dir)?.context("nothing pinned")?;
            pinned.detach()?;
            Ok(())
        })?;
        figures.insert(name.to_owned(), json!(nanos));
    }
    ensure!(figures.len() == 4);
    Ok(Value::Object(figures))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::disallowed_methods, reason = "a bench owns its clock")]
fn now() -> Instant {
    Instant::now()
}
