//! Who sends most, out of the kernel's sample.

use std::net::IpAddr;
use std::path::Path;

use skyshield_common::top::{BUCKETS, WAYS, WORDS};
use skyshield_common::{Address, maps as names};

use super::enforcer::Sender;
use super::error::Error;
use super::shared::Shared;
use crate::engine::source::Source;

/// The kernel's table of senders.
pub(super) struct Top(Shared);

impl Top {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Shared::open(dir, names::TOP).map(Self)
    }

    /// Takes out what was seen since it was last taken, most packets first. A packet that is counted at
    /// this moment may be lost, or come again: it is a sample.
    pub(super) fn take(&self) -> Vec<Sender> {
        let mut all: Vec<_> =
            (0..BUCKETS as usize * WAYS).filter_map(|way| self.take_way(way * WORDS)).collect();
        all.sort_unstable_by_key(|sender| std::cmp::Reverse(sender.packets));
        all
    }

    fn take_way(&self, at: usize) -> Option<Sender> {
        let [high, low, packets, dropped, bytes] = std::array::from_fn(|word| self.0.load(at + word));
        if packets == 0 {
            return None;
        }
        for word in 0..WORDS {
            self.0.store(at + word, 0);
        }
        Some(Sender { source: source(Address { high, low }), packets, dropped, bytes })
    }
}

/// An IPv4 address, or the /64 of an IPv6 one.
fn source(address: Address) -> Source {
    const NETWORK: u8 = 64;
    let octets = std::net::Ipv6Addr::from(address.octets());
    if address.v4().is_some() {
        return Source::host(IpAddr::V6(octets).to_canonical());
    }
    match ipnet::Ipv6Net::new(octets, NETWORK) {
        Ok(net) => Source::prefix(net.into()),
        Err(_) => Source::host(octets.into()),
    }
}
