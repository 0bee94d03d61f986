//! What came back from a provider, and what that means.

use std::time::Duration;

use super::opinion::Opinion;

/// An answer as the network brought it, the body cut to its bound.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// `Retry-After`, where it was given in seconds.
    pub retry_after: Option<Duration>,
    /// `X-RateLimit-Remaining`.
    pub remaining: Option<u64>,
    /// The body.
    pub body: &'a [u8],
}

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Something is known now.
    Known(Opinion),
    /// The provider cannot say anything of this address.
    Unanswerable,
    /// The key is not accepted: nothing more is asked until it is another.
    KeyRefused,
    /// The quota is used up, for so long as the provider says, or until midnight UTC.
    Exhausted(Option<Duration>),
    /// Not now; after this long, where it says.
    Later(Option<Duration>),
    /// It failed.
    Failed(Failure),
}

/// How it failed. A bounded set, each a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it broke.
    Network,
    /// No whole answer in time.
    Slow,
    /// A status that says so (5xx).
    Status,
    /// It points elsewhere, where nobody follows.
    Redirected,
    /// It is longer than an answer is.
    TooLarge,
    /// It is not what was agreed: no JSON, another shape, nested too deeply.
    Garbage,
    /// A number is outside of its range.
    OutOfRange,
    /// It is about another address.
    AnotherAddress,
}

impl Failure {
    /// The failure's name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Slow => "slow",
            Self::Status => "status",
            Self::Redirected => "redirected",
            Self::TooLarge => "too_large",
            Self::Garbage => "garbage",
            Self::OutOfRange => "out_of_range",
            Self::AnotherAddress => "another_address",
        }
    }
}

/// An outcome's name in the metrics, from a bounded set.
pub trait Answered {
    /// The name.
    fn name(&self) -> &'static str;
}

impl Answered for Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Unanswerable => "unanswerable",
            Self::KeyRefused => "key_refused",
            Self::Exhausted(_) => "exhausted",
            Self::Later(_) => "later",
            Self::Failed(failure) => failure.name(),
        }
    }
}

/// Levels that an answer may be nested.
const MAX_DEPTH: usize = 32;

/// Whether `body` is nested more deeply than any answer is. Looks at each byte once.
pub(super) fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// What every provider's answer means by its status alone, where that says enough.
pub(super) fn by_status(reply: &Reply<'_>) -> Option<Outcome> {
    match reply.status {
        200 if is_too_deep(reply.body) => Some(Outcome::Failed(Failure::Garbage)),
        200 | 429 => None,
        300..=399 => Some(Outcome::Failed(Failure::Redirected)),
        401 | 403 => Some(Outcome::KeyRefused),
        402 => Some(Outcome::Exhausted(reply.retry_after)),
        400 | 404 | 422 => Some(Outcome::Unanswerable),
        503 => Some(Outcome::Later(reply.retry_after)),
        _ => Some(Outcome::Failed(Failure::Status)),
    }
}

/// A share of 1 from a score of `most`, where it is one.
pub(super) fn share_of(score: f64, most: f64) -> Result<f32, Outcome> {
    if !(0.0..=most).contains(&score) {
        return Err(Outcome::Failed(Failure::OutOfRange));
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
    let share = (score / most) as f32;
    Ok(share)
}

/// Whether `text` has `word`, in whatever case.
pub(super) fn has(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_of_brackets_and_not_of_text() {
        assert!(!is_too_deep(b"{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"));
        assert!(is_too_deep("[".repeat(33).as_bytes()));
        assert!(!is_too_deep("[]".repeat(100).as_bytes()));
        assert!(!is_too_deep(br#"{"a":"\"[","b":[1]}"#));
    }
}
