//! A request through all rules: values, their readings, the prefilter, the checks, the findings.

use super::budget::{self, Budget};
use super::decode::{self, Text, base64};
use super::finding::{Confidence, Finding, Inspection, Place};
use super::limits::Limits;
use super::matcher::{Hit, Matcher};
use super::values::{self, Parts, Value};
use super::{Request, content, json};

/// The built-in rules, ready to run. Building one compiles them, which takes milliseconds; running it
/// shares nothing between requests.
#[derive(Debug)]
pub struct Inspector {
    limits: Limits,
    matcher: Matcher,
}

/// How sure a rule must be of a text that came in base64.
const SURE_IN_BASE64: f64 = 0.82;

impl Inspector {
    /// An inspector with all built-in rules, which reads as far as `limits` let it.
    pub fn new(limits: Limits) -> Self {
        Self { limits, matcher: Matcher::new() }
    }

    /// How far it reads.
    #[cfg(fuzzing)]
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the rules say of `request`. Never fails: what cannot be parsed is read as text.
    pub fn inspect(&self, request: &Request<'_>) -> Inspection {
        let (findings, budget) = self.read(request);
        self.conclude(findings, budget)
    }

    /// What inspecting `request` costs, in the steps of [`Limits::steps`].
    pub fn steps(&self, request: &Request<'_>) -> u64 {
        self.read(request).1.spent()
    }

    fn read(&self, request: &Request<'_>) -> (Vec<Finding>, Budget) {
        let mut findings = Vec::new();
        let mut budget = Budget::new(&self.limits);
        let mut see = |value: Value<'_>, budget: &mut Budget| self.value(value, budget, &mut findings);
        if let Some(content) = content::decoded(request, &self.limits.content) {
            content.reached.into_iter().for_each(|bound| budget.reach(bound));
            // An application that takes codings off reads the one, an application that does not reads
            // the other: where what came makes no sense to the first, the second is as likely.
            let readable = content.reached != Some(content::CONTENT_CODING);
            let (whole, beside) =
                if readable { (&*content.body, request.body) } else { (request.body, &*content.body) };
            values::walk(&Request { body: whole, ..*request }, &self.limits, &mut budget, &mut see);
            values::walk_body(
                &Request { body: beside, ..*request },
                readable,
                &self.limits,
                &mut budget,
                &mut see,
            );
        } else {
            values::walk(request, &self.limits, &mut budget, &mut see);
        }
        (findings, budget)
    }

    fn value(&self, value: Value<'_>, budget: &mut Budget, findings: &mut Vec<Finding>) {
        if self.matcher.is_dull(value.text) {
            return;
        }
        let (texts, cut) = decode::texts(value.text, value.encoding, self.limits.decode_depth, budget);
        if cut {
            budget.reach("decode_depth");
        }
        let base = &texts[0];
        let nested = value.part.meets(Parts::PARAMS) && json::looks_like_json(&base.bytes);
        for text in &texts {
            self.text(value, text, base, nested, budget, findings);
        }
        if nested {
            self.nested(value, &base.bytes, budget, findings);
        }
        let carried = base64::last_segment(&base.bytes, value.part == Parts::PATH);
        if base64::opens(carried)
            && budget.take_bytes(carried.len().min(base64::LONGEST), budget::BASE64_BYTE)
            && let Some(text) = base64::text(carried)
        {
            self.carried(value, &text, budget, findings);
        }
    }

    fn text(
        &self,
        value: Value<'_>,
        text: &Text<'_>,
        base: &Text<'_>,
        is_json: bool,
        budget: &mut Budget,
        findings: &mut Vec<Finding>,
    ) {
        if !budget.take_text(text.bytes.len()) {
            return;
        }
        self.matcher.matches(value.part, text, base, is_json, &self.limits, budget, |hit| {
            self.note(findings, value, &hit);
        });
    }

    /// A text that came in base64. Rules that only hint are not asked: nobody meant them to read it.
    fn carried(&self, value: Value<'_>, text: &[u8], budget: &mut Budget, findings: &mut Vec<Finding>) {
        let (texts, _) = decode::texts(text, decode::Encoding::Plain, self.limits.decode_depth, budget);
        let base = &texts[0];
        let is_json = json::looks_like_json(text);
        let part = if value.part == Parts::PATH { Parts::QUERY } else { value.part };
        for text in &texts {
            if !budget.take_text(text.bytes.len()) {
                return;
            }
            self.matcher.matches(part, text, base, is_json, &self.limits, budget, |hit| {
                if hit.confidence >= SURE_IN_BASE64 {
                    self.note(findings, value, &hit);
                }
            });
        }
    }

    /// The strings of JSON inside a value, once: those in them are read as text.
    fn nested(&self, value: Value<'_>, text: &[u8], budget: &mut Budget, findings: &mut Vec<Finding>) {
        if !budget.take_bytes(text.len(), budget::JSON_BYTE) {
            return;
        }
        let too_deep = json::strings(text, self.limits.json_depth, |_, _, string| {
            if self.matcher.is_dull(string) {
                return true;
            }
            if !budget.take_value(string.len()) {
                return false;
            }
            let (texts, _) = decode::texts(string, decode::Encoding::Plain, self.limits.decode_depth, budget);
            for text in &texts {
                self.text(value, text, &texts[0], false, budget, findings);
            }
            true
        });
        if too_deep {
            budget.reach("json_depth");
        }
    }

    /// Keeps the surest claim of a rule at a place.
    fn note(&self, findings: &mut Vec<Finding>, value: Value<'_>, hit: &Hit<'_>) {
        let place = self.place(value);
        let confidence = Confidence::new(hit.confidence);
        let known = findings.iter_mut().find(|known| known.rule == hit.rule.id && known.place == place);
        if let Some(known) = known {
            if known.confidence < confidence {
                known.confidence = confidence;
                known.matched = shown(hit.matched, self.limits.matched_chars);
            }
            return;
        }
        findings.push(Finding {
            rule: hit.rule.id,
            class: hit.rule.class,
            place,
            confidence,
            matched: shown(hit.matched, self.limits.matched_chars),
        });
        // Room for a few rounds, so that a flood of hits is sorted seldom and kept bounded.
        if findings.len() > self.limits.findings.saturating_mul(4).saturating_add(64) {
            self.keep_surest(findings);
        }
    }

    fn place(&self, value: Value<'_>) -> Place {
        let name = || shown(value.name, self.limits.name_chars);
        match value.part {
            Parts::PATH => Place::Path,
            Parts::QUERY => Place::Query(name()),
            Parts::COOKIE => Place::Header(format!("cookie.{}", name())),
            Parts::FIELD | Parts::TEXT | Parts::FILE | Parts::FILENAME => Place::Body(name()),
            _ => Place::Header(name().to_ascii_lowercase()),
        }
    }

    fn conclude(&self, mut findings: Vec<Finding>, mut budget: Budget) -> Inspection {
        if findings.len() > self.limits.findings {
            budget.reach("findings");
        }
        self.keep_surest(&mut findings);
        Inspection { findings, limits_reached: budget.into_reached() }
    }

    fn keep_surest(&self, findings: &mut Vec<Finding>) {
        findings.sort_by(|a, b| b.confidence.value().total_cmp(&a.confidence.value()));
        findings.truncate(self.limits.findings);
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

#[cfg(test)]
mod tests;
