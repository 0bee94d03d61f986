//! The figures: interleaved rounds, medians, and one JSON object.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aya::maps::MapInfo;
use serde_json::{Map, Value, json};
use skyshield::engine::source::Source;
use skyshield_common::{Reason, maps};

use super::field::{Idle, Sources};
use super::goals::missed;
use super::hot::hot;
use super::leaks::{self, Leak};
use super::peers::peers;
use super::processor::Core;
use super::scattered;
use super::target::{Fate, Rate, Run, Target, entry, median, now, tenth};
use crate::packet;

const ROUNDS: usize = 15;
const FRAMES: u32 = 60_000;
const MILLION: u32 = 1_000_000;
/// Sources of a spoofed flood, of which none is listed.
pub(super) const FLOOD: Sources = Sources::v4(20_000_000, 16_000_000);
/// What each of them may send: as is preset.
pub(super) const FLOODED: Rate = Rate { per_sec: 10_000, burst: 20_000 };
const FLOOD_V6: Sources = Sources::v6(20_000_000, 16_000_000);

/// What was measured, and the goals that it misses.
pub struct Answer {
    /// One line of JSON.
    pub figures: String,
    /// Whether all goals are met.
    pub is_met: bool,
}

/// Runs it all; progress goes to `say`.
pub fn run(say: &dyn Fn(&str)) -> anyhow::Result<Answer> {
    say("bench: setting up");
    let mut costs = BTreeMap::from([("load_1m_ms", load()?)]);
    let mut targets = ours()?;
    peers(&mut targets, say);
    let hit = vec![hit(MILLION), Run::judged_by_us("cold", FLOOD)];
    let (mut million, _) = Target::listed("hit-million", MILLION, true, Rate::NONE, hit)?;
    loaded(&mut million, &mut costs)?;
    targets.push(million);
    let mut core = Core::stay()?;
    let (figures, beside) = measure(&mut targets, &mut core, say)?;
    let ratios = over_floor(&figures, &beside, say);
    let ns = |name: &str| figures.get(name).map(|all| median(all));
    let mut million = targets.pop().context("no million")?;
    drop(targets);
    let [v4, v6] = hot(&mut million)?;
    let slowed = (core.slowed() * 100.0).round() / 100.0;
    drop(core);
    say(&format!("core: slowed down in {slowed} of all looks"));
    say(&format!("honest and hot: {v4:.1} ns IPv4, {v6:.1} ns IPv6 over parsing and counting"));
    let swap = leaks::lists(&mut million, MILLION)?;
    drop(million);
    let (mut small, _) = Target::listed("leaks", 1_000, false, Rate::NONE, Vec::new())?;
    let program = leaks::programs(&mut small, 1_000)?;
    let kill = leaks::kills(&mut small, 1_000)?;
    let (mut offered, mut never_came) = (Map::new(), Map::new());
    for (name, leak) in [("swap", swap), ("program", program), ("kill", kill)] {
        let Leak { sent, lost, leaked, per_sec } = leak;
        let speed = per_sec / 1e6;
        say(&format!(
            "{name}: {leaked} of {sent} got through, at {speed:.2} million a second; {lost} never came"
        ));
        offered.insert(name.to_owned(), json!((per_sec / 1e4).round() / 100.0));
        never_came.insert(name.to_owned(), json!(lost));
    }
    let (paced, flood) = (accuracy(Some(10_000))?, accuracy(None)?);

    let over = |name: &str| beside.get(name).map(|all| tenth(median(all)));
    let sizes = |prefix: &str| -> Value {
        let of = figures.iter().filter_map(|(name, all)| {
            Some((name.strip_prefix(prefix)?.to_owned(), json!(tenth(median(all)))))
        });
        of.collect::<Map<_, _>>().into()
    };
    let mut answer = json!({
        "generator_ns": ns("generator").map(tenth),
        "floor_drop_ns": ns("floor").map(tenth),
        "hit_ns": sizes("hit "),
        "miss_hot_ns": tenth(v4),
        "miss_cold_ns": over("cold"),
        "limit_drop_ns": ns("limit").map(tenth),
        "flood_extra_ns": over("flood"),
        "flood_extra_loaded_ns": over("flood loaded"),
        "load_1m_ms": costs.get("load_1m_ms"),
        "change_us": costs.get("change_us"),
        "bytes_per_entry": costs.get("bytes_per_entry"),
        "leaked_of_mpps": offered,
        "leaked_never_came": never_came,
        "leaked": { "swap": swap.leaked, "program": program.leaked, "kill": kill.leaked },
        "peers": {
            "nft_set_hit_ns": sizes("nft set "),
            "nft_interval_hit_ns": sizes("nft interval "),
            "ipset_hit_ns": sizes("ipset "),
            "nft_limit_drop_ns": ns("nft limit").map(tenth),
            "nft_flood_extra_ns": over("nft flood"),
        },
        "ipv6": {
            "miss_hot_ns": tenth(v6),
            "hit_ns": sizes("v6 hit "),
            "limit_drop_ns": ns("v6 limit").map(tenth),
            "flood_extra_ns": over("v6 flood"),
            "miss_cold_ns": over("v6 cold"),
        },
        "limit_accuracy": { "paced_2cpu": paced, "flood_2cpu": flood },
        "over_floor": ratios,
        "core_slowed": slowed,
        "note": "medians of 15 interleaved rounds, each warmed up, net of the generator, with the veth's transmit \
                 and NAPI in them; over_floor is the median of what each round was to a floor measured just before, \
                 miss_cold and flood_extra of what it was over a program that passes, likewise; peers run behind that \
                 program, which the veth needs; flood_extra is with the rate limit alone, flood_extra_loaded beside a \
                 million listed addresses and 10,000 prefixes, of sources that may send 10,000/s; nft's set has room \
                 for 1,048,576 and limits nobody new when full; tables are made for as many as are in them and 4,096 \
                 bans; miss_hot is over a program that only parses and counts, by BPF_PROG_TEST_RUN of 1,000 sources; \
                 core_slowed is the share of looks, one before each run, that found a loop of known work at over 1.2 times its \
                 least, as beside a neighbour on the core",
    });
    let missed = missed(&answer, say);
    let is_met = missed.is_empty();
    answer["missed"] = missed.into();
    Ok(Answer { figures: answer.to_string(), is_met })
}

