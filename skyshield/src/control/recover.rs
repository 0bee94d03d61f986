//! Taking up where the last daemon left off: what the store kept and what the kernel still enforces.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Metrics, allows, records};
use crate::dataplane::{self, Enforcer, Entry};
use crate::engine::decision::{Decision, DecisionId, Layer};
use crate::engine::escalation::{self, Escalation};
use crate::engine::ledger::{Brief, Capacity, Ledger};
use crate::engine::never_ban::NeverBan;
use crate::engine::reconcile::{Match, compare, is_missing, is_stray, precedence};
use crate::engine::risk;
use crate::engine::source::Source;
use crate::engine::view::View;
use crate::store::{Reader, Record, Repeat, Store};

/// Why the daemon cannot take up where the last one left off.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store cannot be read.
    #[error("the decisions in the store cannot be read")]
    Store(#[from] rusqlite::Error),
    /// The kernel's maps cannot be read or written.
    #[error("the bans in the kernel's maps cannot be taken up")]
    Dataplane(#[from] dataplane::Error),
}

/// What was taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Decisions from the store.
    pub from_store: usize,
    /// Decisions that only the kernel still knew.
    pub from_kernel: usize,
    /// Decisions that the kernel had lost.
    pub reinstalled: usize,
    /// Decisions that hold at the doors only, because the kernel has no room for them.
    pub without_room: usize,
    /// Those whom no decision may cut off, and whom the kernel has no room for.
    pub left_out: usize,
    /// Decisions that the kernel did not take, by why.
    pub untaken: BTreeMap<String, usize>,
}

/// What the ledger is made from.
pub(super) struct From<'a> {
    pub(super) capacity: Capacity,
    pub(super) view: Arc<View>,
    pub(super) never_ban: NeverBan,
    pub(super) store: &'a Store,
    pub(super) reader: &'a Reader,
    pub(super) metrics: &'a Metrics,
}

/// The ledger as it was, with the kernel brought in step with it. A detector's ban may be in the
/// kernel and not yet on disk when a daemon is killed: what the map holds beyond the store is adopted.
pub(super) fn recover(
    from: From<'_>,
    enforcer: &mut dyn Enforcer,
    now: Instant,
    wall: SystemTime,
) -> Result<(Ledger, Recovered), RecoverError> {
    let mut recovered = Recovered::default();
    let mut ledger = Ledger::new(from.capacity, Arc::clone(&from.view));
    ledger.skip_ids_to(DecisionId(from.reader.last_decision()?));
    from.reader.each_decision_in_force(records::millis(wall), |row| {
        if let Some(decision) = records::decision(&row, now, wall) {
            ledger.restore(&decision);
            recovered.from_store += 1;
        } else {
            tracing::warn!(decision = %row.id, source = row.source, "a kept decision makes no sense to this release");
        }
    })?;
    // Before anything is installed, so that nobody is cut off even for a moment.
    let (allowed, left_out) = allows::fitting(&from.never_ban, enforcer);
    enforcer.set_allowed(&allowed)?;
    recovered.left_out = left_out;
    if left_out > 0 {
        allows::tell_left_out(left_out, from.metrics);
    }

    let mut enforced = HashSet::new();
    for (source, entry) in enforcer.entries()? {
        let Some(held) = ledger.brief(source) else {
            let is_over = entry.ttl.is_some_and(|left| left.is_zero());
            if !is_over && adopt(&mut ledger, (source, &entry), &from, (now, wall))? {
                recovered.from_kernel += 1;
                enforced.insert(entry.decision);
            } else if is_stray(entry.ttl) {
                enforcer.remove(source)?;
            }
            continue;
        };
        if held.layer == Layer::Request {
            enforcer.remove(source)?;
        } else if compare(source, held.remaining(now), entry.ttl) != Match::Differs {
            enforced.insert(held.id);
        }
    }
    let missing = ledger.briefs().filter(|(_, held)| {
        held.layer == Layer::Packet && !enforced.contains(&held.id) && is_missing(held.remaining(now))
    });
    reinstall(missing.collect(), enforcer, now, from.metrics, &mut recovered);
    ledger.set_never_ban(Arc::new(from.never_ban), now);
    Ok((ledger, recovered))
}

/// Installs what the kernel lacks. What it does not take holds at the doors, and the reconciler goes on trying: a host
/// whose tables have become smaller is guarded by what fits, and not by nothing.
fn reinstall(
    mut missing: Vec<(Source, Brief)>,
    enforcer: &mut dyn Enforcer,
    now: Instant,
    metrics: &Metrics,
    recovered: &mut Recovered,
) {
    missing.sort_unstable_by_key(|(_, held)| precedence(held.origin, held.until));
    for (source, held) in missing {
        let entry = Entry { decision: held.id, origin: held.origin, ttl: held.remaining(now) };
        let Err(error) = enforcer.install(source, entry) else {
            recovered.reinstalled += 1;
            continue;
        };
        *recovered.untaken.entry(error.to_string()).or_default() += 1;
        match error {
            dataplane::Error::Full { map, .. } => {
                recovered.without_room += 1;
                metrics.map_full.with_label_values(&[map]).inc();
            }
            dataplane::Error::Map { .. } => metrics.dataplane_failures.inc(),
        }
    }
    metrics.waiting_for_room.set(i64::try_from(recovered.without_room).unwrap_or(i64::MAX));
    for (why, bans) in &recovered.untaken {
        tracing::error!(
            bans,
            why,
            "bans that were kept hold at the doors only: the kernel does not take them"
        );
    }
}

/// Takes up a ban that only the kernel still knows, where there is room. One that was lifted, on disk, a
/// moment before the kill is not brought back to life.
fn adopt(
    ledger: &mut Ledger,
    (source, entry): (Source, &Entry),
    from: &From<'_>,
    (now, wall): (Instant, SystemTime),
) -> Result<bool, RecoverError> {
    if ledger.room().check(source, Layer::Packet, None).is_err() || from.reader.has_ended(entry.decision.0)? {
        return Ok(false);
    }
    let decision = adopted(source, entry, now, wall);
    from.store.append(Record::Decision(records::decision_row(&decision, now, wall)));
    ledger.restore(&decision);
    Ok(true)
}

/// Who was banned before is banned for longer when he comes back, restart or no restart.
pub(super) fn escalation(
    config: escalation::Config,
    risk: &risk::Config,
    reader: &Reader,
    now: Instant,
    wall: SystemTime,
) -> Result<Escalation, RecoverError> {
    let since = wall.checked_sub(Duration::from_secs(config.remember_secs)).map_or(0, records::millis);
    let repeats = reader.repeats(since, config.tracked)?;
    let mut escalation = Escalation::new(config, Duration::from_secs(risk.ban_secs));
    for Repeat { source, times, last_ms } in repeats {
        let ago = wall.duration_since(records::moment(last_ms)).unwrap_or_default();
        if let (Ok(source), Some(last)) = (source.parse(), now.checked_sub(ago)) {
            escalation.restore(source, times, last);
        }
    }
    Ok(escalation)
}

fn adopted(source: Source, entry: &Entry, now: Instant, wall: SystemTime) -> Decision {
    Decision {
        id: entry.decision,
        source,
        origin: entry.origin,
        layer: Layer::Packet,
        reason: "in the kernel before a restart".into(),
        comment: None,
        until: entry.ttl.and_then(|left| now.checked_add(left)),
        incident: None,
        made_at: wall,
        enforced_after: None,
    }
}
