//! What became of one request that the application answered.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Instant;

/// What is told of a request beside its answer, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits(u8);

impl Traits {
    /// It tries to log in.
    pub const LOGIN: Self = Self(1);
    /// It asks for a page that only other software has, as scanners do.
    pub const WELL_KNOWN: Self = Self(2);
    /// It is meant to change something: POST, PUT, PATCH, DELETE.
    pub const WRITES: Self = Self(4);
    /// Its headers name another client, as a proxy's do.
    pub const FORWARDS: Self = Self(8);
    /// A trusted proxy has brought it.
    pub const BY_PROXY: Self = Self(16);

    /// These and `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has `other`.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What became of a request. Names are hashes: nothing of anybody's is kept.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Whose request it was.
    pub address: IpAddr,
    /// When all of it had arrived.
    pub at: Instant,
    /// The status of the application's answer.
    pub status: u16,
    /// What is told of it.
    pub traits: Traits,
    /// The host asked for.
    pub site: u64,
    /// The path.
    pub path: u64,
    /// The path without its last number, and that number.
    pub series: Option<(u64, u64)>,
    /// What it wants to change: target and the beginning of its body.
    pub value: u64,
    /// Whether an attempt to log in succeeded; none where the answer does not say.
    pub login: Option<bool>,
    /// The account it tries to log in to.
    pub account: Option<NonZeroU64>,
}
