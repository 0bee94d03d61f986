//! What a verdict asks and tells of its client beyond the request.

use std::net::IpAddr;
use std::time::Instant;

use super::hops::names_another_client;
use super::{Judge, Refusal, RefusalReason, text};
use crate::control::Settled;
use crate::engine::incident::{Client, Door};
use crate::engine::indicators::Traits;
use crate::engine::risk::Score;
use crate::engine::turned_away::Why;
use crate::inspect::Request;

impl Judge {
    /// The refusal of all that `address` sends, where a list or a policy on places does not want it.
    pub(super) fn unwanted(&self, address: IpAddr, door: Door, at: Instant) -> Option<Refusal> {
        self.control.count_unwanted(&self.view.unwanted(address, at)?);
        let (score, reason) = (Score::new(1.0), RefusalReason::Unwanted);
        let incident = self.number(address, door, Why::Unwanted);
        Some(Refusal { incident, score, reason, settled: Settled::default() })
    }

    /// The refusal of a request of nobody, where a rule of response has its source log in.
    pub(super) fn without_user(
        &self,
        client: Client,
        door: Door,
        request: &Request<'_>,
        at: Instant,
    ) -> Option<Refusal> {
        let has_to = self.view.measures().has_to_log_in(client.address, at);
        let limiter = self.limiter.as_ref().filter(|_| has_to)?;
        let is_protected = || self.view.never_ban().protects(client.address).is_some();
        if limiter.is_of_a_user(request) || is_protected() {
            return None;
        }
        let (score, reason) = (Score::new(0.0), RefusalReason::NoUser);
        let incident = self.number(client.address, door, Why::NoUser);
        Some(Refusal { incident, score, reason, settled: Settled::default() })
    }

    /// Leaves word that it would be worth as much as this score to know what others say of the client.
    pub(super) fn wonder(&self, client: Client, score: Score) {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
        let worth = score.value() as f32;
        self.view.hearsay().wonder(client.address, worth);
    }
}

/// What `sender` of `request` is like, beside its address.
pub(super) fn traits_of(request: &Request<'_>, sender: IpAddr, ja4: Option<&str>) -> Traits {
    let named = |name: &[u8]| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let user_agent = named(b"user-agent").map(|header| text(header.value)).unwrap_or_default();
    let header_order = Traits::order_of(request.headers.iter().map(|header| header.name));
    let forwards = request.headers.iter().any(|header| names_another_client(header, sender));
    Traits { user_agent, header_order, ja4: ja4.map(str::to_owned), forwards }
}
