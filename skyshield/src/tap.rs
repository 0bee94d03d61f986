//! The tap: HTTP seen on its way to the host's own web server, inspected as at the doors. It cannot
//! refuse; whoever attacks is banned from his next packet on.
//!
//! What it is given comes from the kernel program, which copies nothing but what the host's own socket
//! would take: a connection is proven before a byte of it comes here. Nothing in this room does IO.

mod config;
mod flow;
mod flows;
mod fragments;
mod listen;
mod metrics;
mod stream;

use std::net::IpAddr;

use skyshield_common::tap::Segment;

pub use config::Config;
pub use listen::Tap;
pub use metrics::Metrics;

use crate::engine::incident::Client;
use crate::inspect::Request;

/// How far the reading of requests has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It needs more bytes.
    More,
    /// A request was shown.
    Seen {
        /// With all of its body.
        whole: bool,
    },
    /// A request was shown that the gateway would have refused.
    Refused,
    /// What follows cannot be told from anything.
    Lost,
}

/// Reads the requests of one connection.
pub trait Requests {
    /// Takes what the connection carried next.
    fn push(&mut self, bytes: &[u8]);
    /// Reads on, and shows a request of `peer`'s once there is one.
    fn read(&mut self, peer: IpAddr, show: &mut dyn FnMut(Client, &Request<'_>)) -> Progress;
    /// Whether it can do without the next `count` bytes, which will not come.
    fn skip(&mut self, count: u64) -> bool;
    /// How many of the bytes that come next it would only throw away.
    fn unwanted(&self) -> u64;
    /// Bytes that it keeps.
    fn held(&self) -> usize;
    /// Whether it has read whole requests, and nothing of another.
    fn is_between(&self) -> bool;
}

/// Makes readers of requests.
pub trait Reads {
    /// What it makes.
    type Requests: Requests;
    /// One for a new connection.
    fn requests(&self) -> Self::Requests;
    /// Whether what begins with these bytes may be a request.
    fn may_begin(&self, bytes: &[u8]) -> bool;
}

/// Whoever copies, and can be told what need not be.
pub trait Copies {
    /// Nothing more of the segment's connection before the byte of this number.
    fn none_before(&mut self, segment: &Segment, until: u32);
    /// What was copied of it has been taken.
    fn taken(&mut self, segment: &Segment);
}
