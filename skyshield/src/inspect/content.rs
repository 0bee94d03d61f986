//! The content codings of a body, taken off within bounds: what an application will read, and not
//! what came over the wire, is what an attack hides in.

mod codings;
mod config;
mod meter;

pub use config::Config;

use self::codings::{Coding, decode};
use self::meter::Meter;
use super::budget::Budget;
use super::{Header, Request};

/// Room for one step of decoding, in bytes: between two steps the bounds are looked at.
const STEP: usize = 64 * 1024;

/// What is told of a body that is not what its head says, or in a coding we do not know.
pub const CONTENT_CODING: &str = "content_coding";

/// A body whose codings were taken off, as far as they could be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// What was decoded; all of it, where no bound was reached.
    pub(super) body: Vec<u8>,
    /// The bound that decoding ended at.
    pub(super) reached: Option<&'static str>,
}

/// Why decoding did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    /// It outgrew this bound.
    Over(&'static str),
    /// It is not what its head says, or in a coding we do not know.
    Unreadable,
}

impl Unfinished {
    fn name(self) -> &'static str {
        match self {
            Self::Over(name) => name,
            Self::Unreadable => CONTENT_CODING,
        }
    }
}

/// Takes off what `Content-Encoding` says was put on the body of `request`; nothing where it says none.
pub(super) fn decoded(request: &Request<'_>, config: &Config, budget: &mut Budget) -> Option<Content> {
    if request.body.is_empty() {
        return None;
    }
    let is_coding = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(b"content-encoding");
    let mut lines = request.headers.iter().filter(is_coding).peekable();
    lines.peek()?;
    let tokens = lines.flat_map(|line| line.value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let codings: Vec<_> = tokens.filter(|token| !token.is_empty()).map(Coding::of).collect();
    // The one put on last is the first to come off.
    let mut outer_first = codings.into_iter().rev().filter(|coding| *coding != Some(Coding::Identity));
    let (mut body, mut layers) = (Vec::new(), 0);
    let meter = Meter::new(budget.left());
    let reached = loop {
        let Some(coding) = outer_first.next() else { break None };
        if layers == config.layers {
            break Some("decoded_layers");
        }
        let Some(coding) = coding else { break Some(CONTENT_CODING) };
        let coded = if layers == 0 { request.body } else { &body };
        let mut plain = Plain { bytes: Vec::new(), most: config.most_of(request.body.len()), config };
        let ended = decode(coding, coded, &mut plain, &meter);
        body = plain.bytes;
        layers += 1;
        if let Err(unfinished) = ended {
            break Some(unfinished.name());
        }
    };
    budget.take(budget.left() - meter.left());
    (layers > 0 || reached.is_some()).then_some(Content { body, reached })
}

/// What comes out of a decoder, and how much of it there may be.
#[derive(Debug)]
struct Plain<'a> {
    bytes: Vec<u8>,
    most: usize,
    config: &'a Config,
}

impl Plain<'_> {
    /// Has `step` fill some room, and takes as many bytes as it says; false where there were none.
    fn fill(
        &mut self,
        step: impl FnOnce(&mut [u8]) -> Result<usize, Unfinished>,
    ) -> Result<bool, Unfinished> {
        let before = self.bytes.len();
        // One byte more than there may be tells that there are more.
        let room = (self.most + 1).saturating_sub(before).min(STEP);
        self.bytes.resize(before + room, 0);
        let count = step(self.bytes.get_mut(before..).unwrap_or_default());
        self.bytes.truncate(before + count.unwrap_or(0).min(room));
        let count = count?;
        if self.bytes.len() > self.most {
            self.bytes.truncate(self.most);
            let bound = if self.most < self.config.bytes { "decoded_ratio" } else { "decoded_bytes" };
            return Err(Unfinished::Over(bound));
        }
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests;
