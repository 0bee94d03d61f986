//! What `replay` and `rules` print.

use serde_json::{Value, json};

use super::{listed, put, text};
use crate::cli::replay::{Attacks, Outcome};
use crate::rehearsal::{Against, Tally};

pub(in crate::cli) fn replayed(outcome: &Outcome, as_json: bool) {
    if as_json {
        put(&serde_json::to_string(outcome).unwrap_or_default());
        return;
    }
    let mut rows: Vec<_> = outcome.categories.iter().map(|(name, tally)| row(name, tally)).collect();
    rows.push(row("total", &outcome.total));
    if let Some(split) = &outcome.split {
        let half = |name: &str, attack: &Attacks| {
            json!([
                name,
                attack.n.to_string(),
                attack.detected.to_string(),
                percent(attack.detected, attack.n)
            ])
        };
        let name = |name: &str, families: usize| format!("{name}, {families} families");
        rows.push(half(&name("development", split.development.families), &split.development.attack));
        rows.push(half(&name("held out", split.held_out.families), &split.held_out.attack));
        let chosen = format!("the same by {} rules of the other half", split.rules_chosen);
        rows.push(half(&chosen, &split.held_out_by_chosen));
    }
    if outcome.exceptions.is_none() {
        put(&"no daemon said which exceptions are in force: none was heeded");
    }
    let titles = ["category", "attacks", "refused", "%", "honest", "refused", "%"];
    listed(&rows, false, "no requests", &titles, |row| {
        row.as_array().into_iter().flatten().map(text).collect()
    });
    if outcome.sources.is_empty() {
        return;
    }
    let told: Vec<_> = outcome.sources.iter().map(|source| json!(source)).collect();
    let titles = ["source", "requests", "limited", "refused", "dropped", "bans", "why"];
    listed(&told, false, "", &titles, |row| {
        let count = |name: &str| row[name].to_string();
        let why: Vec<_> = row["why"].as_array().into_iter().flatten().map(text).collect();
        let counts = ["requests", "limited", "refused", "dropped", "bans"].map(count);
        [vec![text(&row["source"])], counts.to_vec(), vec![why.join(", ")]].concat()
    });
}

pub(in crate::cli) fn against(told: &Against, as_json: bool) {
    if as_json {
        put(&serde_json::to_string(told).unwrap_or_default());
        return;
    }
    put(&format!("{} requests were weighed again, {} could not be", told.looked_at, told.not_weighed));
    for (change, count) in &told.changes {
        put(&format!("{count} × {change}"));
    }
    let named: Vec<_> = told.named.iter().map(|changed| json!(changed)).collect();
    let titles = ["incident", "route", "was", "would be", "score", "rules"];
    listed(&named, false, "nothing would have been otherwise", &titles, |row| {
        let rules: Vec<_> = row["rules"].as_array().into_iter().flatten().map(text).collect();
        let score = format!("{} → {}", row["score"][0], row["score"][1]);
        let said = ["incident", "route", "was", "would_be"].map(|name| text(&row[name]));
        [said.to_vec(), vec![score, rules.join(", ")]].concat()
    });
}

pub(in crate::cli) fn rehearsed(outcome: &Value, as_json: bool) {
    if as_json {
        put(&outcome.to_string());
        return;
    }
    let tally = |name: &str, tally: &Value| {
        let count = |label: &str, of: &str| tally[label][of].as_u64().unwrap_or_default();
        let (n, detected) = (count("attack", "n"), count("attack", "detected"));
        let (honest, flagged) = (count("legit", "n"), count("legit", "flagged"));
        json!([
            name,
            n.to_string(),
            detected.to_string(),
            percent(detected, n),
            honest.to_string(),
            flagged.to_string(),
            percent(flagged, honest),
        ])
    };
    let categories = outcome["categories"].as_object();
    let mut rows: Vec<_> = categories.into_iter().flatten().map(|(name, one)| tally(name, one)).collect();
    rows.push(tally("total", &outcome["total"]));
    let titles = ["category", "attacks", "refused", "%", "honest", "refused", "%"];
    listed(&rows, false, "no requests", &titles, |row| {
        row.as_array().into_iter().flatten().map(text).collect()
    });
    let (tries, took) = (&outcome["requests_to_ban"], &outcome["time_to_ban_ms"]);
    put(&format!(
        "an attacker is banned by his request number {} (99 of 100: {}), {:.3} ms after its last byte (99 of 100: {:.3}); {} never",
        tries["p50"],
        tries["p99"],
        took["p50"].as_f64().unwrap_or_default(),
        took["p99"].as_f64().unwrap_or_default(),
        outcome["never_banned"],
    ));
    for (what, name) in [("passed", "missed"), ("was refused", "flagged")] {
        for one in outcome[name].as_array().into_iter().flatten() {
            put(&format!("{} {what}", text(one)));
        }
    }
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
