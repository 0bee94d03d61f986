//! What sources do over time: outcomes of requests in, claims about their sources out.
//!
//! One answer says little: a wrong password, a missing page. These detectors remember a little of each
//! source, in a table of a fixed size, and claim what many answers say together. What this host refused
//! by itself never gets here. Sharing an address is no offence: every claim weighs what failed against
//! what went well, and what fails for everybody is the application's fault.

mod campaign;
mod claims;
mod config;
mod count;
mod detect;
mod key;
mod signal;
mod table;
mod track;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

pub use claims::{Claims, Detector};
pub use config::{Config, Login, Statuses};
pub use key::Key;
pub use signal::{Signal, Traits};

use self::campaign::Campaign;
use self::table::Table;
use self::track::Track;

/// The address that stands for all a source can choose from: of IPv6, the first of its /64.
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Watches what becomes of requests.
#[derive(Debug)]
pub struct Behaviour {
    config: Config,
    sources: Table<Track>,
    campaign: Campaign,
    key: Key,
    began: Instant,
}

impl Behaviour {
    /// Nothing seen yet; its time begins at `now`, and `key` keeps strangers from aiming at its places.
    pub fn new(config: Config, key: Key, now: Instant) -> Self {
        let sources = Table::new(config.tracked);
        Self { config, sources, campaign: Campaign::default(), key, began: now }
    }

    /// Takes note of what became of a request, and says what its source's behaviour amounts to.
    pub fn observe(&mut self, signal: &Signal) -> Claims {
        if !self.config.enabled {
            return Claims::default();
        }
        let now = signal.at.saturating_duration_since(self.began);
        let address = source_of(signal.address);
        let fingerprint = self.key.hash(&[&octets(address)]);
        let track = self.sources.entry(fingerprint, now);
        let seen = track.note(signal, &self.config, now);
        let is_missing = self.config.missing.contains(&signal.status);
        if self.campaign.note(fingerprint, signal, seen, is_missing, now) {
            track.at_target.add(now, track::LOGIN_HALF_LIFE);
        }
        let claims = detect::claims(track, &self.campaign, &self.config, now, signal.at);
        track.worst = claims.worst(signal.at);
        claims
    }

    /// Sources that were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.sources.evicted()
    }

    /// Sources that are remembered.
    pub fn tracked(&self) -> usize {
        self.sources.len()
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Time since the beginning, as the tables keep it.
fn secs(since: Duration) -> u32 {
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
