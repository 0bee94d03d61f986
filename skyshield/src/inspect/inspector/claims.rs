//! What rules claimed of one request: each once at a place, the surest, in an order of its own.

use std::borrow::Cow;

use crate::inspect::budget::Budget;
use crate::inspect::finding::{Action, Confidence, Finding, Inspection, Place};
use crate::inspect::limits::Limits;
use crate::inspect::matcher::Hit;
use crate::inspect::values::{Parts, Value};

/// The claims so far.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    route: &'a str,
    limits: &'a Limits,
    findings: Kept,
    observed: Kept,
    demanded_by: Vec<Cow<'static, str>>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(route: &'a str, limits: &'a Limits) -> Self {
        Self { route, limits, findings: Kept::default(), observed: Kept::default(), demanded_by: Vec::new() }
    }

    /// Notes a hit, where the rule looks at values of this name and at this route.
    pub(super) fn note(&mut self, value: Value<'_>, hit: &Hit<'_>) {
        let rule = hit.rule;
        let outside =
            rule.scope.as_ref().is_some_and(|scope| !(scope.names(value.name) && scope.routes(self.route)));
        if outside {
            return;
        }
        let finding = Finding {
            rule: rule.id.clone(),
            class: rule.class,
            place: place(value, self.limits.name_chars),
            confidence: Confidence::new(hit.confidence),
            matched: shown(hit.matched, self.limits.matched_chars),
        };
        if rule.action == Action::Refuse && !self.demanded_by.contains(&rule.id) {
            self.demanded_by.push(rule.id.clone());
        }
        let kept = match rule.action {
            Action::Weigh | Action::Refuse => &mut self.findings,
            Action::Observe => &mut self.observed,
        };
        kept.add(finding, self.limits.findings);
    }

    pub(super) fn conclude(self, mut budget: Budget) -> Inspection {
        let most = self.limits.findings;
        if self.findings.0.len() > most || self.observed.0.len() > most {
            budget.reach("findings");
        }
        Inspection {
            findings: self.findings.surest(most),
            observed: self.observed.surest(most),
            demanded_by: self.demanded_by,
            limits_reached: budget.into_reached(),
        }
    }
}

/// Findings, one of a rule at a place. Which are kept does not depend on the order they came in.
#[derive(Debug, Default)]
struct Kept(Vec<Finding>);

impl Kept {
    fn add(&mut self, finding: Finding, most: usize) {
        let same = |known: &&mut Finding| known.rule == finding.rule && known.place == finding.place;
        if let Some(known) = self.0.iter_mut().find(same) {
            if order(&finding, known).is_lt() {
                *known = finding;
            }
            return;
        }
        self.0.push(finding);
        // Room for a few rounds, so that a flood of hits is sorted seldom and kept bounded.
        if self.0.len() > most.saturating_mul(4).saturating_add(64) {
            self.cut(most.saturating_add(1));
        }
    }

    fn surest(mut self, most: usize) -> Vec<Finding> {
        self.cut(most);
        self.0
    }

    fn cut(&mut self, most: usize) {
        self.0.sort_by(order);
        self.0.truncate(most);
    }
}

/// The surest first; among equals whatever is the same for the same findings.
fn order(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    b.confidence
        .value()
        .total_cmp(&a.confidence.value())
        .then_with(|| a.rule.cmp(&b.rule))
        .then_with(|| a.place.cmp(&b.place))
        .then_with(|| a.matched.cmp(&b.matched))
}

fn place(value: Value<'_>, chars: usize) -> Place {
    let name = || shown(value.name, chars);
    match value.part {
        Parts::PATH | Parts::SEGMENT => Place::Path,
        Parts::QUERY => Place::Query(name()),
        Parts::COOKIE => Place::Header(format!("cookie.{}", name())),
        Parts::FIELD | Parts::TEXT | Parts::FILE | Parts::FILENAME => Place::Body(name()),
        _ => Place::Header(name().to_ascii_lowercase()),
    }
}

/// Bytes as text of at most `chars` characters, control characters escaped.
fn shown(bytes: &[u8], chars: usize) -> String {
    let head = &bytes[..bytes.len().min(chars.saturating_mul(4))];
    let text = String::from_utf8_lossy(head);
    let escaped = text.chars().flat_map(|char| {
        let escape = char.is_control().then(|| char.escape_default());
        let plain = escape.is_none().then_some(char);
        escape.into_iter().flatten().chain(plain)
    });
    escaped.take(chars).collect()
}
