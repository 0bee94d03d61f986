//! Which series are kept for a month, so that a dashboard needs no other store.

use crate::engine::reading::Readings;
use crate::store::HistoryRow;
use std::collections::BTreeMap;

/// Series that are kept at the most.
const MAX_SERIES: usize = 400;
/// Names of readings that are kept, beside those that begin as [`PREFIXES`] say.
const NAMES: &[&str] = &[
    "process_resident_memory_bytes",
    "skyshield_decisions_in_force",
    "skyshield_enforcement_drift",
    "skyshield_gateway_connections",
    "skyshield_incidents_total",
    "skyshield_requests_total",
    "skyshield_ratelimited_total",
    "skyshield_xdp_packets_total",
];
const PREFIXES: &[&str] = &["host_", "site_", "slo_budget_left", "skyshield_business_"];

/// The minute in progress.
#[derive(Debug, Default)]
pub(super) struct Minute {
    at: Option<i64>,
    series: BTreeMap<String, HistoryRow>,
}

impl Minute {
    /// Takes in the readings of `now` (seconds since 1970); yields the minute before once it is over.
    pub(super) fn add(&mut self, readings: &Readings, now: i64) -> Option<Vec<HistoryRow>> {
        let minute = now - now.rem_euclid(60);
        let is_over = self.at.is_some_and(|at| at != minute);
        let over = is_over.then(|| std::mem::take(&mut self.series).into_values().collect());
        self.at = Some(minute);
        for reading in readings.iter().filter(|reading| is_kept(&reading.name)) {
            let which = reading.which();
            let name =
                if which.is_empty() { reading.name.clone() } else { format!("{}{{{which}}}", reading.name) };
            let value = reading.value;
            if let Some(row) = self.series.get_mut(&name) {
                row.count += 1;
                row.sum += value;
                row.max = row.max.max(value);
            } else if self.series.len() < MAX_SERIES {
                let row = HistoryRow { series: name.clone(), at: minute, count: 1, sum: value, max: value };
                self.series.insert(name, row);
            }
        }
        over
    }
}

fn is_kept(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reading::Reading;

    #[test]
    fn a_minute_is_told_once_it_is_over() {
        let mut minute = Minute::default();
        let readings = |cpu: f64| {
            let disk = Reading::of("host_disk_used_ratio", "mountpoint", "/", 0.5);
            Readings::new(vec![Reading::new("host_cpu_busy_ratio", cpu), disk, Reading::new("other", 1.0)])
        };
        assert_eq!(minute.add(&readings(0.2), 120), None);
        assert_eq!(minute.add(&readings(0.6), 170), None);
        let rows = minute.add(&readings(0.1), 180).unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.series.as_str(), row.at, row.count, row.max)).collect();
        assert_eq!(
            told,
            [("host_cpu_busy_ratio", 120, 2, 0.6), ("host_disk_used_ratio{mountpoint=/}", 120, 2, 0.5)]
        );
    }
}
