//! Where a source is, as far as somebody knows.

use std::fmt;
use std::str::FromStr;

/// What is known of where a source is.
pub use super::standing::Origin as Place;

/// A country, by its two letters in ISO 3166.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// The country that these two capitals are.
    pub fn new(letters: [u8; 2]) -> Option<Self> {
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// Its two capitals.
    pub fn letters(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&letter| char::from(letter).fmt(out))
    }
}

/// The text is no country.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no country (expected two letters, for example NL)")]
pub struct NotACountry(String);

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        let letters = <[u8; 2]>::try_from(text.to_ascii_uppercase().as_bytes()).ok();
        letters.and_then(Self::new).ok_or_else(|| NotACountry(text.chars().take(40).collect()))
    }
}
