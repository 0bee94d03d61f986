//! What the API keeps to itself: nothing of it outlives the daemon.

use std::sync::Arc;

use prometheus::Registry;
use tokio::sync::Semaphore;

use super::attempts::Attempts;
use super::export::Exports;
use super::live::Live;
use super::password::Passwords;
use super::processing::Kept;
use super::session::Sessions;
use super::stream::Streams;
use super::writes::Once;

/// What the API keeps to itself.
#[derive(Clone)]
pub struct Own {
    /// What was answered under which idempotency key.
    pub(super) once: Once,
    /// What happens, to be followed.
    pub(super) live: Live,
    /// The places for those who follow.
    pub(super) streams: Streams,
    /// The places for exports.
    pub(super) exports: Exports,
    /// The place for the one security report that is counted at a time: others wait, and readers of the store do not.
    pub(super) reporting: Arc<Semaphore>,
    /// Who is logged in.
    pub(super) sessions: Sessions,
    /// Who tried to log in of late.
    pub(super) attempts: Attempts,
    /// Checks passwords.
    pub(super) passwords: Passwords,
    /// What is kept, for the record of processing.
    pub(super) kept: Arc<Kept>,
    /// Whether what is said to the network's listener is encrypted.
    pub(super) is_encrypted: bool,
}

impl Own {
    /// Nobody has asked anything yet.
    pub fn new(registry: &Registry, kept: Kept) -> Result<Self, prometheus::Error> {
        Ok(Self {
            once: Once::default(),
            live: Live::new(registry)?,
            streams: Streams::default(),
            exports: Exports::default(),
            reporting: Arc::new(Semaphore::new(1)),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            passwords: Passwords::default(),
            kept: Arc::new(kept),
            is_encrypted: false,
        })
    }
}
