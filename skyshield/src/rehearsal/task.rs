//! Carrying a rehearsal out, and doing so each night.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::corpus::{self, Known};
use super::outcome::{Outcome, Spread};
use super::rerun::NOBODY;
use super::stage::Stage;
use crate::clock;
use crate::dataplane::{self, Enforcer as _, Entry, Memory};
use crate::engine::decision::{Layer, NewBan, Origin};
use crate::engine::effect::Effect;
use crate::engine::ledger::{Capacity, Ledger};
use crate::engine::source::Source;
use crate::engine::standing::Standing;
use crate::exceptions::Set;
use crate::inspect::Limits;
use crate::verdict::Settings;

/// An attacker repeats himself so often at the most.
const MOST_TRIES: u32 = 20;
const SECS_PER_DAY: u64 = 86_400;

/// Puts all known requests before `settings`, which inspect by `limits`, with `exceptions` in force. Blocks for as
/// long as that takes.
pub fn rehearse(settings: &Settings, exceptions: &Set, limits: &Limits) -> Outcome {
    let began = clock::now();
    let mut outcome = Outcome::default();
    let known = corpus::all(limits);
    let mut town = Town::new(known.len());
    let (mut tries, mut took) = (Vec::new(), Vec::new());
    for (at, request) in known.iter().enumerate() {
        let (refused, claimed) = request.with(|inspected| {
            let whose = (NOBODY, began);
            let (opinion, _needed) =
                settings.opinion_beside(inspected, Standing::default(), exceptions, whose);
            let claimed: Vec<_> =
                opinion.inspection.findings.iter().map(|finding| finding.rule.to_string()).collect();
            (opinion.refuses(), claimed)
        });
        outcome.total.count(request.is_attack, refused);
        outcome.categories.entry(request.category.clone()).or_default().count(request.is_attack, refused);
        if let Some(rule) = &request.rule {
            let tally = outcome.rules.entry(rule.clone()).or_default();
            tally.n += 1;
            tally.claimed += u64::from(claimed.contains(rule));
            tally.refused += u64::from(refused);
        }
        match (request.is_attack, refused) {
            (true, false) => outcome.name_missed(&request.name),
            (false, true) => outcome.name_flagged(&request.name),
            (true, true) | (false, false) => {}
        }
        if !request.is_attack {
            for rule in claimed {
                outcome.rules.entry(rule).or_default().claimed_honest += 1;
            }
            continue;
        }
        match town.repeat(at, request, (settings, exceptions)) {
            Some((requests, lag)) => {
                tries.push(f64::from(requests));
                took.push(lag.as_secs_f64() * 1e3);
            }
            None => outcome.never_banned += 1,
        }
    }
    outcome.requests_to_ban = Spread::of(tries);
    outcome.time_to_ban_ms = Spread::of(took);
    outcome.took(clock::now().saturating_duration_since(began));
    outcome
}

/// A host of nobody's: a ledger and a model of the kernel.
struct Town {
    ledger: Ledger,
    kernel: Memory,
}

impl Town {
    fn new(attackers: usize) -> Self {
        let config = dataplane::Config::default();
        Self { ledger: Ledger::new(Capacity::of(attackers), Arc::default()), kernel: Memory::new(&config) }
    }

    /// The `at`th attacker sends the same until he is banned: how many it took, and how long the last.
    fn repeat(
        &mut self,
        at: usize,
        request: &Known,
        (settings, exceptions): (&Settings, &Set),
    ) -> Option<(u32, Duration)> {
        let number = u32::try_from(at).unwrap_or_default();
        let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | number & 0x00ff_ffff));
        let mut standing = Standing::default();
        for tries in 1..=MOST_TRIES {
            let complete_at = clock::now();
            let (bans, score) = request.with(|inspected| {
                let whose = (NOBODY, complete_at);
                let (opinion, _needed) = settings.opinion_beside(inspected, standing, exceptions, whose);
                let bans = opinion.refuses() && opinion.route.thresholds.bans(opinion.bill.score());
                let own = opinion.bill.of_the_request().score();
                (bans, opinion.refuses().then_some(own))
            });
            if bans {
                self.ban(address);
                return Some((tries, clock::now().saturating_duration_since(complete_at)));
            }
            if let Some(score) = score {
                standing = standing.after_incident(score.value(), complete_at);
            }
        }
        None
    }

    fn ban(&mut self, address: IpAddr) {
        let new = NewBan {
            source: Source::host(address),
            origin: Origin::Detector,
            layer: Layer::Packet,
            reason: "rehearsal".into(),
            comment: None,
            ttl: Some(Duration::from_hours(1)),
            incident: None,
            asked_at: clock::wall(),
            force: false,
        };
        // In a town of its own nobody is protected, and there is room for all.
        let _made = self.ledger.ban(new, clock::now());
        while let Some(effect) = self.ledger.next_effect() {
            if let Effect::Install { source, decision } = effect {
                let entry = Entry { decision: decision.id, origin: decision.origin, ttl: None };
                let _model = self.kernel.install(source, entry);
            }
        }
    }
}

/// Rehearses each night, until `stop`.
pub async fn every_night(stage: Stage, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let wait = until_hour(stage.config().hour);
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Ok(());
        }
        if stage.config().nightly {
            stage.rehearse().await?;
        }
    }
}

/// From now to the next time that it is `hour` in UTC; never nothing.
fn until_hour(hour: u8) -> Duration {
    let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (now, wanted) = (since_epoch % SECS_PER_DAY, u64::from(hour) * 3600);
    let wait = (wanted + SECS_PER_DAY - now) % SECS_PER_DAY;
    Duration::from_secs(if wait == 0 { SECS_PER_DAY } else { wait })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::risk;

    fn rehearsed(limits: &Limits) -> Outcome {
        rehearse(&Settings::new(limits, &risk::Config::default(), &[]), &Set::default(), limits)
    }

    #[test]
    fn the_defaults_refuse_the_attacks_and_let_honest_people_through() {
        let outcome = rehearsed(&Limits::default());
        let figures = outcome.figures();
        assert!(outcome.total.attack.n > 80 && outcome.total.legit.n > 150, "{:?}", outcome.total);
        assert!(figures.detected > 0.99, "{:?}", outcome.missed);
        assert!(figures.flagged < 0.01, "{:?}", outcome.flagged);
        assert!(outcome.requests_to_ban.p50 >= 1.0 && outcome.time_to_ban_ms.p99 > 0.0);
        assert!(outcome.rules.values().all(|rule| rule.n == 0 || rule.claimed == rule.n));
    }

    #[test]
    fn a_rule_that_is_turned_off_shows() {
        let limits = Limits { disable: vec!["xss.script-tag".to_owned()], ..Limits::default() };
        let tally = &rehearsed(&limits).rules["xss.script-tag"];
        assert_eq!((tally.n > 0, tally.claimed), (true, 0));
    }
}
