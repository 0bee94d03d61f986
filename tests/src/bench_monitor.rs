//! The bench of what is measured and told of: what a scrape costs, events of the business at a rate and over
//! a kill, requests beside receivers that are dead, and what the daemon's looking costs.

mod alone;
mod business;
mod faults;
mod process;
mod scrape;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Map, Value};

use crate::figures::quantile;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bans in force while the page is scraped.
    pub bans: u32,
    /// Sources that have been seen by then.
    pub sources: u32,
    /// For how long business events are sent, in seconds.
    pub business_secs: u32,
    /// Requests of a round beside dead receivers.
    pub requests: u32,
    /// For how long an idle daemon is watched, in seconds.
    pub alone_secs: u32,
}

impl Size {
    /// What the product is held to; takes some minutes.
    pub const FULL: Self =
        Self { bans: 100_000, sources: 1_000_000, business_secs: 60, requests: 1000, alone_secs: 120 };
    /// Less of everything, to see whether it works.
    pub const SHORT: Self =
        Self { bans: 5000, sources: 10_000, business_secs: 5, requests: 100, alone_secs: 20 };
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What a scrape costs
    Scrape,
    /// Business events at a rate, and over a kill
    Business,
    /// Requests beside receivers and disks that fail
    Faults,
    /// What looking costs a daemon that is left alone
    Alone,
}

/// Runs `only` this part, or all of them, and returns the figures, one JSON object.
pub fn run(size: Size, only: Option<Part>, say: &dyn Fn(&str)) -> Result<Value> {
    let mut figures = Map::new();
    for part in [Part::Scrape, Part::Business, Part::Faults, Part::Alone] {
        if only.is_some_and(|only| only != part) {
            continue;
        }
        let Size { bans, sources, business_secs, requests, alone_secs } = size;
        let (name, measured) = match part {
            Part::Scrape => {
                say(&format!("scrapes with {bans} bans, after {sources} sources"));
                ("scrape", scrape::measure(bans, sources)?)
            }
            Part::Business => {
                say(&format!("10,000 business events a second for {business_secs} s, then kill -9"));
                ("business", business::measure(business_secs)?)
            }
            Part::Faults => {
                say(&format!(
                    "rounds of {requests} requests beside receivers that are dead, slow and strange"
                ));
                ("faults", faults::measure(requests)?)
            }
            Part::Alone => {
                say(&format!("{alone_secs} s of a daemon that is left alone, beside one that does not look"));
                ("alone", alone::measure(alone_secs)?)
            }
        };
        figures.insert(name.to_owned(), measured);
    }
    Ok(Value::Object(figures))
}

/// What is at `share` (0 to 1) of `times`, in milliseconds.
fn quantile_ms(times: &mut [Duration], share: f64) -> f64 {
    (quantile(times, share).as_secs_f64() * 1e6).round() / 1e3
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}
