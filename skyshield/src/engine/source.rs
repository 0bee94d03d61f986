//! A source: the address or prefix that traffic came from, in one canonical form.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A prefix shorter than this takes so much of the internet that it is decided upon only by force.
pub(super) const WIDEST_V4: u8 = 8;
/// The same for IPv6.
pub(super) const WIDEST_V6: u8 = 19;

/// An address or a prefix, v4 or v6.
///
/// Canonical: host bits are cleared, and an IPv4-mapped IPv6 address is the IPv4 address it maps,
/// so that one source has one spelling in every map, table and comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpNet);

impl Source {
    /// The source that is `address` alone.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// The source that is the whole of `prefix`.
    pub fn prefix(prefix: IpNet) -> Self {
        const MAPPED_BITS: u8 = 96;
        let mapped = match prefix {
            IpNet::V6(v6) if v6.prefix_len() >= MAPPED_BITS => v6.network().to_ipv4_mapped(),
            IpNet::V4(_) | IpNet::V6(_) => None,
        };
        let canonical = mapped
            .and_then(|v4| IpNet::new(IpAddr::V4(v4), prefix.prefix_len() - MAPPED_BITS).ok())
            .unwrap_or(prefix);
        Self(canonical.trunc())
    }

    /// The source as a prefix; a host is /32 or /128.
    pub fn as_prefix(self) -> IpNet {
        self.0
    }

    /// The first address of the source; of a host, its address.
    pub fn address(self) -> IpAddr {
        self.0.network()
    }

    /// Whether the source is one address.
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether it is a share of the whole internet: nobody decides about so many at once by mistake.
    pub fn is_too_wide(self) -> bool {
        self.0.prefix_len() < if self.0.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 }
    }

    /// Whether every address of `other` is one of this source's.
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() { self.address().fmt(out) } else { self.0.fmt(out) }
    }
}

/// The text is neither an address nor a prefix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an address nor a prefix (expected for example 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48)"
)]
pub struct NotASource(String);

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::host(address));
        }
        text.parse::<IpNet>().map(Self::prefix).map_err(|_| NotASource(text.to_owned()))
    }
}

impl serde::Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_one_spelling() {
        for (written, canonical) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
            ("2001:DB8::1/128", "2001:db8::1"),
            ("2001:db8::1/48", "2001:db8::/48"),
            ("::/0", "::/0"),
        ] {
            let source: Source = written.parse().unwrap();
            assert_eq!(source.to_string(), canonical, "from {written}");
        }
    }

    #[test]
    fn what_is_no_source_is_named_in_the_error() {
        for text in ["", "203.0.113", "203.0.113.7/33", "example.org", "::/129"] {
            let error = text.parse::<Source>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
