//! Forgetting whom nobody may be told of any more.

use super::Desk;
use crate::store::names;

impl Desk {
    /// Nobody is told any more of what names `whom`.
    pub(in crate::alerts) fn erase(&mut self, whom: &str) {
        for group in self.groups.values_mut() {
            let named: Vec<_> = group.firing.extract_if(.., |_, alert| alert.names(whom)).collect();
            for (id, _) in named {
                group.news.remove(&id);
            }
            group.ended.retain(|alert| !alert.names(whom));
        }
        for held in self.held.values_mut() {
            held.names.retain(|name| !names(name, whom));
            if names(&held.summary, whom) {
                held.summary.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::config::{Config, Severity};
    use super::super::super::judge::Alert;
    use super::*;

    #[test]
    fn nobody_is_told_of_whom_is_erased_and_of_others_they_are() {
        let mut desk = Desk::new(&Config::default());
        for address in ["192.0.2.1", "192.0.2.11"] {
            let alert = Alert {
                id: address.to_owned(),
                rule: "response/tell".to_owned(),
                which: format!("source={address}"),
                severity: Severity::Warning,
                summary: "it applies".to_owned(),
                value: 1.0,
                started_at_ms: 0,
                resolved_at_ms: None,
            };
            desk.take(alert, 0);
        }
        desk.erase("192.0.2.1");
        let told: Vec<_> = desk.due(60_000).into_iter().flat_map(|(notice, _)| notice.lines).collect();
        let which: Vec<_> = told.iter().map(|line| line.which.as_str()).collect();
        assert_eq!(which, ["source=192.0.2.11"]);
    }
}
