//! The figures: interleaved rounds, medians, and one JSON object.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aya::maps::MapInfo;
use serde_json::{Value, json};
use skyshield::dataplane::{Config, Entry, Kernel};
use skyshield::engine::decision::{DecisionId, Origin};
use skyshield::engine::source::Source;
use skyshield_common::{Reason, maps};

use super::field::{FAR_END, Field, Idle, Sources};
use super::peers::peers;
use super::scattered;
use crate::packet;

const ROUNDS: usize = 9;
const FRAMES: u32 = 60_000;
const MILLION: u32 = 1_000_000;
const PREFIXES: u32 = 10_000;
/// Sources of a spoofed flood, of which none is listed.
const FLOOD: Sources = Sources { first: 20_000_000, count: 16_000_000 };

/// One filter under fire.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) field: Field,
    kernel: Option<Kernel>,
    sources: Sources,
    to_host: bool,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

/// Runs it all; progress goes to `say`, the answer is one line of JSON.
pub fn run(say: &dyn Fn(&str)) -> anyhow::Result<String> {
    let mut out = BTreeMap::new();
    let mut targets = Vec::new();
    say("bench: setting up");
    targets.push(idle("floor", Idle::Floor, true, Sources { first: 0, count: MILLION })?);
    targets.push(idle("pass", Idle::Pass, false, FLOOD)?);
    for count in [1, 1_000, 100_000, MILLION] {
        let prefixes = if count == MILLION { PREFIXES } else { 0 };
        let (mut target, load) = listed(&format!("hit {count}"), count, prefixes, 0)?;
        target.sources = Sources { first: 0, count };
        if count == MILLION {
            loaded(&mut target, load, &mut out)?;
        }
        targets.push(target);
    }
    for (name, rate) in [("cold", 0), ("flood", 100_000)] {
        let (mut target, _) = listed(name, MILLION, PREFIXES, rate)?;
        target.to_host = false;
        target.sources = FLOOD;
        targets.push(target);
    }
    let (mut limited, _) = listed("limit", 1, 0, 1_000)?;
    limited.sources = Sources { first: 5_000_000, count: 1 };
    targets.push(limited);
    peers(&mut targets, say);

    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        say(&format!("bench: round {} of {ROUNDS}", round + 1));
        for target in &mut targets {
            let before = target.dropped()?;
            let alone = target.field.make_only(target.sources, FRAMES)?;
            let took = target.field.send(target.sources, FRAMES, target.to_host)?;
            if target.name == "floor" {
                figures.entry("generator".to_owned()).or_default().push(alone);
            }
            figures.entry(target.name.clone()).or_default().push(took - alone);
            if let (Some(before), Some(after)) = (before, target.dropped()?)
                && target.name.starts_with("hit")
            {
                ensure!(after - before == u64::from(FRAMES), "{}: {} dropped", target.name, after - before);
            }
        }
    }
    let ns = |name: &str| figures.get(name).map(|all| median(all));
    for (name, all) in &figures {
        say(&format!("{name:28} {:7.1} ns, {all:.0?}", median(all)));
    }
    let over = |name: &str, base: &str| Some(ns(name)? - ns(base)?);
    let sizes = |prefix: &str| -> Value {
        let of =
            figures.keys().filter_map(|name| Some((name.strip_prefix(prefix)?.trim().to_owned(), ns(name))));
        of.map(|(size, ns)| (size, json!(ns.map(tenth)))).collect::<serde_json::Map<_, _>>().into()
    };
    let million = targets.iter_mut().find(|target| target.name == "hit 1000000").context("no million")?;
    let (v4, v6) = hot(million)?;
    say(&format!("honest and hot: {v4:.1} ns IPv4, {v6:.1} ns IPv6 over parse and count"));
    let swap = swapped(million)?;
    let (paced, flood) = (accuracy(Some(10_000))?, accuracy(None)?);
    let answer = json!({
        "generator_ns": ns("generator").map(tenth),
        "floor_drop_ns": ns("floor").map(tenth),
        "hit_ns": sizes("hit "),
        "miss_hot_ns": tenth(v4),
        "miss_cold_ns": over("cold", "pass").map(tenth),
        "limit_drop_ns": ns("limit").map(tenth),
        "flood_extra_ns": over("flood", "pass").map(tenth),
        "load_1m_ms": out.get("load_1m_ms"),
        "change_us": out.get("change_us"),
        "bytes_per_entry": out.get("bytes_per_entry"),
        "leaked": { "swap": swap, "program": null, "kill": null },
        "peers": {
            "nft_set_hit_ns": sizes("nft set "),
            "nft_interval_hit_ns": sizes("nft interval "),
            "ipset_hit_ns": sizes("ipset "),
        },
        "ipv6": { "miss_hot_ns": tenth(v6), "hit_ns": null, "miss_cold_ns": null },
        "limit_accuracy": { "paced_2cpu": paced, "flood_2cpu": flood },
        "note": "net of the generator; peers run behind an XDP program that passes, which the veth needs; \
                 the cold misses and the flood are over that same program",
    });
    Ok(answer.to_string())
}

