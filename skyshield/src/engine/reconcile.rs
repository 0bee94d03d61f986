//! Keeping two states equal: what the kernel should hold against what it holds.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::decision::{Decision, Layer, Origin};
use super::source::Source;

/// Clocks are read at different moments on the two sides; a smaller difference is none.
const SLACK: Duration = Duration::from_secs(2);

/// What an entry of the kernel's comes to, beside what should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// They agree.
    Equal,
    /// The entry ends too early, or too late.
    Differs,
    /// What should be there is about to end: whatever is found is right.
    Ending,
}

/// Whether an entry with `found` left agrees with a ban of `source` with `wanted` left; `None` is until lifted.
///
/// A prefix's entry may outlive its decision: a wider ban around it lends it its deadline.
pub fn compare(source: Source, wanted: Option<Duration>, found: Option<Duration>) -> Match {
    if wanted.is_some_and(|left| left < SLACK) {
        return Match::Ending;
    }
    let agrees = match (found, wanted) {
        (Some(_), None) => false,
        (None, wanted) => wanted.is_none() || !source.is_host(),
        (Some(left), Some(wanted)) => {
            let ends_early = left + SLACK < wanted;
            let ends_late = wanted + SLACK < left && source.is_host();
            !ends_early && !ends_late
        }
    };
    if agrees { Match::Equal } else { Match::Differs }
}

/// Whether an entry with `left` is drift where no decision stands behind it: what is over is swept.
pub fn is_stray(left: Option<Duration>) -> bool {
    left.is_none_or(|left| left > SLACK)
}

/// Whether a ban with `wanted` left is drift where the kernel has no entry for it.
pub fn is_missing(wanted: Option<Duration>) -> bool {
    wanted.is_none_or(|left| left >= SLACK)
}

/// Who comes first where there is not room for all: what more authority has decided, and of that what lasts longest.
pub type Precedence = (Reverse<Origin>, bool, Reverse<Option<Instant>>);

/// The precedence of what `origin` has decided and what ends at `until`, or not before it is lifted.
pub fn precedence(origin: Origin, until: Option<Instant>) -> Precedence {
    (Reverse(origin), until.is_some(), Reverse(until))
}

/// One entry that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// A decision in force that the kernel does not enforce, or for too short a time.
    Missing(Decision),
    /// An entry of the kernel's with no decision behind it, or that outlives it.
    Stray(Source),
}

/// The differences between the decisions in force and the entries found at `now`, each entry with
/// what is left of it (`None` is until lifted).
pub fn drift(
    decisions: impl Iterator<Item = Decision>,
    entries: &[(Source, Option<Duration>)],
    now: Instant,
) -> Vec<Drift> {
    let mut found: HashMap<Source, Option<Duration>> = entries.iter().copied().collect();
    let mut drift = Vec::new();
    for decision in decisions.filter(|decision| decision.layer == Layer::Packet) {
        let wanted = decision.remaining(now);
        let differs = match found.remove(&decision.source) {
            None => is_missing(wanted),
            Some(left) => compare(decision.source, wanted, left) == Match::Differs,
        };
        if differs {
            drift.push(Drift::Missing(decision));
        }
    }
    drift.extend(
        found.into_iter().filter(|&(_, left)| is_stray(left)).map(|(source, _)| Drift::Stray(source)),
    );
    drift
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use super::super::decision::DecisionId;
    use super::*;

    /// Source, what is left by the decision, what is left by the entry, the drift.
    type Row = (&'static str, Option<Option<u64>>, Option<Option<u64>>, &'static str);

    fn decision(source: &str, left: Option<u64>, now: Instant) -> Decision {
        Decision {
            id: DecisionId(1),
            source: source.parse().unwrap(),
            origin: Origin::Detector,
            layer: Layer::Packet,
            reason: "test".into(),
            comment: None,
            until: left.map(|left| now + Duration::from_secs(left)),
            incident: None,
            made_at: std::time::UNIX_EPOCH,
            enforced_after: None,
        }
    }

    #[test]
    fn each_kind_of_difference_is_found_and_equality_is_none() {
        let now = Instant::now();
        let rows: &[Row] = &[
            ("203.0.113.1", Some(Some(60)), Some(Some(60)), ""),
            ("203.0.113.1", Some(None), Some(None), ""),
            ("203.0.113.1", Some(Some(60)), Some(Some(61)), ""),
            ("203.0.113.1", Some(Some(60)), None, "missing"),
            ("203.0.113.1", Some(Some(60)), Some(Some(30)), "missing"),
            ("203.0.113.1", Some(Some(60)), Some(Some(90)), "missing"),
            ("203.0.113.1", Some(None), Some(Some(90)), "missing"),
            ("203.0.113.1", Some(Some(60)), Some(None), "missing"),
            ("203.0.113.0/24", Some(Some(60)), Some(Some(90)), ""),
            ("203.0.113.0/24", Some(Some(60)), Some(None), ""),
            ("203.0.113.0/24", Some(Some(60)), Some(Some(30)), "missing"),
            ("203.0.113.1", None, Some(Some(60)), "stray"),
            ("203.0.113.1", None, Some(None), "stray"),
            ("203.0.113.1", None, Some(Some(0)), ""),
            ("203.0.113.1", Some(Some(1)), None, ""),
        ];
        for (source, decided, found, expected) in rows {
            let decisions: Vec<_> = decided.iter().map(|&left| decision(source, left, now)).collect();
            let entries: Vec<_> =
                found.iter().map(|left| (source.parse().unwrap(), left.map(Duration::from_secs))).collect();
            let told = match drift(decisions.into_iter(), &entries, now).as_slice() {
                [] => "",
                [Drift::Missing(_)] => "missing",
                [Drift::Stray(_)] => "stray",
                more => panic!("{more:?}"),
            };
            assert_eq!(told, *expected, "{source} decided {decided:?} found {found:?}");
        }
    }

    #[test]
    fn a_ban_at_the_doors_is_not_looked_for_in_the_kernel() {
        let now = Instant::now();
        let at_the_door = Decision { layer: Layer::Request, ..decision("203.0.113.1", None, now) };
        assert_eq!(drift([at_the_door].into_iter(), &[], now), []);
    }
}
