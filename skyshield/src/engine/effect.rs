//! What the engine asks the shell to do, in the order it is to be done.

use std::net::IpAddr;
use std::time::Instant;

use super::decision::{Decision, DecisionId, Ended};
use super::source::Source;

/// One step. What an operator asked for is recorded before it is enforced; what a detector decided
/// is enforced first, because a ban must not wait for a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep the decision on disk.
    Record {
        /// The decision.
        decision: Decision,
        /// Whether whoever asked is answered only after it is on disk.
        durable: bool,
    },
    /// Put the ban into the kernel, or move its deadline.
    Install {
        /// Whom to drop.
        source: Source,
        /// The decision behind it.
        decision: Decision,
    },
    /// Take the ban out of the kernel.
    Remove {
        /// Whom to let through again.
        source: Source,
    },
    /// Hold a source's packets to a rate of its own.
    Shape {
        /// Whose: an IPv4 address, or the first of an IPv6 /64.
        source: IpAddr,
        /// Packets a second; `None` is the common rate again.
        packets_per_sec: Option<u64>,
    },
    /// Note on disk that a decision has ended.
    Close {
        /// Which.
        id: DecisionId,
        /// Why.
        cause: Ended,
        /// When.
        at: Instant,
        /// Whether whoever asked is answered only after it is on disk.
        durable: bool,
    },
}
