//! The never-ban set: whom no decision may cut off, and why.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::source::Source;

/// Why an address is never banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// The host talking to itself.
    Loopback,
    /// An address of one of the host's own interfaces.
    OwnAddress,
    /// A router the host sends by.
    Gateway,
    /// A DNS resolver the host asks.
    Resolver,
    /// The upstream that requests are forwarded to.
    Upstream,
    /// A proxy whose word on client addresses is taken.
    TrustedProxy,
    /// The other end of a live operator session.
    OperatorSession,
    /// The operator's allow list.
    AllowList,
    /// A ruling that lets its network or country through.
    AllowedPlace,
}

impl fmt::Display for Protection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Loopback => "loopback",
            Self::OwnAddress => "one of this host's own addresses",
            Self::Gateway => "this host's gateway",
            Self::Resolver => "this host's DNS resolver",
            Self::Upstream => "the upstream",
            Self::TrustedProxy => "a trusted proxy",
            Self::OperatorSession => "a live operator session",
            Self::AllowList => "on the allow list",
            Self::AllowedPlace => "of a network or country that is let through",
        })
    }
}

/// The set, sorted, without doubles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeverBan {
    entries: Vec<(Source, Protection)>,
}

impl NeverBan {
    /// The set of `entries`; of several reasons for one source the first in [`Protection`]'s order is kept.
    pub fn new(entries: impl IntoIterator<Item = (Source, Protection)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup_by_key(|(source, _)| *source);
        Self { entries }
    }

    /// Why `address` is never banned, if it is.
    pub fn protects(&self, address: IpAddr) -> Option<Protection> {
        self.covers(Source::host(address))
    }

    /// Why the whole of `source` is never banned, if it is.
    pub fn covers(&self, source: Source) -> Option<Protection> {
        self.entries.iter().find(|(protected, _)| protected.covers(source)).map(|&(_, why)| why)
    }

    /// The protected sources inside `source`: a ban of it will not reach them.
    pub fn inside(&self, source: Source) -> impl Iterator<Item = (Source, Protection)> + '_ {
        self.entries.iter().copied().filter(move |(protected, _)| source.covers(*protected))
    }

    /// The entries, sorted.
    pub fn entries(&self) -> &[(Source, Protection)] {
        &self.entries
    }

    /// The sources that fit into the kernel's allow list, which has `room` for so many of IPv4 and of IPv6, and how many
    /// do not. The host's own come first, then who operates it, then the operator's list.
    pub fn fitting(&self, mut room: [usize; 2]) -> (Vec<Source>, usize) {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|&(_, why)| why);
        let all = entries.len();
        entries.retain(|(source, _)| {
            let room = &mut room[usize::from(source.address().is_ipv6())];
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        });
        let left_out = all - entries.len();
        (entries.into_iter().map(|(source, _)| source).collect(), left_out)
    }

    /// The sources.
    pub fn sources(&self) -> Vec<Source> {
        self.entries.iter().map(|&(source, _)| source).collect()
    }
}

/// The prefixes that are loopback on every host.
pub fn loopback() -> [(Source, Protection); 2] {
    let v4 = IpNet::from(IpAddr::from([127, 0, 0, 0]));
    let v4 = IpNet::new(v4.addr(), 8).unwrap_or(v4);
    let v6 = IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
    [(Source::prefix(v4), Protection::Loopback), (Source::host(v6), Protection::Loopback)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_inside_a_protected_prefix_is_protected() {
        let set = NeverBan::new([(source("198.51.100.0/24"), Protection::AllowList)]);
        assert_eq!(set.protects("198.51.100.9".parse().unwrap()), Some(Protection::AllowList));
        assert_eq!(set.protects("198.51.101.9".parse().unwrap()), None);
        assert_eq!(set.covers(source("198.51.0.0/16")), None);
        assert_eq!(set.inside(source("198.51.0.0/16")).count(), 1);
    }

    #[test]
    fn loopback_is_always_in() {
        let set = NeverBan::new(loopback());
        assert_eq!(set.protects("127.9.9.9".parse().unwrap()), Some(Protection::Loopback));
        assert_eq!(set.protects("::1".parse().unwrap()), Some(Protection::Loopback));
    }
}
