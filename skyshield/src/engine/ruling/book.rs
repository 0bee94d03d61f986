//! The rulings as the doors look them up: whom they are about first.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use super::{Kind, Ruling, Subject};
use crate::engine::decision::DecisionId;
use crate::engine::source::Source;
use crate::engine::whereabouts::Place;

/// One ruling, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its number.
    pub id: DecisionId,
    /// When it ends by itself.
    pub until: Option<Instant>,
    /// Of a limit, the requests a minute.
    pub requests_per_min: u32,
    /// Whether all requests that it is about count together, and not each source's by itself.
    pub counts_together: bool,
}

impl Word {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What the rulings say of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// That it is let through: then nothing else counts.
    pub allow: Option<Word>,
    /// That it is refused.
    pub ban: Option<Word>,
    /// That it is counted; of several limits the lowest.
    pub limit: Option<Word>,
}

impl About {
    fn add(&mut self, said: Option<&[Option<Word>; 3]>, now: Instant) {
        let word = |kind: Kind| said.and_then(|said| said[kind as usize]).filter(|word| word.holds(now));
        self.allow = self.allow.or(word(Kind::Allow));
        self.ban = self.ban.or(word(Kind::Ban));
        let limits = [self.limit, word(Kind::Limit)];
        self.limit = limits.into_iter().flatten().min_by_key(|word| word.requests_per_min);
    }

    fn settled(self) -> Self {
        if self.allow.is_some() { Self { allow: self.allow, ..Self::default() } } else { self }
    }
}

/// Everything that is ruled, by whom it is about.
#[derive(Debug, Default)]
pub struct Book {
    asns: HashMap<u32, [Option<Word>; 3]>,
    countries: HashMap<[u8; 2], [Option<Word>; 3]>,
    users: HashMap<Arc<str>, [Option<Word>; 3]>,
    sources: HashMap<Source, [Option<Word>; 3]>,
    /// The lengths of the prefixes among the sources, longest first.
    lengths: Vec<u8>,
}

impl Book {
    pub(super) fn of<'a>(rulings: impl Iterator<Item = &'a Ruling>) -> Self {
        let mut book = Self::default();
        let mut lengths = BTreeSet::new();
        for ruling in rulings {
            let said = match &ruling.subject {
                Subject::Source(source) => {
                    lengths.insert(source.as_prefix().prefix_len());
                    book.sources.entry(*source).or_default()
                }
                Subject::Asn(number) => book.asns.entry(*number).or_default(),
                Subject::Country(country) => book.countries.entry(country.letters()).or_default(),
                Subject::User(name) => book.users.entry(Arc::clone(name)).or_default(),
            };
            said[ruling.kind as usize] = Some(Word {
                id: ruling.id,
                until: ruling.until,
                requests_per_min: ruling.requests_per_min,
                counts_together: matches!(ruling.subject, Subject::User(_)),
            });
        }
        book.lengths = lengths.into_iter().rev().collect();
        book
    }

    /// Whether nothing is ruled.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && !self.asks_place() && !self.asks_user()
    }

    /// Whether anything is ruled about places.
    pub fn asks_place(&self) -> bool {
        !self.asns.is_empty() || !self.countries.is_empty()
    }

    /// Whether whoever is at `place` is let through at `now`.
    pub fn lets_through(&self, place: &Place, now: Instant) -> bool {
        let mut about = About::default();
        about.add(place.asn.and_then(|asn| self.asns.get(&asn)), now);
        about.add(place.country.and_then(|country| self.countries.get(&country)), now);
        about.allow.is_some()
    }

    /// Whether anything is ruled about users.
    pub fn asks_user(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether some user is let through.
    pub fn allows_users(&self) -> bool {
        self.users.values().any(|said| said[Kind::Allow as usize].is_some())
    }

    /// What is ruled about a request from `address` at `place`, of `user`, at `now`.
    pub fn about(&self, address: IpAddr, place: &Place, user: Option<&str>, now: Instant) -> About {
        let mut about = About::default();
        about.add(user.and_then(|user| self.users.get(user)), now);
        about.add(place.asn.and_then(|asn| self.asns.get(&asn)), now);
        about.add(place.country.and_then(|country| self.countries.get(&country)), now);
        for &length in &self.lengths {
            let prefix = IpNet::new(address, length).ok().map(Source::prefix);
            about.add(prefix.and_then(|prefix| self.sources.get(&prefix)), now);
        }
        about.settled()
    }
}
