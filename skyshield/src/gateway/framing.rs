//! How long a body is: exactly one answer, or the message is not taken.

use super::field::{is_name, tokens};
use super::guard::Cause;

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    #[default]
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// The end of its stream: HTTP/2 without a `Content-Length`.
    Stream,
}

/// Collects what a head says of its framing, in whatever order it says it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingLines {
    length: Option<u64>,
    chunked: bool,
}

impl FramingLines {
    /// Takes a `Content-Length` line: digits alone, and only once.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Cause> {
        /// Nine exabytes are enough for anyone, and cannot overflow what adds to them.
        const MAX_DIGITS: usize = 18;
        let well_formed =
            !value.is_empty() && value.len() <= MAX_DIGITS && value.iter().all(u8::is_ascii_digit);
        if self.length.is_some() || !well_formed {
            return Err(Cause::Framing);
        }
        self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    /// Takes a `Transfer-Encoding` line: `chunked`, and only once.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Cause> {
        if self.chunked {
            return Err(Cause::Framing);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        // Another coding is one we do not implement; anything else about `chunked` is an attempt
        // to be understood in two ways.
        let count = tokens(value).count();
        let chunked_early =
            tokens(value).take(count - 1).any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        let known = tokens(value).all(is_name) && !chunked_early;
        Err(if known { Cause::Coding } else { Cause::Framing })
    }

    /// The one framing of a message of HTTP/1.`minor`; `None` where it states none.
    pub(super) fn settle(self, minor: u8) -> Result<Option<Framing>, Cause> {
        match self {
            Self { chunked: true, length: Some(_) } => Err(Cause::Framing),
            Self { chunked: true, length: None } if minor == 0 => Err(Cause::Framing),
            Self { chunked: true, length: None } => Ok(Some(Framing::Chunked)),
            Self { chunked: false, length } => Ok(length.map(Framing::Length)),
        }
    }
}
