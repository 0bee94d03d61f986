//! Whom a decision is about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::engine::source::Source;
use crate::engine::whereabouts::Country;

/// Bytes of a user's name at the most.
pub const MAX_USER: usize = 200;

/// An address or a prefix, a network, a country, or a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// `203.0.113.7`, `203.0.113.0/24`
    Source(Source),
    /// `asn:64500`: whatever the autonomous system with this number announces.
    Asn(u32),
    /// `country:NL`
    Country(Country),
    /// `user:alice`, as `limits.user` tells users.
    User(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => source.fmt(out),
            Self::Asn(number) => write!(out, "asn:{number}"),
            Self::Country(country) => write!(out, "country:{country}"),
            Self::User(name) => write!(out, "user:{name}"),
        }
    }
}

/// The text names nobody that a decision could be about.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an address nor a prefix (203.0.113.7, 203.0.113.0/24, 2001:db8::/48), nor asn:64500, \
     country:NL or user:alice"
)]
pub struct NotASubject(String);

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let wrong = || NotASubject(text.chars().take(80).collect::<String>().escape_debug().to_string());
        if let Ok(source) = text.parse() {
            return Ok(Self::Source(source));
        }
        if let Some(number) =
            text.strip_prefix("AS").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return number.parse().map(Self::Asn).map_err(|_| wrong());
        }
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "asn" => name.trim_start_matches("AS").parse().map(Self::Asn).map_err(|_| wrong()),
            "country" => name.parse().map(Self::Country).map_err(|_| wrong()),
            "user" if (1..=MAX_USER).contains(&name.len()) && !name.chars().any(char::is_control) => {
                Ok(Self::User(name.into()))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subject_has_one_spelling() {
        for (written, canonical) in [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8::1/48", "2001:db8::/48"),
            ("AS64500", "asn:64500"),
            ("asn:64500", "asn:64500"),
            ("asn:AS64500", "asn:64500"),
            ("country:nl", "country:NL"),
            ("user:alice", "user:alice"),
            ("user:a:b", "user:a:b"),
        ] {
            assert_eq!(written.parse::<Subject>().unwrap().to_string(), canonical, "from {written}");
        }
    }

    #[test]
    fn what_is_no_subject_is_named_in_the_error() {
        let long = format!("user:{}", "x".repeat(201));
        for text in
            ["", "AS", "asn:", "asn:4294967296", "country:NLD", "country:1", "user:", "user:\n", "x:y", &long]
        {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
