//! What is decided of places and by rules, put into the maps; and what both have met.

use std::sync::{MutexGuard, PoisonError};

use skyshield_common::maps as names;

use super::super::enforcer::{Hit, HitKind};
use super::super::error::Error;
use super::super::places::Placed;
use super::super::rules::{self, Rule};
use super::KernelMaps;

/// What rules and places are called, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Called {
    rules: Vec<String>,
    places: Vec<String>,
}

impl KernelMaps {
    fn called(&self) -> MutexGuard<'_, Called> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&mut self, placed: &Placed) -> Result<(), Error> {
        let is_same = placed.v4 == self.placed.v4 && placed.v6 == self.placed.v6;
        if !is_same {
            // What was placed and is no more leaves bits behind, each of which costs a look at a table.
            let [v4, v6] = self.placed.edges();
            self.stale = self.stale.saturating_add(v4).saturating_add(v6);
            for prefix in placed.prefixes() {
                self.near.add_prefix(prefix);
            }
        }
        let names = self.called().places.clone();
        if placed.names != names {
            // Counters are by number: another policy's must not go on.
            self.rules.forget(names::PLACE_HITS..names::HITS_SLOTS)?;
            self.called().places.clone_from(&placed.names);
        }
        let in_force = self.own.places;
        self.own.places = self.places.write(in_force, placed);
        let said = self.say();
        if said.is_ok() {
            self.placed = placed.clone();
        } else {
            self.own.places = in_force;
            self.called().places = names;
        }
        self.begin_epoch();
        said
    }

    pub(super) fn rule_by(&mut self, rules: &[Rule]) -> Result<(), Error> {
        let called: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let in_force = self.own.rules;
        let before = std::mem::replace(&mut self.called().rules, called.clone());
        let said = self.write_rules(rules, &before, &called);
        if said.is_err() {
            // What was refused must not come with what is said next.
            self.own.rules = in_force;
            self.called().rules = before;
        }
        said
    }

    fn write_rules(&mut self, rules: &[Rule], before: &[String], called: &[String]) -> Result<(), Error> {
        let image = rules::compile(rules);
        let is_held = self.rules.holds(self.own.rules, &image);
        // Counters are by number: another rule's must not go on. A daemon that takes up where another was killed
        // finds no names, and the counters of its own rules.
        if !is_held || !before.is_empty() && before != called {
            self.rules.forget(0..names::PLACE_HITS)?;
        }
        if !is_held {
            self.own.rules = if rules.is_empty() { 0 } else { self.rules.write(self.own.rules, &image) };
        }
        self.say()
    }

    pub(super) fn named_hits(&self) -> Result<Vec<Hit>, Error> {
        let named = |kind, names: &[String], first: u32| {
            let counted = u32::try_from(names.len()).unwrap_or(u32::MAX);
            let counters = self.rules.hits(first..first.saturating_add(counted))?;
            let named = names.iter().cloned().zip(counters);
            Ok::<_, Error>(named.map(move |(name, counter)| Hit { kind, name, counter }).collect::<Vec<_>>())
        };
        let called = self.called();
        let mut all = named(HitKind::Rule, &called.rules, 0)?;
        // Policies are numbered from 1.
        all.extend(named(HitKind::Place, &called.places, names::PLACE_HITS + 1)?);
        Ok(all)
    }
}
