//! What `replay` and `rules` print.

use serde_json::{Value, json};

use super::{listed, put, text};
use crate::cli::replay::{Outcome, Tally};

pub(in crate::cli) fn replayed(outcome: &Outcome, as_json: bool) {
    if as_json {
        put(&serde_json::to_string(outcome).unwrap_or_default());
        return;
    }
    let mut rows: Vec<_> = outcome.categories.iter().map(|(name, tally)| row(name, tally)).collect();
    rows.push(row("total", &outcome.total));
    let titles = ["category", "attacks", "refused", "%", "honest", "refused", "%"];
    listed(&rows, false, "no requests", &titles, |row| {
        row.as_array().into_iter().flatten().map(text).collect()
    });
}

fn row(name: &str, tally: &Tally) -> Value {
    let Tally { attack, legit } = tally;
    json!([
        name,
        attack.n.to_string(),
        attack.detected.to_string(),
        percent(attack.detected, attack.n),
        legit.n.to_string(),
        legit.flagged.to_string(),
        percent(legit.flagged, legit.n),
    ])
}

/// Hundredths of a percent, as a decimal; nothing of nothing is a dash.
fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(10_000).checked_div(whole) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

pub(in crate::cli) fn rules(rows: &[Value], as_json: bool) {
    listed(rows, as_json, "there are no rules", &["rule", "act", "sure", "looks for"], |row| {
        vec![text(&row["id"]), act(row), row["confidence"].to_string(), text(&row["about"])]
    });
}

/// What comes of a rule's claims.
fn act(rule: &Value) -> String {
    rule["action"].as_str().unwrap_or("off").to_owned()
}

pub(in crate::cli) fn rule(rule: &Value, as_json: bool) {
    if as_json {
        put(rule);
        return;
    }
    let mut lines = vec![text(&rule["id"]), text(&rule["about"])];
    let mut line = |name: &str, said: String| lines.push(format!("{name:<11}{said}"));
    line("class", text(&rule["class"]));
    line("confidence", rule["confidence"].to_string());
    line("act", act(rule));
    line("from", text(&rule["origin"]));
    for (name, key) in
        [("references", "references"), ("tags", "tags"), ("matches", "attacks"), ("lets pass", "honest")]
    {
        let said: Vec<_> = rule[key].as_array().into_iter().flatten().map(text).collect();
        let each = if matches!(key, "attacks" | "honest") { said } else { vec![said.join(", ")] };
        each.into_iter().filter(|said| !said.is_empty()).for_each(|said| line(name, said));
    }
    put(&lines.join("\n"));
}

pub(in crate::cli) fn tested(rows: &[Value], as_json: bool) {
    listed(rows, as_json, "the file is empty", &["verdict", "score", "rules", "value"], |row| {
        let found = ["findings", "observed"].into_iter().filter_map(|key| row[key].as_array()).flatten();
        let rules: Vec<_> = found.map(|finding| text(&finding["rule"])).collect();
        let verdict = if row["refused"] == true { "refuse" } else { "pass" };
        vec![verdict.to_owned(), row["score"].to_string(), rules.join(" "), text(&row["value"])]
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_said_in_hundredths() {
        assert_eq!((percent(1, 3), percent(0, 0)), ("33.33".to_owned(), "-".to_owned()));
    }
}
