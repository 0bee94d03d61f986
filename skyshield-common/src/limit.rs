//! The rates that a packet may be counted under.

use crate::Reason;

/// A rate: of a source, or of the network around it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Packets of the source.
    Packets = 0,
    /// TCP SYNs of the source.
    Syns = 1,
    /// UDP packets of the source.
    Udp = 2,
    /// Bytes of the source.
    Bytes = 3,
    /// Flows that the source begins.
    Flows = 4,
    /// Packets of the network around the source.
    NetworkPackets = 5,
    /// Its TCP SYNs.
    NetworkSyns = 6,
    /// Its UDP packets.
    NetworkUdp = 7,
    /// Its bytes.
    NetworkBytes = 8,
    /// Flows that it begins.
    NetworkFlows = 9,
}

/// How many rates there are.
pub const LIMITS: usize = Limit::ALL.len();

impl Limit {
    /// Every rate, in the order of its discriminant.
    pub const ALL: [Self; 10] = [
        Self::Packets,
        Self::Syns,
        Self::Udp,
        Self::Bytes,
        Self::Flows,
        Self::NetworkPackets,
        Self::NetworkSyns,
        Self::NetworkUdp,
        Self::NetworkBytes,
        Self::NetworkFlows,
    ];
    /// All that are of a network.
    pub const OF_NETWORKS: u64 = Self::NetworkPackets.bit()
        | Self::NetworkSyns.bit()
        | Self::NetworkUdp.bit()
        | Self::NetworkBytes.bit()
        | Self::NetworkFlows.bit();
    /// Both that are of flows.
    pub const OF_FLOWS: u64 = Self::Flows.bit() | Self::NetworkFlows.bit();

    /// Its bit among those that are set.
    #[inline]
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// The reason of a packet that is over it.
    #[inline]
    pub const fn exceeded(self) -> Reason {
        match self {
            Self::Packets => Reason::RateExceeded,
            Self::Syns => Reason::SynRateExceeded,
            Self::Udp => Reason::UdpRateExceeded,
            Self::Bytes => Reason::ByteRateExceeded,
            Self::Flows => Reason::FlowRateExceeded,
            Self::NetworkPackets => Reason::NetworkRateExceeded,
            Self::NetworkSyns => Reason::NetworkSynRateExceeded,
            Self::NetworkUdp => Reason::NetworkUdpRateExceeded,
            Self::NetworkBytes => Reason::NetworkByteRateExceeded,
            Self::NetworkFlows => Reason::NetworkFlowRateExceeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rate_has_a_bit_and_a_reason_of_its_own() {
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
            assert!(limit.exceeded().is_rate() && limit.exceeded().drops());
            let is_networks = Limit::OF_NETWORKS & limit.bit() != 0;
            assert_eq!(is_networks, limit.exceeded().name().starts_with("network_"));
        }
    }
}
