//! Whether a source is banned or listed.

use std::net::IpAddr;
use std::time::Duration;

use skyshield_common::Reason;

use super::{Reference, is_in};

impl Reference {
    /// By its address before its prefixes, by bans before lists.
    pub(super) fn banned(&self, source: IpAddr) -> Option<Reason> {
        let holds = |until: Option<Duration>| until.is_none_or(|until| self.now < until);
        let in_force = || self.bans.iter().filter(|(net, until)| net.contains(&source) && holds(*until));
        if in_force().any(|(net, _)| net.prefix_len() == net.max_prefix_len()) || self.is_listed_alone(source)
        {
            Some(Reason::BannedExact)
        } else if in_force().next().is_some() || is_in(&self.listed, source) {
            Some(Reason::BannedPrefix)
        } else {
            None
        }
    }

    /// Listed IPv4 addresses that stand alone or in short runs are addresses. Beside a listed prefix, and eight in a
    /// row, they are a prefix, and so is all that is listed of IPv6.
    fn is_listed_alone(&self, source: IpAddr) -> bool {
        const RUN: usize = 8;
        let IpAddr::V4(source) = source else { return false };
        if !is_in(&self.listed, source.into()) {
            return false;
        }
        let listed = |bits: &u32| is_in(&self.listed, IpAddr::V4((*bits).into()));
        let before = (0..source.to_bits()).rev().take_while(listed).take(RUN);
        let behind = (source.to_bits()..=u32::MAX).take_while(listed).take(RUN);
        let run: Vec<u32> = before.chain(behind).collect();
        let is_of_a_prefix = |bits: &u32| {
            let address = IpAddr::V4((*bits).into());
            self.listed.iter().any(|net| net.contains(&address) && net.prefix_len() < net.max_prefix_len())
        };
        run.len() < RUN && !run.iter().any(is_of_a_prefix)
    }
}
