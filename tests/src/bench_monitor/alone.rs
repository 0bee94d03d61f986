//! What looking costs at the default interval: a daemon that nobody asks anything, beside one that does not
//! look.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::process::cpu;
use crate::place::Place;

/// By then a daemon has done what it does once.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) fn measure(secs: u32) -> Result<Value> {
    let (looks, does_not) = (Place::new("", "")?, Place::new("", "[metrics]\nenabled = false\n")?);
    let daemons = [looks.start()?, does_not.start()?];
    thread::sleep(SETTLED);
    let used = || daemons.iter().map(|daemon| cpu(daemon.pid())).collect::<Result<Vec<_>>>();
    let before = used()?;
    thread::sleep(Duration::from_secs(secs.into()));
    let after = used()?;
    let shares: Vec<_> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after.saturating_sub(*before).as_secs_f64() / f64::from(secs) * 100.0)
        .collect();
    Ok(json!({
        "seconds": secs,
        "with_percent_of_a_core": shares[0],
        "without_percent_of_a_core": shares[1],
        "monitoring_percent_of_a_core": shares[0] - shares[1],
    }))
}