/// The bench's own programs, and ours with what each is to be measured with.
fn ours() -> anyhow::Result<Vec<Target>> {
    let mut targets = vec![
        Target::idle(
            "floor",
            Idle::Floor,
            vec![Run::dropped("floor", Sources::v4(0, MILLION), Fate::BeforeTheStack)],
        )?,
        Target::idle("pass", Idle::Pass, vec![Run::passed("pass", FLOOD), Run::passed("pass v6", FLOOD_V6)])?,
    ];
    for count in [1, 1_000, 100_000] {
        targets.push(Target::listed("hit", count, false, Rate::NONE, vec![hit(count)])?.0);
    }
    let limited = vec![
        Run::dropped("limit", Sources::v4(5_000_000, 1), Fate::Limited),
        Run::dropped("v6 limit", Sources::v6(5_000_000, 1), Fate::Limited),
    ];
    targets.push(Target::listed("limit", 1, false, Rate { per_sec: 1_000, burst: 1 }, limited)?.0);
    // The rate alone, as a peer's in the same run, and beside all that may be banned.
    let flood = vec![Run::passed_by_us("flood", FLOOD), Run::passed_by_us("v6 flood", FLOOD_V6)];
    targets.push(Target::listed("flood", 1, false, FLOODED, flood)?.0);
    // Of these some are in a banned prefix.
    let loaded_flood = vec![Run::judged_by_us("flood loaded", FLOOD)];
    targets.push(Target::listed("flood-million", MILLION, true, FLOODED, loaded_flood)?.0);
    let hit_v6 = |count| Run::dropped(&format!("v6 hit {count}"), Sources::v6(0, count), Fate::Banned);
    targets.push(Target::banned_v6("hit-v6-few", 1_000, vec![hit_v6(1_000)])?);
    targets.push(Target::banned_v6(
        "hit-v6",
        MILLION,
        vec![hit_v6(MILLION), Run::judged_by_us("v6 cold", FLOOD_V6)],
    )?);
    Ok(targets)
}

