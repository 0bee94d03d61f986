//! A request through all rules: values, their readings, the prefilter, the checks, the findings.

mod claims;

use super::budget::{self, Budget};
use super::decode::{self, Text, base64};
use super::finding::Inspection;
use super::limits::Limits;
use super::matcher::{MOST, Matcher};
use super::values::{self, Parts, Value};
use super::{Request, content, graphql, json};
use claims::Claims;

/// The rules, ready to run. Building one compiles them, which takes milliseconds; running it
/// shares nothing between requests.
#[derive(Debug)]
pub struct Inspector {
    limits: Limits,
    built_in: Matcher,
    /// The operator's, as many to a matcher as it holds.
    own: Vec<Matcher>,
}

/// How sure a rule must be of a text that came in base64.
const SURE_IN_BASE64: f64 = 0.82;

impl Inspector {
    /// An inspector with the rules that `limits` leave on, which reads as far as they let it.
    pub fn new(limits: Limits) -> Self {
        let built_in = Matcher::built_in(|rule| limits.as_set(rule));
        Self { built_in, ..Self::without_built_in(limits) }
    }

    /// An inspector with the operator's rules of `limits` alone.
    pub(super) fn without_built_in(limits: Limits) -> Self {
        let own: Vec<_> = limits.own.compiled().filter_map(|rule| limits.as_set(rule)).collect();
        let own = own.chunks(MOST).map(|rules| Matcher::new(rules.to_vec())).collect();
        Self { built_in: Matcher::new(Vec::new()), own, limits }
    }

    /// What the rules say of `request`. Never fails: what cannot be parsed is read as text.
    pub fn inspect(&self, request: &Request<'_>) -> Inspection {
        self.inspect_on("default", request)
    }

    /// What inspecting `request` costs, in the steps of [`Limits::steps`].
    pub fn steps(&self, request: &Request<'_>) -> u64 {
        self.read("default", request).1.spent()
    }

    /// How far it reads.
    #[cfg(fuzzing)]
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the rules that look at `route` say of `request`.
    pub fn inspect_on(&self, route: &str, request: &Request<'_>) -> Inspection {
        let (claims, budget) = self.read(route, request);
        claims.conclude(budget)
    }

