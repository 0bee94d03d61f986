//! Measures in force, as a request sees them: classes that count for more, sources that have to log in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::engine::behaviour::source_of;

/// Sources that have to log in, at the most.
const ROOM: usize = 10_000;

/// The measures in force.
#[derive(Debug, Default)]
pub struct Measures {
    tightened: ArcSwap<Vec<(Arc<str>, u32, Instant)>>,
    to_log_in: papaya::HashMap<IpAddr, Instant>,
}

impl Measures {
    /// As how many a request of `class` counts at `now`.
    pub fn fold(&self, class: &str, now: Instant) -> u32 {
        let tightened = self.tightened.load();
        let found = tightened.iter().filter(|(name, _, until)| &**name == class && now < *until);
        found.map(|(_, fold, _)| *fold).max().unwrap_or(1)
    }

    /// Has each request of `class` count as `fold` until `until`. To be called by one at a time.
    pub fn tighten(&self, class: &str, fold: u32, until: Instant, now: Instant) {
        let mut all: Vec<_> =
            self.tightened.load().iter().filter(|(_, _, ends)| now < *ends).cloned().collect();
        all.retain(|(name, ..)| &**name != class);
        all.push((class.into(), fold, until));
        self.tightened.store(Arc::new(all));
    }

    /// Whether `address` has to log in at `now`.
    pub fn has_to_log_in(&self, address: IpAddr, now: Instant) -> bool {
        !self.to_log_in.is_empty()
            && self.to_log_in.pin().get(&source_of(address)).is_some_and(|until| now < *until)
    }

    /// Has `address` log in until `until`; false where there is no room.
    pub fn require_login(&self, address: IpAddr, until: Instant, now: Instant) -> bool {
        let all = self.to_log_in.pin();
        if all.len() >= ROOM {
            all.retain(|_, ends| now < *ends);
        }
        let room = all.len() < ROOM;
        if room {
            all.insert(source_of(address), until);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn measures_end_by_themselves() {
        let (measures, now) = (Measures::default(), clock::now());
        let until = now + Duration::from_secs(9);
        measures.tighten("auth", 5, until, now);
        measures.tighten("auth", 3, until, now);
        assert_eq!(
            (measures.fold("auth", now), measures.fold("api", now), measures.fold("auth", until)),
            (3, 1, 1)
        );
        let address = "45.0.0.1".parse().unwrap();
        assert!(measures.require_login(address, until, now));
        assert!(measures.has_to_log_in(address, now) && !measures.has_to_log_in(address, until));
    }
}
