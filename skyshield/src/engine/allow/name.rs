//! DNS names in one canonical form.

use std::fmt;

/// A DNS name: lower case, without its last dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The name that `text` says; `None` where it is none. One label alone is none either: it would be
    /// whatever the resolver's search list makes of it.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels: Vec<_> = name.split('.').collect();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &&str| (1..=63).contains(&label.len()) && label.bytes().all(known);
        // A name whose last label is a number is a mistyped address.
        let is_number = labels.last()?.bytes().all(|byte| byte.is_ascii_digit());
        let fits = name.len() <= 253 && labels.len() >= 2 && labels.iter().all(is_label) && !is_number;
        fits.then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
