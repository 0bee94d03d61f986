//! What rules are worth on attacks of families they were not chosen by.

use std::collections::BTreeSet;

use serde::Serialize;

use super::family::{self, Half};
use super::{Attacks, Tally};
use crate::config::Config;
use crate::engine::standing::Standing;
use crate::inspect::{Request, own};
use crate::verdict::Settings;

/// Attacks by the half their family is in. Honest requests are of no family and not counted here.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Split {
    pub(in crate::cli) development: Share,
    /// Those of the other half, by all rules.
    pub(in crate::cli) held_out: Share,
    /// The same, by those rules alone that found something in the development half.
    pub(in crate::cli) held_out_by_chosen: Attacks,
    /// How many rules those are.
    pub(in crate::cli) rules_chosen: usize,
    #[serde(skip)]
    families: BTreeSet<String>,
    #[serde(skip)]
    chosen: BTreeSet<String>,
}

/// One half.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Share {
    pub(in crate::cli) families: usize,
    pub(in crate::cli) attack: Attacks,
}

impl Split {
    /// Counts an attack.
    pub(super) fn count(
        &mut self,
        settings: &Settings,
        category: &str,
        request: &Request<'_>,
        refused: bool,
    ) {
        let family = family::of(category, request);
        let half = family::half(&family);
        let share = match half {
            Half::Development => &mut self.development,
            Half::HeldOut => &mut self.held_out,
        };
        share.attack.n += 1;
        share.attack.detected += u64::from(refused);
        share.families += usize::from(self.families.insert(family));
        if half == Half::Development {
            let opinion = settings.opinion(request, Standing::default());
            self.chosen
                .extend(opinion.inspection.findings.into_iter().map(|finding| finding.rule.into_owned()));
        }
    }

    /// The settings of `config` with the rules alone that found something in the development half.
    pub(super) fn chosen(&mut self, config: &Config) -> Settings {
        self.rules_chosen = self.chosen.len();
        let mut inspect = config.inspect.clone();
        let others = own::infos(&config.inspect).map(|info| info.id.into_owned());
        inspect.disable.extend(others.filter(|id| !self.chosen.contains(id)));
        Settings::new(&inspect, &config.risk, &config.routes)
    }

    /// Counts an attack before the chosen rules, if it is of the held-out half.
    pub(super) fn count_by_chosen(
        &mut self,
        category: &str,
        request: &Request<'_>,
        refused: impl FnOnce() -> bool,
    ) {
        if family::half(&family::of(category, request)) == Half::HeldOut {
            let mut tally = Tally::default();
            tally.count(true, refused());
            self.held_out_by_chosen.n += tally.attack.n;
            self.held_out_by_chosen.detected += tally.attack.detected;
        }
    }
}