impl Target {
    /// What its program has dropped so far; `None` of a peer.
    fn dropped(&self) -> anyhow::Result<Option<u64>> {
        let Some(kernel) = &self.kernel else { return Ok(None) };
        let counters = kernel.enforcer.counters()?;
        let of = counters.iter().find(|(reason, _)| *reason == Reason::BannedExact);
        Ok(of.map(|(_, counter)| counter.packets))
    }
}

pub(super) fn idle(name: &str, idle: Idle, to_host: bool, sources: Sources) -> anyhow::Result<Target> {
    let mut field = Field::new(name)?;
    field.attach(idle)?;
    Ok(Target { name: name.to_owned(), field, kernel: None, sources, to_host })
}

/// Ours, with so many addresses on the list; and how long the list took.
fn listed(name: &str, count: u32, prefixes: u32, rate: u64) -> anyhow::Result<(Target, Duration)> {
    let field = Field::new(&name.replace(' ', "-"))?;
    let config = Config {
        interface: Some(FAR_END.to_owned()),
        pin_dir: field.bpffs.pin_dir(),
        max_bans: 4_096,
        max_prefixes: 2 * PREFIXES,
        max_listed: count,
        rate_packets_per_sec: rate,
        rate_burst: rate,
        events_per_ms: 4,
        ..Config::default()
    };
    let (kernel, took) = field.far.run(|| {
        let mut kernel = Kernel::open(&config)?;
        let addresses: Vec<_> = (0..count).map(scattered).collect();
        let started = now();
        kernel.enforcer.replace_list(&addresses)?;
        let took = started.elapsed();
        for at in 0..prefixes {
            // Of the upper half of the space, where no list and no flood is, /24s and smaller ones.
            let first = (0x8000_0000 + at * 0x0001_3100) & 0xffff_ff00;
            let len = 24 + at % 5;
            let prefix: Source = format!("{}/{len}", std::net::Ipv4Addr::from_bits(first)).parse()?;
            kernel.enforcer.install(prefix, entry(u64::from(at)))?;
            let prefix: Source = format!("2001:{:x}:{:x}::/48", at % 16 + 0x4000, at).parse()?;
            kernel.enforcer.install(prefix, entry(u64::from(at)))?;
        }
        Ok((kernel, took))
    })?;
    let sources = Sources { first: 0, count };
    Ok((Target { name: name.to_owned(), field, kernel: Some(kernel), sources, to_host: true }, took))
}

fn entry(decision: u64) -> Entry {
    Entry { decision: DecisionId(decision + 1), origin: Origin::Operator, ttl: None }
}

/// What a million costs: to load, to change, to keep.
fn loaded(
    target: &mut Target,
    load: Duration,
    out: &mut BTreeMap<&'static str, Value>,
) -> anyhow::Result<()> {
    out.insert("load_1m_ms", json!(tenth(load.as_secs_f64() * 1e3)));
    let kernel = target.kernel.as_mut().context("no kernel")?;
    let mut changes = Vec::new();
    for n in 0..1_000 {
        let source = Source::host(scattered(2_000_000 + n).into());
        let started = now();
        kernel.enforcer.install(source, entry(1))?;
        changes.push(started.elapsed().as_secs_f64() * 1e6);
        kernel.enforcer.remove(source)?;
    }
    out.insert("change_us", json!(tenth(median(&changes))));
    let mut bytes = 0;
    for map in [maps::HOSTS_V4, maps::STASH_V4, maps::NEAR_V4] {
        let mut pins =
            std::fs::read_dir(target.field.bpffs.pin_dir())?.flatten().map(|pin| pin.path().join(map));
        let pin = pins.find(|pin| pin.exists()).context("no pin")?;
        bytes += memlock(&pin)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few million bytes")]
    out.insert("bytes_per_entry", json!(tenth(bytes as f64 / f64::from(MILLION))));
    Ok(())
}

fn memlock(pin: &std::path::Path) -> anyhow::Result<u64> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let info = MapInfo::from_pin(pin)?.fd()?;
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", info.as_fd().as_raw_fd()))?;
    let line = told.lines().find_map(|line| line.strip_prefix("memlock:")).context("no memlock")?;
    Ok(line.trim().parse()?)
}

