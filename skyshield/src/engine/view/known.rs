//! What is known of sources beyond their requests, as doors read it: lists, places, what others say.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::View;
use crate::engine::feeds::Lists;
use crate::engine::indicators::Suspects;
use crate::engine::place::{self, Atlas, Policy};
use crate::engine::reputation::Hearsay;
use crate::engine::response::Measures;
use crate::engine::standing::{Origin, Standing};
use crate::engine::turned_away::TurnedAway;
use crate::engine::whereabouts::Place;

/// Why all that a source sends is refused, though no decision of ours is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// It is on this list.
    Listed(Arc<str>),
    /// It is where this policy says.
    Place(Arc<str>),
}

impl std::fmt::Display for Unwanted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listed(name) => write!(out, "list {name}"),
            Self::Place(name) => write!(out, "policy {name}"),
        }
    }
}

impl View {
    pub(super) fn with_what_others_say(&self, standing: Standing, address: IpAddr, now: Instant) -> Standing {
        let (said, listed) = (self.hearsay.of(address, now), self.lists.load().weigh(address));
        let mut standing = match (said.map(|said| said.share), listed) {
            (Some(said), Some(listed)) => standing.with_reputation(said.max(listed)),
            (Some(share), None) | (None, Some(share)) => standing.with_reputation(share),
            (None, None) => standing,
        };
        if let Some(sure) = self.suspects.load().of(address) {
            standing = standing.with_indicator(sure);
        }
        let atlas = self.atlas.load();
        let said = said.filter(|said| said.is_tor || said.is_proxy || said.is_hosting).map(|said| Origin {
            is_tor: said.is_tor,
            is_proxy: said.is_proxy,
            is_hosting: said.is_hosting,
            ..Origin::default()
        });
        let known = Some(self.place_of(address)).filter(|place| *place != Place::default());
        let origin = match (known, said) {
            (Some(known), Some(said)) => Some(known.with(said)),
            (known, said) => known.or(said),
        };
        if let Some(origin) = origin {
            standing = standing.with_origin(origin);
        }
        match atlas.policy_of(address) {
            Some(Policy { action: place::Action::Weigh, weight, .. }) => {
                #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
                let weight = *weight as f32;
                standing.with_policy(weight)
            }
            Some(_) | None => standing,
        }
    }

    /// As [`Self::unwanted_by`], of a request: the list that it is refused for counts it.
    pub fn unwanted(&self, address: IpAddr, now: Instant) -> Option<Unwanted> {
        let unwanted = self.unwanted_by(address, now)?;
        if let (Unwanted::Listed(_), Some(list)) = (&unwanted, self.lists.load().banning(address)) {
            list.hits.fetch_add(1, Ordering::Relaxed);
        }
        Some(unwanted)
    }

    /// Why nothing of what `address` sends is wanted at `now`, where a list or a policy says so; never of one
    /// that the never-ban set protects, or whose place is let through.
    pub fn unwanted_by(&self, address: IpAddr, now: Instant) -> Option<Unwanted> {
        let lists = self.lists.load();
        let list = lists.banning(address);
        let of_place = || {
            let atlas = self.atlas.load();
            let policy = atlas.policy_of(address).filter(|policy| policy.action == place::Action::Ban)?;
            Some(Unwanted::Place(policy.name.as_str().into()))
        };
        let unwanted = list.map(|list| Unwanted::Listed(Arc::clone(&list.name))).or_else(of_place)?;
        if self.never_ban.load().protects(address).is_some() || self.lets_through(address, now) {
            return None;
        }
        Some(unwanted)
    }

    /// Publishes whom indicators speak against.
    pub fn set_suspects(&self, suspects: Suspects) {
        self.suspects.store(Arc::new(suspects));
    }

    /// Where sources are.
    pub fn atlas(&self) -> Arc<Atlas> {
        self.atlas.load_full()
    }

    /// Publishes where sources are.
    pub fn set_atlas(&self, atlas: Atlas) {
        self.atlas.store(Arc::new(atlas));
    }

    /// The lists in force.
    pub fn lists(&self) -> Arc<Lists> {
        self.lists.load_full()
    }

    /// Publishes the lists in force.
    pub fn set_lists(&self, lists: Lists) {
        self.lists.store(Arc::new(lists));
    }

    /// The measures that rules of response have taken.
    pub fn measures(&self) -> &Arc<Measures> {
        &self.measures
    }

    /// What is said of sources, and what is wondered about.
    pub fn hearsay(&self) -> &Hearsay {
        &self.hearsay
    }

    /// Who was turned away lately without an incident.
    pub fn turned_away(&self) -> &TurnedAway {
        &self.turned_away
    }
}