    fn read<'a>(&'a self, route: &'a str, request: &Request<'_>) -> (Claims<'a>, Budget) {
        let mut claims = Claims::new(route, &self.limits);
        let mut budget = Budget::new(&self.limits);
        let mut see = |value: Value<'_>, budget: &mut Budget| self.value(value, budget, &mut claims);
        if let Some(content) = content::decoded(request, &self.limits.content, &mut budget) {
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
        (claims, budget)
    }

    /// Whether no rule can have anything to say of `text`. What an operator looks for may be any word.
    fn is_dull(&self, text: &[u8]) -> bool {
        self.own.is_empty() && self.built_in.is_dull(text)
    }

    fn value(&self, value: Value<'_>, budget: &mut Budget, claims: &mut Claims<'_>) {
        if self.is_dull(value.text) {
            return;
        }
        let (texts, cut) = decode::texts(value.text, value.encoding, self.limits.decode_depth, budget);
        if cut {
            budget.reach("decode_depth");
        }
        let base = &texts[0];
        let nested = value.part.meets(Parts::PARAMS.and(Parts::COOKIE)) && json::looks_like_json(&base.bytes);
        for text in &texts {
            self.text(value, text, base, nested, budget, claims);
        }
        if value.part.meets(Parts::PARAMS) && graphql::looks_like_a_document(&base.bytes) {
            self.document(value, &base.bytes, budget, claims);
        }
        if nested {
            self.nested(value, &base.bytes, budget, claims);
        }
        let carried = base64::last_segment(&base.bytes, value.part == Parts::PATH);
        self.unwrapped(value, carried, 0, budget, claims);
    }

    /// What `text` is the base64 of, `layers` below the value, where it is.
    fn unwrapped(
        &self,
        value: Value<'_>,
        text: &[u8],
        layers: usize,
        budget: &mut Budget,
        claims: &mut Claims<'_>,
    ) {
        if !base64::opens(text) {
            return;
        }
        let head = &text[..text.len().min(self.limits.base64_bytes)];
        if !budget.take_bytes(head.len(), budget::BASE64_BYTE) {
            return;
        }
        let Some(carried) = base64::text(head, head.len() == text.len()) else { return };
        if head.len() < text.len() {
            budget.reach("base64_bytes");
        }
        if layers == self.limits.decode_depth {
            budget.reach("decode_depth");
            return;
        }
        self.carried(value, &carried, layers, budget, claims);
    }

    fn text(
        &self,
        value: Value<'_>,
        text: &Text<'_>,
        base: &Text<'_>,
        is_json: bool,
        budget: &mut Budget,
        claims: &mut Claims<'_>,
    ) {
        for matcher in self.matchers() {
            if !budget.take_text(text.bytes.len()) {
                return;
            }
            matcher.matches(value.part, text, base, is_json, &self.limits, budget, |hit| {
                claims.note(value, &hit);
            });
        }
    }

    fn matchers(&self) -> impl Iterator<Item = &Matcher> {
        std::iter::once(&self.built_in).chain(&self.own)
    }

    /// A text that came in base64. Rules that only hint are not asked: nobody meant them to read it.
    fn carried(
        &self,
        value: Value<'_>,
        text: &[u8],
        layers: usize,
        budget: &mut Budget,
        claims: &mut Claims<'_>,
    ) {
        let (texts, cut) = decode::texts(text, decode::Encoding::Plain, self.limits.decode_depth, budget);
        if cut {
            budget.reach("decode_depth");
        }
        let base = &texts[0];
        let is_json = json::looks_like_json(text);
        let part = if value.part == Parts::PATH { Parts::QUERY } else { value.part };
        for text in &texts {
            for matcher in self.matchers() {
                if !budget.take_text(text.bytes.len()) {
                    return;
                }
                matcher.matches(part, text, base, is_json, &self.limits, budget, |hit| {
                    if hit.confidence >= SURE_IN_BASE64 {
                        claims.note(value, &hit);
                    }
                });
            }
        }
        self.unwrapped(value, text, layers + 1, budget, claims);
    }

    /// The strings in a GraphQL document, each as the field it becomes.
    fn document(&self, value: Value<'_>, text: &[u8], budget: &mut Budget, claims: &mut Claims<'_>) {
        if !budget.take_bytes(text.len(), budget::JSON_BYTE) {
            return;
        }
        let value = Value { part: Parts::FIELD, ..value };
        graphql::read(text, |string| {
            if !budget.take_value(string.len()) {
                return false;
            }
            if !self.is_dull(string) {
                let (texts, _) =
                    decode::texts(string, decode::Encoding::Plain, self.limits.decode_depth, budget);
                for text in &texts {
                    self.text(value, text, &texts[0], false, budget, claims);
                }
            }
            true
        });
    }

    /// The strings of JSON inside a value, once: those in them are read as text.
    fn nested(&self, value: Value<'_>, text: &[u8], budget: &mut Budget, claims: &mut Claims<'_>) {
        if !budget.take_bytes(text.len(), budget::JSON_BYTE) {
            return;
        }
        let too_deep = json::strings(text, self.limits.json_depth, |_, _, string| {
            if self.is_dull(string) {
                return true;
            }
            if !budget.take_value(string.len()) {
                return false;
            }
            let (texts, _) = decode::texts(string, decode::Encoding::Plain, self.limits.decode_depth, budget);
            for text in &texts {
                self.text(value, text, &texts[0], false, budget, claims);
            }
            true
        });
        if too_deep {
            budget.reach("json_depth");
        }
    }
}

#[cfg(test)]
mod tests;
