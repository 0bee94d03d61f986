//! Where sources are: databases turned into tables that answer in a few dozen nanoseconds, and what comes
//! of being somewhere; in the kernel, by prefix.

mod atlas;
mod policy;
mod table;

use ipnet::IpNet;

pub use atlas::{Atlas, Described};
pub use policy::{Action, Policies, Policy};
pub use table::{Entry, Table, TooMuch};

/// Policies at most.
pub const MAX_POLICIES: usize = 255;

/// What becomes of packets from a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaceAct {
    /// They are dropped.
    Ban,
    /// Each source there is held to this rate, where it has none of its own.
    Limit {
        /// Packets a second; 0 is read as 1.
        packets_per_sec: u64,
        /// Packets at once after a pause.
        burst: u64,
    },
}

/// What is decided of some places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlacePolicy {
    /// What people know it by, in metrics and in the API.
    pub name: String,
    /// What becomes of packets from there.
    pub act: PlaceAct,
    /// Nothing is done but counting.
    pub dry_run: bool,
}

/// All that is decided of places, by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// The policies; [`MAX_POLICIES`] at most.
    pub policies: Vec<PlacePolicy>,
    /// Prefixes, each with the index of its policy, in any order. Where several hold an address the longest
    /// decides, and of two of the same the policy that stands first.
    pub prefixes: Vec<(IpNet, u8)>,
}
