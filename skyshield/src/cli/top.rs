//! `skyshield top`: what is going on, looked at again and again.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::client::ask;
use super::{Failure, show};

/// Incidents that are looked at: the newest.
const LOOKED_AT: usize = 1000;
/// Rows of each table.
const ROWS: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Top {
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// How many looks [default: until interrupted]
    #[arg(long)]
    looks: Option<u32>,
}

pub(super) fn obey(socket: &Path, top: &Top, json: bool) -> Result<(), Failure> {
    let mut looks = 0;
    loop {
        show::top(&look(socket)?, json);
        looks += 1;
        if top.looks.is_some_and(|wanted| looks >= wanted) {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(top.every));
    }
}

/// How the daemon is, and whose and what the newest incidents are.
fn look(socket: &Path) -> Result<Value, Failure> {
    let health = ask(socket, Method::GET, "/api/v1/monitoring/health/", None)?;
    let page = ask(socket, Method::GET, &format!("/api/v1/incidents?limit={LOOKED_AT}"), None)?;
    let incidents = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let by = |name: &str| most(incidents.iter().filter_map(|incident| incident[name].as_str()));
    let rules = incidents.iter().flat_map(|incident| incident["findings"].as_array().into_iter().flatten());
    Ok(json!({
        "health": health,
        "looked_at": incidents.len(),
        "since": incidents.last().map_or(&Value::Null, |oldest| &oldest["at"]),
        "sources": by("address"),
        "rules": most(rules.filter_map(|finding| finding["rule"].as_str())),
        "hosts": by("host"),
        "acts": by("act"),
    }))
}

/// What is named most, and how often.
fn most<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let mut counts = HashMap::<&str, u64>::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    counts.into_iter().take(ROWS).map(|(name, count)| json!({ "name": name, "count": count })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_most_comes_first() {
        let named = most(["b", "a", "b", "c", "a", "b"].into_iter());
        assert_eq!(
            named,
            [
                json!({ "name": "b", "count": 3 }),
                json!({ "name": "a", "count": 2 }),
                json!({ "name": "c", "count": 1 })
            ]
        );
    }
}
