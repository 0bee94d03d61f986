//! What happened, as alerts: one for each source of a rule, over once it has not happened for a while. Pure.

use std::collections::BTreeMap;

use super::config::Severity;
use super::judge::Alert;
use crate::engine::happening::Happening;

/// What is remembered at once; beyond it nothing further is begun, and that is counted.
const MAX_HAPPENINGS: usize = 2000;
/// What has not happened again for this long is over, in milliseconds.
const OVER_AFTER_MS: i64 = 15 * 60_000;
/// Names of rules that are none of readings begin so.
const MARK: &str = "response/";

/// What has happened of late, and when last, by rule and by which it was.
#[derive(Debug, Default)]
pub(super) struct Happened {
    alerts: BTreeMap<(String, String), (Alert, i64)>,
    /// What was not begun for want of room.
    pub(super) refused: u64,
}

impl Happened {
    /// Whether alerts of `rule` are of what happened.
    pub(super) fn is_of(rule: &str) -> bool {
        rule.starts_with(MARK)
    }

    /// Takes up what had happened before a restart.
    pub(super) fn restore(&mut self, alert: Alert, now_ms: i64) {
        if self.alerts.len() < MAX_HAPPENINGS {
            self.alerts.insert((alert.rule.clone(), alert.which.clone()), (alert, now_ms));
        }
    }

    /// The alert that begins with `happening`, if it is not known of yet. Its value is how often it happened.
    pub(super) fn take(
        &mut self,
        happening: Happening,
        now_ms: i64,
        mint: &mut dyn FnMut() -> String,
    ) -> Option<Alert> {
        let Happening { rule, which, summary } = happening;
        let key = (format!("{MARK}{rule}"), which);
        if let Some((alert, last_ms)) = self.alerts.get_mut(&key) {
            alert.value += 1.0;
            *last_ms = now_ms;
            return None;
        }
        if self.alerts.len() >= MAX_HAPPENINGS {
            self.refused += 1;
            return None;
        }
        let alert = Alert {
            id: mint(),
            rule: key.0.clone(),
            which: key.1.clone(),
            severity: Severity::Warning,
            summary,
            value: 1.0,
            started_at_ms: now_ms,
            resolved_at_ms: None,
        };
        self.alerts.insert(key, (alert.clone(), now_ms));
        Some(alert)
    }

    /// What is over.
    pub(super) fn over(&mut self, now_ms: i64) -> Vec<Alert> {
        let over = self.alerts.extract_if(.., |_, (_, last_ms)| *last_ms + OVER_AFTER_MS <= now_ms);
        over.map(|(_, (alert, _))| Alert { resolved_at_ms: Some(now_ms), ..alert }).collect()
    }

    /// Forgets what names `whom`; how many that were.
    pub(super) fn erase(&mut self, whom: &str) -> usize {
        self.alerts.extract_if(.., |_, (alert, _)| alert.names(whom)).count()
    }

    /// How many of this severity there are.
    pub(super) fn firing(&self, severity: Severity) -> usize {
        self.alerts.values().filter(|(alert, _)| alert.severity == severity).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(which: &str) -> Happening {
        Happening { rule: "tell".into(), which: which.into(), summary: "it applies".into() }
    }

    #[test]
    fn what_happens_again_is_one_alert_until_it_is_over() {
        let mut happened = Happened::default();
        let mut mint = || "id".to_owned();
        let alert = happened.take(happening("source=192.0.2.1"), 0, &mut mint).unwrap();
        assert!(Happened::is_of(&alert.rule) && alert.which == "source=192.0.2.1");
        assert_eq!(happened.take(happening("source=192.0.2.1"), 60_000, &mut mint), None);
        assert!(happened.over(OVER_AFTER_MS).is_empty(), "it happened again since");
        let over = happened.over(OVER_AFTER_MS + 60_000);
        assert_eq!((over.len(), over[0].value), (1, 2.0));
        assert!(happened.take(happening("source=192.0.2.1"), 2_000_000, &mut mint).is_some());
    }

    #[test]
    fn a_flood_of_sources_is_bounded_and_counted() {
        let mut happened = Happened::default();
        for at in 0..MAX_HAPPENINGS + 5 {
            happened.take(happening(&format!("source={at}")), 0, &mut || at.to_string());
        }
        assert_eq!((happened.firing(Severity::Warning), happened.refused), (MAX_HAPPENINGS, 5));
    }
}