/// Honest packets through the whole program, over parsing and counting alone: medians of rounds of
/// 1,000 sources in turn, by `BPF_PROG_TEST_RUN`.
fn hot(target: &mut Target) -> anyhow::Result<(f64, f64)> {
    const SOURCES: u32 = 50;
    const TIMES: u32 = 20_000;
    let kernel = target.kernel.as_mut().context("no kernel")?;
    let config = Config { rate_packets_per_sec: 1_000_000, rate_burst: 100_000_000, ..Config::default() };
    let mut settings = config.settings();
    let v4: Vec<_> = (0..SOURCES).map(|n| packet::udp(scattered(3_000_000 + n).into())).collect();
    let v6 = (0..SOURCES).map(|n| format!("2a00:{n:x}::7").parse().map(packet::udp));
    let v6: Vec<_> = v6.collect::<Result<_, _>>()?;
    let mut rounds: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (frames, round) in [v4.as_slice(), v6.as_slice()].into_iter().zip(&mut rounds) {
            let mut took = [0.0; 2];
            for (bypass, took) in [true, false].into_iter().zip(&mut took) {
                settings.bypass = bypass;
                kernel.enforcer.set_settings(settings)?;
                let started = now();
                for frame in frames {
                    kernel.attachment.judge_often(frame, TIMES)?;
                }
                *took = started.elapsed().as_secs_f64() * 1e9 / f64::from(SOURCES * TIMES);
            }
            round.push(took[1] - took[0]);
        }
    }
    Ok((median(&rounds[0]), median(&rounds[1])))
}

/// Packets of listed sources that got through while the list was replaced, each time by half.
fn swapped(target: &mut Target) -> anyhow::Result<u64> {
    const SWAPS: u32 = 20;
    let Target { field, kernel, .. } = target;
    let kernel = kernel.as_mut().context("no kernel")?;
    let config = Config { rate_packets_per_sec: 0, ..Config::default() };
    kernel.enforcer.set_settings(config.settings())?;
    let dropped = |kernel: &Kernel| -> anyhow::Result<u64> {
        let counters = kernel.enforcer.counters()?;
        Ok(counters.iter().find(|(reason, _)| *reason == Reason::BannedExact).map_or(0, |(_, of)| of.packets))
    };
    let before = dropped(kernel)?;
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| -> anyhow::Result<u64> {
        let flood = scope.spawn(|| -> anyhow::Result<u64> {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                // The half that every one of the lists has.
                field.send(Sources { first: 0, count: MILLION / 2 }, FRAMES, true)?;
                sent += u64::from(FRAMES);
            }
            Ok(sent)
        });
        let swaps = (0..SWAPS).try_for_each(|swap| -> anyhow::Result<()> {
            let other = MILLION / 2 + (swap + 1) % 2 * MILLION / 2;
            let list: Vec<_> = (0..MILLION / 2).chain(other..other + MILLION / 2).map(scattered).collect();
            kernel.enforcer.replace_list(&list)?;
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
        swaps?;
        Ok(sent)
    })?;
    let dropped = dropped(kernel)? - before;
    ensure!(dropped <= sent, "{dropped} dropped of {sent}");
    Ok(sent - dropped)
}

/// What one source got through from two CPUs, over what it may: ten times its rate, paced, or all
/// that can be run.
fn accuracy(paced_per_sec: Option<u64>) -> anyhow::Result<Option<f64>> {
    const LASTS: Duration = Duration::from_secs(3);
    let rate = if paced_per_sec.is_some() { 1_000 } else { 100_000 };
    let (target, _) = listed("accuracy", 1, 0, rate)?;
    let kernel = target.kernel.as_ref().context("no kernel")?;
    let frame = packet::udp("203.0.113.7".parse()?);
    let attachment = &kernel.attachment;
    let started = now();
    thread::scope(|scope| {
        let runs = [(); 2].map(|()| {
            scope.spawn(|| -> anyhow::Result<()> {
                while started.elapsed() < LASTS {
                    let Some(per_sec) = paced_per_sec else {
                        attachment.judge_often(&frame, 5_000)?;
                        continue;
                    };
                    attachment.judge_often(&frame, u32::try_from(per_sec / 2_000)?)?;
                    thread::sleep(Duration::from_micros(950));
                }
                Ok(())
            })
        });
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a run died"))?)
    })?;
    let took = started.elapsed().as_secs_f64();
    let counters = kernel.enforcer.counters()?;
    let of = |wanted| counters.iter().find(|(reason, _)| *reason == wanted).map_or(0, |(_, of)| of.packets);
    let (passed, over) = (of(Reason::Passed), of(Reason::RateExceeded));
    ensure!(over > passed, "too slow for this to mean anything: {passed} passed, {over} over");
    #[expect(clippy::cast_precision_loss, reason = "less than a million")]
    let share = passed as f64 / (rate as f64 * (1.0 + took));
    Ok(Some((share * 1e4).round() / 1e4))
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To a tenth.
fn tenth(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}
