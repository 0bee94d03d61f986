//! How the members of a prefix behave: the distinct bad ones against the distinct good ones.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Config;
use crate::engine::source::Source;

/// Members of one kind that are told apart in one prefix: more than any `widen_after`.
const MAX_MEMBERS: usize = 64;
/// A prefix and what counts as one member of it, by the lengths of both, the narrowest first.
const LEVELS_V4: [(u8, u8); 1] = [(24, 32)];
const LEVELS_V6: [(u8, u8); 3] = [(64, 128), (56, 64), (48, 56)];
/// So many times more members are bad than good before all of a prefix suffers.
const BAD_TO_GOOD: usize = 4;

#[derive(Debug, Default)]
struct Members {
    bad: Vec<(Source, Instant)>,
    good: Vec<(Source, Instant)>,
}

#[derive(Debug, Default)]
pub(super) struct Neighbours {
    known: HashMap<Source, Members>,
    refused: u64,
}

impl Neighbours {
    /// Notes that `address` was banned at `now`; the widest prefix that is to be banned for it.
    pub(super) fn note_bad(&mut self, address: IpAddr, now: Instant, config: &Config) -> Option<Source> {
        if !config.widen {
            return None;
        }
        let mut widest = None;
        for (prefix, member) in levels(address) {
            if self.known.len() >= config.tracked && !self.known.contains_key(&prefix) {
                self.refused += 1;
                continue;
            }
            let members = self.known.entry(prefix).or_default();
            see(&mut members.bad, member, now);
            members.good.retain(|(good, _)| *good != member);
            members.forget_faded(now, Duration::from_secs(config.widen_secs));
            let enough = members.bad.len() >= config.widen_after as usize;
            if enough && members.bad.len() >= members.good.len().saturating_mul(BAD_TO_GOOD) {
                widest = Some(prefix);
            }
        }
        widest
    }

    /// Notes that `address` behaved at `now`. Only prefixes with a bad member are remembered.
    pub(super) fn note_good(&mut self, address: IpAddr, now: Instant, config: &Config) {
        if self.known.is_empty() || !config.widen {
            return;
        }
        for (prefix, member) in levels(address) {
            let Some(members) = self.known.get_mut(&prefix) else { continue };
            if members.bad.iter().all(|(bad, _)| *bad != member) {
                see(&mut members.good, member, now);
            }
        }
    }

    pub(super) fn forget_faded(&mut self, now: Instant, config: &Config) {
        let window = Duration::from_secs(config.widen_secs);
        self.known.retain(|_, members| {
            members.forget_faded(now, window);
            !members.bad.is_empty()
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

impl Members {
    fn forget_faded(&mut self, now: Instant, window: Duration) {
        let fresh = |&(_, seen): &(Source, Instant)| now.saturating_duration_since(seen) <= window;
        self.bad.retain(fresh);
        self.good.retain(fresh);
    }
}

/// Notes `member`, the one longest unseen giving way where there is no room.
fn see(members: &mut Vec<(Source, Instant)>, member: Source, now: Instant) {
    if let Some(known) = members.iter_mut().find(|(known, _)| *known == member) {
        known.1 = now;
        return;
    }
    if members.len() >= MAX_MEMBERS
        && let Some(oldest) = (0..members.len()).min_by_key(|&at| members[at].1)
    {
        members.swap_remove(oldest);
    }
    members.push((member, now));
}

/// The prefixes around `address` and the member of each that it belongs to.
fn levels(address: IpAddr) -> impl Iterator<Item = (Source, Source)> {
    let address = address.to_canonical();
    let levels: &[_] = if address.is_ipv4() { &LEVELS_V4 } else { &LEVELS_V6 };
    let source = move |length| IpNet::new(address, length).map(Source::prefix);
    levels.iter().filter_map(move |&(prefix, member)| source(prefix).ok().zip(source(member).ok()))
}
