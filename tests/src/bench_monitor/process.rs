//! What a process has used of the processors.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// What the kernel tells user space is in hundredths, whatever it counts in.
const USER_HZ: u32 = 100;

/// Time on the processors that `pid` has had, with the threads that have ended; to a hundredth of a second.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have anything in it, comes the third field.
    let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let field =
        |number: usize| fields.get(number - 3).context("too few fields")?.parse::<u64>().context("no number");
    Ok(Duration::from_secs(field(14)? + field(15)?) / USER_HZ)
}
