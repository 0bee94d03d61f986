//! What inspecting one request may cost, counted in one currency.
//!
//! A step is about a nanosecond of a common server of 2026. Every stage pays before it works, by the bytes
//! it is about to read and the worst of them, so that the sum bounds the time whatever the bytes are.
//! `cargo xtask bench inspect` measures what a step takes, over requests made to be slow.

use super::limits::Limits;

/// To hand on one value and find it dull.
const VALUE: u64 = 100;
/// To make one reading ready and ask which rules it could match, beside its bytes.
const TEXT: u64 = 700;
/// To search a byte for all words, and to note which bytes there are.
const TEXT_BYTE: u64 = 2;
/// To look at one word that was found.
pub(super) const WORD: u64 = 13;
/// To ask one rule, beside its bytes.
const CHECK: u64 = 60;
/// To take one byte through one table of a pattern.
const CHECK_BYTE: u64 = 1;
/// To take one byte through a search without tables, which only operators' largest patterns need.
pub(super) const SEARCH_BYTE: u64 = 100;
/// To find where a match begins.
pub(super) const LOCATE: u64 = 60_000;
/// To keep a claim: is it prose, is it known, how is it shown.
pub(super) const CLAIM: u64 = 8_000;
/// To split a form or a multipart body into its values, a byte.
pub(super) const SPLIT_BYTE: u64 = 1;
/// To read a byte of wider characters, and keep what it stands for.
pub(super) const WIDE_BYTE: u64 = 8;
/// To read a byte of JSON for its strings.
pub(super) const JSON_BYTE: u64 = 6;
/// To read a byte of a document for what stands between its tags.
pub(super) const DOCUMENT_BYTE: u64 = 14;
/// To find one mark between the parts of a multipart body, and keep it.
pub(super) const MARK: u64 = 24;
/// To read the head of one part of a multipart body.
pub(super) const PART: u64 = 350;
/// To read a byte of that head.
pub(super) const PART_BYTE: u64 = 8;
/// To read a byte of what may be base64.
pub(super) const BASE64_BYTE: u64 = 8;
/// To ask a grammar, beside its bytes.
const GRAMMAR: u64 = 600;
/// To take one byte through that of SQL, from each of the places that a value may stand in.
pub(super) const SQL_BYTE: u64 = 30;
/// To take one byte through that of HTML.
pub(super) const HTML_BYTE: u64 = 30;

/// To set a decoder of content codings up.
pub(super) const DECODER: u64 = 8_000;
/// Bytes of a decoder's own room that are made ready in a step.
pub(super) const ROOM_A_STEP: u64 = 4;
/// To take a byte of gzip or deflate in: a dozen of them describe a table of codes.
pub(super) const DEFLATE_BYTE: u64 = 160;
/// To take a byte of brotli in.
pub(super) const BROTLI_BYTE: u64 = 600;
/// To take a byte of zstd in.
pub(super) const ZSTD_BYTE: u64 = 300;

/// What is left of the bounds while one request is read, and which ran out.
#[derive(Debug)]
pub(super) struct Budget {
    values: usize,
    grammar_bytes: usize,
    steps: u64,
    spent: u64,
    reached: Vec<&'static str>,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            values: limits.values,
            grammar_bytes: limits.grammar_total_bytes,
            steps: limits.steps,
            spent: 0,
            reached: Vec::new(),
        }
    }

    /// Notes that the bound `name` cut something off.
    pub(super) fn reach(&mut self, name: &'static str) {
        if !self.reached.contains(&name) {
            self.reached.push(name);
        }
    }

    /// Takes `steps`; false when they are not left, and then nothing more is done.
    pub(super) fn take(&mut self, steps: u64) -> bool {
        let affordable = self.affords(steps);
        if !affordable {
            // What was not done once is not made up for by cheaper work that the request ends with.
            self.steps = 0;
            self.reach("steps");
        }
        affordable
    }

    /// Takes `steps` if they are left, for work that can be left out.
    pub(super) fn affords(&mut self, steps: u64) -> bool {
        match self.steps.checked_sub(steps) {
            Some(rest) => {
                self.steps = rest;
                self.spent += steps;
                true
            }
            None => false,
        }
    }

    /// Takes `steps` for each of `bytes`.
    pub(super) fn take_bytes(&mut self, bytes: usize, steps: u64) -> bool {
        self.take(steps.saturating_mul(bytes as u64))
    }

    /// Takes one value of `bytes`; false when there are none left.
    pub(super) fn take_value(&mut self, bytes: usize) -> bool {
        let Some(rest) = self.values.checked_sub(1) else {
            self.reach("values");
            return false;
        };
        self.values = rest;
        self.take(VALUE + bytes as u64)
    }

    /// Takes the bytes of one text to match; false when they are not left.
    pub(super) fn take_text(&mut self, bytes: usize) -> bool {
        self.take(TEXT.saturating_add(TEXT_BYTE.saturating_mul(bytes as u64)))
    }

    /// Takes the bytes of one text for one table of a pattern; false when they are not left.
    pub(super) fn take_check(&mut self, bytes: usize) -> bool {
        self.take(CHECK.saturating_add(CHECK_BYTE.saturating_mul(bytes as u64)))
    }

    /// Takes the bytes of one text for a grammar, `steps` each; false when they are not left.
    pub(super) fn take_grammar(&mut self, bytes: usize, steps: u64) -> bool {
        let Some(rest) = self.grammar_bytes.checked_sub(bytes) else {
            self.reach("grammar_total_bytes");
            return false;
        };
        self.grammar_bytes = rest;
        self.take(GRAMMAR.saturating_add(steps.saturating_mul(bytes as u64)))
    }

    /// The steps that are left.
    pub(super) fn left(&self) -> u64 {
        self.steps
    }

    /// The steps that were taken so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    pub(super) fn into_reached(self) -> Vec<&'static str> {
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_runs_out_is_named_once() {
        let mut budget = Budget::new(&Limits { values: 1, ..Limits::default() });
        assert!(budget.take_value(3));
        assert!(!budget.take_value(3));
        assert!(!budget.take_value(3));
        assert_eq!(budget.into_reached(), ["values"]);
    }

    #[test]
    fn no_more_is_taken_than_there_is_and_what_failed_once_fails() {
        let mut budget = Budget::new(&Limits { steps: 1000, ..Limits::default() });
        assert!(budget.take(400) && !budget.affords(700) && budget.affords(100));
        assert!(!budget.take_bytes(usize::MAX, 60));
        assert!(!budget.take(1));
        assert_eq!(budget.spent(), 500);
        assert_eq!(budget.into_reached(), ["steps"]);
    }
}
