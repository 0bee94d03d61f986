//! The lists in force, as a request sees them: one look for those that ban, one for each that is weighed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::Action;
use crate::engine::ranges::Ranges;

/// A list in force.
#[derive(Debug)]
pub struct List {
    /// What it is called.
    pub name: Arc<str>,
    /// What comes of being on it.
    pub action: Action,
    /// How bad a source on it is, 0 to 1.
    pub weight: f32,
    /// Who is on it.
    pub ranges: Arc<Ranges>,
    /// Requests from sources on it.
    pub hits: Arc<AtomicU64>,
}

/// The lists in force.
#[derive(Debug, Default)]
pub struct Lists(Vec<List>);

impl Lists {
    /// These lists.
    pub fn new(lists: Vec<List>) -> Self {
        Self(lists)
    }

    /// The list that bans `address`, if one does.
    pub fn banning(&self, address: IpAddr) -> Option<&List> {
        self.0.iter().find(|list| list.action == Action::Ban && list.ranges.contains(address))
    }

    /// How bad the lists that are weighed say `address` is: as bad as the worst of them. Counts each
    /// list that it is on.
    pub fn weigh(&self, address: IpAddr) -> Option<f32> {
        let mut worst: Option<f32> = None;
        for list in self.0.iter().filter(|list| list.action != Action::Ban) {
            if !list.ranges.contains(address) {
                continue;
            }
            list.hits.fetch_add(1, Ordering::Relaxed);
            if list.action == Action::Weigh {
                worst = Some(worst.map_or(list.weight, |worst| worst.max(list.weight)));
            }
        }
        worst
    }

    /// The lists that `address` is on.
    pub fn naming(&self, address: IpAddr) -> impl Iterator<Item = &List> {
        self.0.iter().filter(move |list| list.ranges.contains(address))
    }

    /// Whether a list that counts for something names `address`.
    pub fn speaks_of(&self, address: IpAddr) -> bool {
        self.naming(address).any(|list| list.action != Action::Log)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is to be dropped.
    pub fn banned(&self) -> Ranges {
        let banning = self.0.iter().filter(|list| list.action == Action::Ban);
        banning.fold(Ranges::default(), |all, list| all.and(&list.ranges))
    }
}