/// Sources of the list, so many of them.
fn hit(count: u32) -> Run {
    Run::dropped(&format!("hit {count}"), Sources::v4(0, count), Fate::Banned)
}

/// What each round took, by name.
type Rounds = BTreeMap<String, Vec<f64>>;

/// Rounds in which every run has its turn: what each took, net of the generator; and what it is beside a base that has
/// a turn just before, for a neighbour on the machine comes and goes within a round. What is dropped is a multiple of
/// dropping at once, what is passed so much more than passing it.
fn measure(targets: &mut [Target], core: &mut Core, say: &dyn Fn(&str)) -> anyhow::Result<(Rounds, Rounds)> {
    let (mut figures, mut beside) = (Rounds::new(), Rounds::new());
    let [floor, pass, others @ ..] = targets else { anyhow::bail!("no floor") };
    for round in 0..ROUNDS {
        say(&format!("bench: round {} of {ROUNDS}", round + 1));
        for target in &mut *others {
            for at in 0..target.runs.len() {
                let run = target.runs[at].clone();
                let (base, of_base) = match (run.to_host, run.sources.is_v6) {
                    (true, _) => (&mut *floor, 0),
                    (false, is_v6) => (&mut *pass, usize::from(is_v6)),
                };
                core.look();
                let [alone, took] = base.fire(of_base, FRAMES)?;
                let least = took - alone;
                figures.entry(base.runs[of_base].name.clone()).or_default().push(least);
                figures.entry("generator".to_owned()).or_default().push(alone);
                let [alone, took] = target.fire(at, FRAMES)?;
                let took = took - alone;
                let told = if run.to_host { took / least } else { took - least };
                figures.entry(run.name.clone()).or_default().push(took);
                beside.entry(run.name).or_default().push(told);
            }
        }
    }
    Ok((figures, beside))
}

/// What is dropped, by what dropping at once costs; says all of it.
fn over_floor(figures: &Rounds, beside: &Rounds, say: &dyn Fn(&str)) -> Value {
    let mut ratios = Map::new();
    for (name, all) in figures {
        let told = beside.get(name).map(|all| median(all));
        let is_ratio = !["cold", "flood"].iter().any(|passed| name.contains(passed));
        let said = match told {
            Some(ratio) if is_ratio => format!("{ratio:6.2} x "),
            Some(extra) => format!("{extra:+6.0} ns"),
            None => " ".repeat(9),
        };
        say(&format!("{name:20} {:7.1} ns  {said}  {all:.0?}", median(all)));
        if let Some(ratio) = told.filter(|_| is_ratio) {
            ratios.insert(name.clone(), json!((ratio * 100.0).round() / 100.0));
        }
    }
    ratios.into()
}

/// How long a million takes to be loaded, each time into tables that nothing was written to: in ms.
fn load() -> anyhow::Result<Value> {
    const LOADS: usize = 7;
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        let (_, took) = Target::listed("load", MILLION, false, Rate::NONE, Vec::new())?;
        loads.push(took.as_secs_f64() * 1e3);
    }
    Ok(json!(tenth(median(&loads))))
}

/// What a million costs: to change, to keep.
fn loaded(target: &mut Target, out: &mut BTreeMap<&'static str, Value>) -> anyhow::Result<()> {
    let kernel = target.kernel()?;
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
    for map in [maps::HOSTS_V4, maps::STASH_V4, maps::ROSTER_V4, maps::NEAR_HOSTS_V4, maps::NEAR_V4] {
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

/// What one source got through from two CPUs, over what it may: ten times its rate, paced, or all
/// that can be run.
fn accuracy(paced_per_sec: Option<u64>) -> anyhow::Result<Option<f64>> {
    const LASTS: Duration = Duration::from_secs(3);
    let rate = if paced_per_sec.is_some() { 1_000 } else { 100_000 };
    let (mut target, _) = Target::listed("accuracy", 1, false, Rate::of(rate), Vec::new())?;
    let kernel = &*target.kernel()?;
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
