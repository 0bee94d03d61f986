//! What the packet path is to reach, and whether it did.

use std::ops::RangeInclusive;

use serde_json::Value;

/// A figure by its place in the answer, and what it may be.
type Goal = (&'static str, RangeInclusive<f64>);

const GOALS: [Goal; 17] = [
    ("/over_floor/hit 1000", 0.0..=1.15),
    ("/over_floor/hit 1000000", 0.0..=2.6),
    ("/miss_hot_ns", f64::MIN..=15.0),
    ("/ipv6/miss_hot_ns", f64::MIN..=25.0),
    ("/over_floor/limit", 0.0..=1.25),
    ("/flood_extra_ns", f64::MIN..=60.0),
    ("/limit_accuracy/paced_2cpu", 0.98..=1.02),
    ("/limit_accuracy/flood_2cpu", 0.0..=1.05),
    ("/load_1m_ms", 0.0..=200.0),
    ("/bytes_per_entry", 0.0..=24.0),
    ("/change_us", 0.0..=100.0),
    ("/leaked/swap", 0.0..=0.0),
    ("/leaked/program", 0.0..=0.0),
    ("/leaked/kill", 0.0..=0.0),
    ("/leaked_of_mpps/swap", 1.0..=f64::MAX),
    ("/leaked_of_mpps/program", 1.0..=f64::MAX),
    ("/leaked_of_mpps/kill", 1.0..=f64::MAX),
];

/// The goals that an answer misses, by the places of their figures; says what it comes to of each.
pub(super) fn missed(answer: &Value, say: &dyn Fn(&str)) -> Vec<&'static str> {
    let reached = GOALS.iter().map(|(place, goal)| {
        let figure = answer.pointer(place).and_then(Value::as_f64);
        let is_reached = figure.is_some_and(|figure| goal.contains(&figure));
        let bounds = match (*goal.start(), *goal.end()) {
            (least, f64::MAX) => format!("at least {least}"),
            (least, most) if least > 0.0 => format!("{least} to {most}"),
            (_, most) => format!("at most {most}"),
        };
        let figure = figure.map_or_else(|| "not measured".to_owned(), |figure| figure.to_string());
        let place = place.trim_start_matches('/');
        say(&format!(
            "{:6} {place:28} {figure:>8}, goal {bounds}",
            if is_reached { "met" } else { "MISSED" }
        ));
        (place, is_reached)
    });
    let missed: Vec<_> = reached.filter(|(_, is_reached)| !is_reached).collect();
    missed.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond_it_or_unmeasured() {
        let answer = json!({
            "over_floor": { "hit 1000": 1.15, "hit 1000000": 2.61 },
            "leaked": { "swap": 0, "program": 1 },
            "limit_accuracy": { "paced_2cpu": 0.97 },
            "leaked_of_mpps": { "swap": 1.2 },
            "miss_hot_ns": -0.3,
        });
        let missed = missed(&answer, &|_| {});
        for met in ["over_floor/hit 1000", "leaked/swap", "leaked_of_mpps/swap", "miss_hot_ns"] {
            assert!(!missed.contains(&met), "{met}");
        }
        for not in ["over_floor/hit 1000000", "leaked/program", "limit_accuracy/paced_2cpu", "leaked/kill"] {
            assert!(missed.contains(&not), "{not}");
        }
    }
}
