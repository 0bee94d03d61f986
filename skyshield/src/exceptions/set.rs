//! All exceptions in force, as verdicts read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use super::scope::{Circumstances, Compiled};
use super::{Exception, Scope};
use crate::engine::risk::{Kind, Term};
use crate::inspect::Finding;

/// Exceptions at the most: each is asked for every finding.
pub const MAX_EXCEPTIONS: usize = 1000;

/// An exception in force, and how often it was needed.
#[derive(Debug)]
pub struct Held {
    /// The exception.
    pub exception: Exception,
    compiled: Compiled,
    used: AtomicU64,
}

impl Held {
    /// `exception`, not needed yet.
    pub fn new(exception: Exception) -> Self {
        let compiled = Compiled::new(exception.scope.clone());
        Self { exception, compiled, used: AtomicU64::new(0) }
    }

    /// Requests that it took findings from, since the daemon started.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// What it covers.
    pub fn scope(&self) -> &Scope {
        &self.compiled.scope
    }
}

/// Exceptions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Set {
    all: Vec<Arc<Held>>,
}

impl Set {
    /// The set of `all`.
    pub fn new(all: impl IntoIterator<Item = Arc<Held>>) -> Self {
        Self { all: all.into_iter().take(MAX_EXCEPTIONS).collect() }
    }

    /// The exceptions, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.all.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The same exceptions, of which nobody is told how often they are needed here.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(self.all.iter().map(|held| Arc::new(Held::new(held.exception.clone()))))
    }

    /// Which of `terms`, by their numbers, exceptions would take from a request; nothing is counted.
    pub fn covered(&self, terms: &[Term], request: &Circumstances<'_>, now: Instant) -> Vec<usize> {
        let taking = self.all.iter().filter(|held| held.exception.holds(now) && held.compiled.takes(request));
        let taking: Vec<_> = taking.collect();
        let is_covered = |term: &Term| {
            term.kind == Kind::Finding
                && taking.iter().any(|held| held.scope().covers(&term.rule, term.place.as_ref()))
        };
        let numbered = terms.iter().enumerate();
        numbered.filter(|(_, term)| is_covered(term)).map(|(number, _)| number).collect()
    }

    /// Takes from `findings` what an exception covers; how many exceptions were needed for it.
    pub fn apply(&self, findings: &mut Vec<Finding>, request: &Circumstances<'_>, now: Instant) -> usize {
        if self.all.is_empty() || findings.is_empty() {
            return 0;
        }
        let mut needed = 0;
        for held in self.all.iter().filter(|held| held.exception.holds(now) && held.compiled.takes(request)) {
            let before = findings.len();
            findings.retain(|finding| !held.scope().covers(&finding.rule, Some(&finding.place)));
            if findings.len() < before {
                held.used.fetch_add(1, Ordering::Relaxed);
                needed += 1;
            }
        }
        needed
    }
}

/// The exceptions in force: read by every request, written by the one owner of decisions.
#[derive(Debug, Default)]
pub struct Live(ArcSwap<Set>);

impl Live {
    /// The exceptions as they are now.
    pub fn load(&self) -> Guard<Arc<Set>> {
        self.0.load()
    }

    /// The same, to be kept for longer than a request lasts.
    pub fn load_full(&self) -> Arc<Set> {
        self.0.load_full()
    }

    /// Puts in force what `change` makes of the exceptions; it may be asked more than once.
    pub fn change(&self, mut change: impl FnMut(&Set) -> Set) {
        self.0.rcu(|set| change(set));
    }
}
