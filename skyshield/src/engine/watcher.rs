//! What a door tells of the requests that pass, to whoever counts what they stand for.

use std::fmt::Debug;

use crate::inspect::Request;

/// What was recognised in a request, until it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The rules that it matches, a bit each.
    pub rules: u64,
    /// Its user, by a hash that leads nobody back.
    pub user: Option<u64>,
}

/// Who counts requests by what they are. Neither call waits for anything.
pub trait Watcher: Debug + Send + Sync {
    /// What is to be counted of `request`, should it be answered well.
    fn look(&self, request: &Request<'_>) -> Matched;

    /// It was answered with `status`.
    fn answered(&self, matched: Matched, status: u16);
}
