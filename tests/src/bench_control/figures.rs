//! What a million bans cost: to take up, to hold, and to add to.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use skyshield::clock;
use skyshield::control::Target;
use skyshield::engine::decision::{DecisionId, Layer, NewBan, Origin};
use skyshield::engine::never_ban::NeverBan;
use skyshield::engine::source::Source;
use skyshield::store::{DecisionRow, Opened, Record};
use tokio::runtime::Runtime;

use super::machine::{Machine, Running};
use super::memory;

/// Bans that are added and lifted among the others, one after the other.
const ONES: u32 = 1000;

pub(super) fn measure(runtime: &Runtime, bans: u32, say: &dyn Fn(&str)) -> Result<Value> {
    let machine = Machine::new(bans + ONES)?;
    say(&format!("{bans} bans into the store"));
    fill(&machine, bans)?;

    say("a daemon over an empty kernel");
    let started = clock::now();
    let enforcer = machine.open_kernel()?;
    let opened = machine.open_store()?;
    let before = memory::held();
    let idle = machine.boot(enforcer, opened, NeverBan::default())?;
    let empty = started.elapsed();
    let per_ban = memory::held().saturating_sub(before) / bans.max(1) as usize;
    drop(idle.task);
    close(idle.opened)?;

    say("a daemon over the maps that it left pinned");
    let started = clock::now();
    let enforcer = machine.open_kernel()?;
    let enforcing = started.elapsed();
    let opened = machine.open_store()?;
    let idle = machine.boot(enforcer, opened, NeverBan::default())?;
    let pinned = started.elapsed();

    say(&format!("{ONES} bans among them, one after the other, and lifted again"));
    let (mut added, mut reported, mut lifted) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(async {
        let running = idle.run();
        for one in 0..ONES {
            let source = Source::host(Ipv4Addr::from_bits(0xc000_0000 + one).into());
            let origin = if one.is_multiple_of(2) { Origin::Operator } else { Origin::Detector };
            let took = if origin == Origin::Operator { &mut added } else { &mut reported };
            took.push(ban(&running, source, origin).await?);
        }
        for one in 0..ONES {
            let source = Source::host(Ipv4Addr::from_bits(0xc000_0000 + one).into());
            let started = clock::now();
            running.control.lift(Target::Source(source)).await?;
            lifted.push(started.elapsed());
        }
        running.stop().await
    })?;
    Ok(json!({
        "bans": bans,
        "restart_ms": { "empty": millis(empty), "pinned": millis(pinned), "pinned_enforcing": millis(enforcing) },
        "bytes_per_ban": per_ban,
        "operator_ban_ms": spread(&mut added),
        "detector_ban_ms": spread(&mut reported),
        "lift_ms": spread(&mut lifted),
    }))
}

async fn ban(running: &Running, source: Source, origin: Origin) -> Result<Duration> {
    let started = clock::now();
    let new = NewBan {
        source,
        origin,
        layer: Layer::Packet,
        reason: "bench".into(),
        ttl: Some(Duration::from_hours(4)),
        comment: None,
        incident: None,
        asked_at: clock::wall(),
        force: false,
    };
    running.control.ban(new).await?;
    Ok(started.elapsed())
}

/// Puts bans where an earlier daemon would have: in the store.
fn fill(machine: &Machine, bans: u32) -> Result<()> {
    let opened = machine.open_store()?;
    let now = i64::try_from(clock::wall().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
    for one in 0..bans {
        let address: IpAddr = super::super::bench_kernel::scattered(one).into();
        let row = DecisionRow {
            id: DecisionId(u64::from(one) + 1),
            source: address.to_string(),
            origin: Origin::Feed.name().to_owned(),
            layer: Layer::Packet.name().to_owned(),
            reason: "bench".to_owned(),
            comment: String::new(),
            incident: None,
            made_at_ms: now,
            expires_at_ms: Some(now + 86_400_000 + i64::from(one)),
            enforced_after_us: None,
        };
        // The queue is bounded, and the writer slower than this loop.
        while !opened.store.append(Record::Decision(row.clone())) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    close(opened)
}

fn close(opened: Opened) -> Result<()> {
    opened.store.close();
    opened
        .writer
        .join()
        .map_err(|_panic| anyhow::anyhow!("the store's writer panicked"))
        .context("closing")?;
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn spread(took: &mut [Duration]) -> Value {
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied().map(millis);
    json!({ "p50": at(50), "p99": at(99), "max": took.last().copied().map(millis) })
}
