//! An adversary: bans, lifts, attacks, protections and ends in no order, over addresses and prefixes that cover each
//! other, while the clock on the wall is stepped. Whatever he does, nobody protected is banned, and all three places
//! agree in the end.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use ipnet::IpNet;
use skyshield::clock;
use skyshield::control::{Control, OrderError, Target, Wanted};
use skyshield::engine::decision::{Decision, Layer, NewBan, Origin};
use skyshield::engine::incident::{Act, Assessment, Client, Door, Incident, IncidentId};
use skyshield::engine::indicators::Traits;
use skyshield::engine::ledger::{Banned, Rejected};
use skyshield::engine::never_ban::{NeverBan, Protection};
use skyshield::engine::source::Source;

use tokio::task::JoinSet;

use super::chance::Chance;
use super::machine::{Machine, Running};
use super::wall;

/// Decisions there is room for: few, so that the tables fill up.
const CAPACITY: u32 = 20_000;
/// Orders that are on their way at a time.
const TOGETHER: usize = 64;
/// How often the never-ban set changes, in decisions.
const PROTECT_EVERY: u32 = 500;
/// How often the clock on the wall is stepped, in decisions.
const STEP_EVERY: u32 = 2000;
/// By how many seconds at the most, forwards or back: longer than most decisions last.
const MOST_STEP_SECS: u32 = 6 * 3600;
/// What was not in force long enough to be looked at.
const SETTLE: Duration = Duration::from_secs(3);
/// The reconciler, which looks every ten seconds, has looked twice since the last step.
const LOOKED: Duration = Duration::from_secs(25);

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Bans that were made.
    pub made: u64,
    /// Steps of the clock on the wall.
    pub steps: u64,
    /// Prefixes that were banned for what their members did, of those in force in the end.
    pub widened: usize,
    /// Bans that were refused because their source is protected.
    pub protected: u64,
    /// Decisions in force in the end.
    pub in_force: usize,
    /// Protected addresses that were banned when looked at.
    pub harmed: u64,
    /// Decisions that the ledger and the store disagree on in the end.
    pub store_differences: usize,
    /// Decisions that the ledger and the kernel disagree on in the end.
    pub kernel_differences: usize,
}

impl Fate {
    /// An error where he has done harm, or was idle.
    pub fn check(&self) -> Result<()> {
        ensure!(self.made > 0 && self.in_force > 0, "he was idle: {self:?}");
        ensure!(self.harmed == 0, "a protected address was banned: {self:?}");
        ensure!(self.store_differences == 0 && self.kernel_differences == 0, "they differ: {self:?}");
        Ok(())
    }
}

/// Lets him make `decisions`.
pub async fn beset(decisions: u32, seed: u64) -> Result<Fate> {
    let machine = Machine::new(CAPACITY)?.widening();
    let mut chance = Chance::new(seed);
    let mut never_ban = protections(&mut chance);
    let running = machine.boot(machine.open_kernel()?, machine.open_store()?, never_ban.clone())?.run();
    let mut fate = Fate::default();
    let mut done = 0;
    while done < decisions {
        let turn = TOGETHER.min((decisions - done) as usize);
        let mut sent = JoinSet::new();
        for _ in 0..turn {
            sent.spawn(carry_out(running.control.clone(), order(&mut chance)));
        }
        for outcome in sent.join_all().await {
            match outcome {
                Outcome::Made => fate.made += 1,
                Outcome::Protected => fate.protected += 1,
                Outcome::Other => {}
            }
        }
        if done / STEP_EVERY != (done + u32::try_from(turn)?) / STEP_EVERY {
            let secs = i64::from(chance.below(2 * MOST_STEP_SECS)) - i64::from(MOST_STEP_SECS);
            fate.steps += u64::from(wall::step(secs));
        }
        let before = done;
        done += u32::try_from(turn)?;
        if before / PROTECT_EVERY != done / PROTECT_EVERY {
            fate.harmed += harmed(&running, &never_ban).await?;
            never_ban = protections(&mut chance);
            running.control.set_never_ban(never_ban.clone()).await?;
            // The set is in force once an order that came after it is answered.
            running.control.health().await?;
        }
    }
    fate.harmed += harmed(&running, &never_ban).await?;
    // What ends by itself ends, and the reconciler has looked.
    tokio::time::sleep(if fate.steps > 0 { LOOKED } else { SETTLE }).await;
    compare(&machine, running, &never_ban, &mut fate).await?;
    Ok(fate)
}

