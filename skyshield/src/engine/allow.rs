//! The operator's allow list: whom he lets through whatever they do, until when, and why. Beside what
//! the host protects by itself it makes the never-ban set.

mod name;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub use name::DnsName;

use super::source::Source;

/// Entries at the most.
pub const MAX_ENTRIES: usize = 1000;
/// Addresses of one name at the most.
pub const MAX_ADDRESSES: usize = 16;

/// An entry's number, unique among those in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AllowId(pub u64);

/// Whom an entry lets through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    /// An address or a prefix.
    Source(Source),
    /// Whatever addresses a name has at the moment.
    Name(DnsName),
}

impl fmt::Display for Whom {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => source.fmt(out),
            Self::Name(name) => name.fmt(out),
        }
    }
}

/// The text is neither an address, a prefix nor a name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an address, a prefix nor a DNS name (203.0.113.7, 2001:db8::/48, home.example.org)"
)]
pub struct NotWhom(String);

impl FromStr for Whom {
    type Err = NotWhom;

    fn from_str(text: &str) -> Result<Self, NotWhom> {
        let source = text.parse().ok().map(Self::Source);
        source.or_else(|| DnsName::parse(text).map(Self::Name)).ok_or_else(|| NotWhom(text.to_owned()))
    }
}

/// An entry in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Its number.
    pub id: AllowId,
    /// Whom it lets through.
    pub whom: Whom,
    /// Why, in the operator's words.
    pub comment: String,
    /// Who made it.
    pub by: String,
    /// When it was made, on the wall.
    pub made_at: SystemTime,
    /// When it ends by itself; `None` is until it is removed.
    pub until: Option<Instant>,
    /// Of a name, the addresses of its last good answer.
    pub addresses: Vec<IpAddr>,
}

impl Allow {
    /// What is left of it at `now`; `None` is until it is removed.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}

/// What is asked for when an entry is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAllow {
    /// Whom to let through.
    pub whom: Whom,
    /// Why.
    pub comment: String,
    /// Who asks.
    pub by: String,
    /// For how long; `None` is until it is removed.
    pub ttl: Option<Duration>,
    /// When it was asked for, on the wall.
    pub asked_at: SystemTime,
    /// Let through even a prefix so wide that it takes a share of the whole internet.
    pub force: bool,
}

/// Why an entry is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The prefix is a share of the whole internet.
    #[error(
        "{0} is a share of the whole internet: nobody in it could be banned; ask again with force if you mean it"
    )]
    TooWide(Source),
    /// There is no room for another entry.
    #[error("there are {MAX_ENTRIES} entries already; remove some")]
    Full,
}

/// The entries in force.
#[derive(Debug)]
pub struct AllowList {
    entries: BTreeMap<AllowId, Allow>,
    next_id: u64,
}

impl Default for AllowList {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), next_id: 1 }
    }
}

impl AllowList {
    /// The entry that `new` asks for, not in force yet. One for the same keeps its number.
    pub fn draft(&mut self, new: NewAllow, now: Instant) -> Result<Allow, NotAllowed> {
        let NewAllow { whom, comment, by, ttl, asked_at, force } = new;
        match &whom {
            Whom::Source(source) if source.is_too_wide() && !force => {
                return Err(NotAllowed::TooWide(*source));
            }
            Whom::Source(_) | Whom::Name(_) => {}
        }
        let until = ttl.and_then(|ttl| now.checked_add(ttl));
        let known = self.entries.values().find(|entry| entry.whom == whom);
        let addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
        let id = match known {
            Some(known) => known.id,
            None if self.entries.len() >= MAX_ENTRIES => return Err(NotAllowed::Full),
            None => {
                self.next_id += 1;
                AllowId(self.next_id - 1)
            }
        };
        Ok(Allow { id, whom, comment, by, made_at: asked_at, until, addresses })
    }

    /// Brings an entry into force.
    pub fn put(&mut self, entry: Allow) {
        self.next_id = self.next_id.max(entry.id.0.saturating_add(1));
        self.entries.insert(entry.id, entry);
    }

    /// Takes an entry out of force.
    pub fn remove(&mut self, id: AllowId) -> Option<Allow> {
        self.entries.remove(&id)
    }

    /// The entry for exactly `whom`.
    pub fn find(&self, whom: &Whom) -> Option<&Allow> {
        self.entries.values().find(|entry| entry.whom == *whom)
    }

    /// The entry of this number.
    pub fn get(&self, id: AllowId) -> Option<&Allow> {
        self.entries.get(&id)
    }

    /// The entries in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Allow> {
        self.entries.values()
    }

    /// Notes what `name` resolves to now, in any order; the entries that change by it. An answer
    /// without an address changes nothing.
    pub fn resolved(&mut self, name: &DnsName, mut addresses: Vec<IpAddr>) -> Vec<Allow> {
        for address in &mut addresses {
            *address = address.to_canonical();
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return Vec::new();
        }
        let of_name = |entry: &&mut Allow| matches!(&entry.whom, Whom::Name(known) if known == name);
        let changed = self.entries.values_mut().filter(of_name).filter(|entry| entry.addresses != addresses);
        changed
            .map(|entry| {
                entry.addresses.clone_from(&addresses);
                entry.clone()
            })
            .collect()
    }

    /// Whom the entries let through, as far as names are resolved.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.entries.values().flat_map(|entry| {
            let of_name = entry.addresses.iter().map(|&address| Source::host(address));
            let source = match &entry.whom {
                Whom::Source(source) => Some(*source),
                Whom::Name(_) => None,
            };
            source.into_iter().chain(of_name)
        })
    }

    /// When [`AllowList::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.until).min()
    }

    /// Takes out what is over at `now`, and says what that was.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Allow> {
        let over = self.entries.values().filter(|entry| entry.until.is_some_and(|until| until <= now));
        let over: Vec<_> = over.map(|entry| entry.id).collect();
        over.into_iter().filter_map(|id| self.entries.remove(&id)).collect()
    }
}

#[cfg(test)]
mod tests;
