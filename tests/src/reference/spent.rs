//! What has been sent under each rate.
//!
//! Nothing comes back: at a unit a second that is what the kernel says within a second of the first packet, and at
//! rates that nobody reaches it is always so. That rates refill is measured on their own (`rate_…`).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use skyshield_common::Limit;

use super::frame::Packet;
use super::internet::{Class, Told, told};

/// Under what is counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    Limit(Limit, IpNet),
    /// Of each rule a source has an account of its own.
    Rule(usize, IpNet),
}

/// Units of each account, and flows that were seen.
#[derive(Debug, Default)]
pub(super) struct Spent {
    units: HashMap<Account, u64>,
    flows: HashSet<(IpNet, Told)>,
}

impl Spent {
    /// Spends `cost` of `most`, or says that there is not enough left, and spends nothing.
    pub(super) fn is_over(&mut self, account: Account, cost: u64, most: u64) -> bool {
        let units = self.units.entry(account).or_default();
        let is_over = *units + cost > most;
        if !is_over {
            *units += cost;
        }
        is_over
    }

    /// Whether a packet begins a flow: a SYN always, UDP the first time that its source and ports are seen.
    pub(super) fn begins_flow(&mut self, packet: &Packet<'_>, class: Class) -> bool {
        class == Class::Syn || class == Class::Udp && self.flows.insert((source(packet.source), told(packet)))
    }
}

/// What a packet puts on rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) class: Class,
    pub(super) begins_flow: bool,
    pub(super) bytes: u64,
}

impl Load {
    /// What it costs under a limit; nothing where that is not about it.
    pub(super) fn cost(self, limit: Limit) -> u64 {
        match limit {
            Limit::Packets | Limit::NetworkPackets => 1,
            Limit::Syns | Limit::NetworkSyns => (self.class == Class::Syn).into(),
            Limit::Udp | Limit::NetworkUdp => (self.class == Class::Udp).into(),
            Limit::Bytes | Limit::NetworkBytes => self.bytes,
            Limit::Flows | Limit::NetworkFlows => self.begins_flow.into(),
        }
    }
}

impl Account {
    pub(super) fn of(limit: Limit, address: IpAddr) -> Self {
        let is_of_networks = Limit::OF_NETWORKS & limit.bit() != 0;
        Self::Limit(limit, if is_of_networks { around(address, 24, 48) } else { source(address) })
    }
}

/// Who is held to a rate: an IPv4 address, an IPv6 /64.
pub(super) fn source(address: IpAddr) -> IpNet {
    around(address, 32, 64)
}

fn around(address: IpAddr, v4: u8, v6: u8) -> IpNet {
    let net = IpNet::from(address);
    IpNet::new(address, if address.is_ipv4() { v4 } else { v6 }).unwrap_or(net).trunc()
}

/// So much at once: twice as much as in a second, where nothing else is said.
pub(super) fn burst(per_sec: u64, burst: u64) -> u64 {
    if burst == 0 { per_sec * 2 } else { burst }
}