enum Order {
    Ban(NewBan),
    Lift(Source),
    Attack(Box<Incident>),
}

enum Outcome {
    Made,
    Protected,
    Other,
}

fn order(chance: &mut Chance) -> Order {
    let source = victim(chance);
    match chance.below(25) {
        0..5 => return Order::Lift(source),
        5..8 => return Order::Attack(Box::new(attack(chance))),
        _ => {}
    }
    let origin = [Origin::Detector, Origin::Feed, Origin::Feed, Origin::Operator][chance.below(4) as usize];
    // An operator's goes to the disk first: few of them, or the disk is all that is measured.
    let origin = if origin == Origin::Operator && chance.below(8) != 0 { Origin::Detector } else { origin };
    let ttl = match chance.below(4) {
        0 => Some(Duration::from_millis(u64::from(chance.below(2000)))),
        1 => None,
        _ => Some(Duration::from_secs(3600 + u64::from(chance.below(3600)))),
    };
    Order::Ban(NewBan {
        source,
        origin,
        layer: if chance.below(10) == 0 { Layer::Request } else { Layer::Packet },
        reason: "adversary".into(),
        ttl,
        comment: None,
        incident: None,
        asked_at: clock::wall(),
        force: chance.below(2) == 0,
    })
}

/// An attack out of a few neighbourhoods, so that detectors widen their bans.
fn attack(chance: &mut Chance) -> Incident {
    let (network, member) = (chance.below(16), chance.below(48));
    let address: IpAddr = if chance.below(3) == 0 {
        let bits = 0x2001_0db8 << 96 | u128::from(network) << 64 | u128::from(member);
        Ipv6Addr::from_bits(bits).into()
    } else {
        Ipv4Addr::from_bits(0x0a00_0000 | network << 8 | member).into()
    };
    Incident {
        id: IncidentId::new(clock::wall(), u128::from(chance.number())),
        at: clock::wall(),
        client: Client { address, by_proxy: false },
        door: Door::Gateway,
        act: Act::Ban,
        route: "default".into(),
        assessment: Assessment::default(),
        findings: Vec::new(),
        method: "GET".to_owned(),
        host: "shop.example".to_owned(),
        target: "/".to_owned(),
        traits: Traits::default(),
        complete_at: clock::now(),
    }
}

/// An address or a prefix out of a small world, so that sources meet and cover each other.
fn victim(chance: &mut Chance) -> Source {
    let spread = chance.below(1 << 15);
    let (address, lengths): (IpAddr, [u8; 4]) = if chance.below(4) == 0 {
        let low = u128::from(spread);
        (Ipv6Addr::from_bits(0x2001_0db8 << 96 | (low & 0xff) << 64 | low).into(), [128, 64, 56, 32])
    } else {
        (Ipv4Addr::from_bits(0x0a00_0000 | spread).into(), [32, 24, 16, 8])
    };
    let length = lengths[if chance.below(10) == 0 { 1 + chance.below(3) as usize } else { 0 }];
    IpNet::new(address, length).map_or_else(|_| Source::host(address), Source::prefix)
}

/// Some hundred protected hosts, and a few prefixes of both families, some where attacks come from.
fn protections(chance: &mut Chance) -> NeverBan {
    let reasons = [Protection::AllowList, Protection::Gateway, Protection::OperatorSession];
    let mut sources: Vec<_> = (0..200).map(|_| victim_host(chance)).collect();
    for _ in 0..6 {
        let narrow = [25, 26, 28, 30, 31][chance.below(5) as usize];
        let network = chance.below(24) << 8 | chance.below(256);
        sources.extend(prefix(Ipv4Addr::from_bits(0x0a00_0000 | network).into(), narrow));
        let narrow = [72, 112, 120, 122, 126][chance.below(5) as usize];
        let bits = 0x2001_0db8 << 96 | u128::from(chance.below(24)) << 64 | u128::from(chance.below(256));
        sources.extend(prefix(Ipv6Addr::from_bits(bits).into(), narrow));
    }
    NeverBan::new(sources.into_iter().enumerate().map(|(at, source)| (source, reasons[at % reasons.len()])))
}

fn prefix(address: IpAddr, length: u8) -> Option<Source> {
    IpNet::new(address, length).ok().map(Source::prefix)
}

fn victim_host(chance: &mut Chance) -> Source {
    Source::host(victim(chance).address())
}

async fn carry_out(control: Control, order: Order) -> Outcome {
    match order {
        Order::Ban(new) => match control.ban(new).await {
            Ok(Banned::Made(_)) => Outcome::Made,
            Err(OrderError::Rejected(Rejected::Protected { .. })) => Outcome::Protected,
            Ok(Banned::Extended(_) | Banned::Kept(_)) | Err(_) => Outcome::Other,
        },
        Order::Attack(incident) => {
            // Once it is in force, or refused.
            control.report(*incident).wait(SETTLE).await;
            Outcome::Other
        }
        Order::Lift(source) => {
            let _in_force_or_not = control.lift(Target::Source(source)).await;
            Outcome::Other
        }
    }
}

/// How many decisions are about the protected alone, and how many of the protected are refused at the doors.
async fn harmed(running: &Running, never_ban: &NeverBan) -> Result<u64> {
    let held = in_force(running).await?;
    let banned = held.iter().filter(|one| never_ban.covers(one.source).is_some()).count() as u64;
    let now = clock::now();
    let is_refused = |address: &IpAddr| running.view.ban_of(*address, now).is_some();
    let refused = never_ban.entries().iter().filter(|(source, _)| {
        let net = source.as_prefix();
        // Of a prefix its ends, and some within.
        let mut within = net.hosts().take(64).chain([net.addr(), net.broadcast()]);
        within.any(|address| is_refused(&address))
    });
    Ok(banned + refused.count() as u64)
}

async fn compare(machine: &Machine, running: Running, never_ban: &NeverBan, fate: &mut Fate) -> Result<()> {
    let ledger = in_force(&running).await?;
    fate.in_force = ledger.len();
    fate.widened = ledger.iter().filter(|one| one.reason.starts_with("widened")).count();
    let reader = running.opened.reader.clone();
    running.stop().await?;
    let now = clock::wall().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let kept = reader.decisions_in_force(i64::try_from(now)?)?;
    let kept: BTreeSet<_> = kept.into_iter().map(|row| (row.id.0, row.source)).collect();
    let held: BTreeSet<_> = ledger.iter().map(|one| (one.id.0, one.source.to_string())).collect();
    fate.store_differences = kept.symmetric_difference(&held).count();

    let enforcer = machine.open_kernel()?;
    let allowed: BTreeSet<_> = enforcer.allowed().into_iter().collect();
    // Whoever is protected is on the kernel's allow list, which beats every ban, or has none there.
    let kernel: HashMap<_, _> = enforcer.entries()?.into_iter().collect();
    fate.harmed += never_ban.sources().iter().filter(|one| !allowed.contains(one)).count() as u64;
    fate.harmed += kernel.keys().filter(|&&one| never_ban.covers(one).is_some()).count() as u64;
    let packets: Vec<_> = ledger.iter().filter(|one| one.layer == Layer::Packet).collect();
    let right = |one: &&&Decision| kernel.get(&one.source).is_some_and(|entry| entry.decision == one.id);
    let found = packets.iter().filter(right).count();
    let live = kernel.values().filter(|entry| entry.ttl.is_none_or(|left| !left.is_zero())).count();
    fate.kernel_differences = (packets.len() - found) + live.saturating_sub(found);
    Ok(())
}

/// All decisions in force, page by page.
async fn in_force(running: &Running) -> Result<Vec<Decision>> {
    let mut all: Vec<Decision> = Vec::new();
    loop {
        let after = all.last().map(|last| last.id);
        let page = running.control.decisions(Wanted { after, source: None, limit: 1000 }).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
