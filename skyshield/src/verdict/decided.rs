//! What is decided about a request, whatever is in it: bans, limits, and who is let through.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Judge, Limited, Refusal, RefusalReason, Verdict, mint};
use crate::control::Settled;
use crate::engine::decision::DecisionId;
use crate::engine::incident::{Client, Door, IncidentId};
use crate::engine::risk::Score;
use crate::engine::turned_away::{Slip, Why};
use crate::inspect::Request;
use crate::limits::Quota;

/// What is decided about a request, whatever is in it.
pub(super) enum Decided {
    /// It goes no further.
    Stop(Box<Verdict>),
    /// Nobody bans its sender.
    Allowed,
    /// Nothing.
    Nothing,
}

impl Judge {
    /// What is decided about `request` before anybody looks into it.
    pub(super) fn decided(&self, client: Client, door: Door, request: &Request<'_>, at: Instant) -> Decided {
        let refused = |refusal| Decided::Stop(Box::new(Verdict::Refuse(refusal)));
        let user = || self.limiter.as_ref().and_then(|limiter| limiter.user_of(request));
        let about = self.view.about(client.address, user, at);
        if about.allow.is_some() {
            return Decided::Allowed;
        }
        if let Some(ban) = self.view.ban_of(client.address, at) {
            return refused(self.banned(client.address, door, ban.id, ban.incident));
        }
        if let Some(word) = about.ban {
            return refused(self.banned(client.address, door, word.id, None));
        }
        let unwanted = self.unwanted(client.address, door, at);
        if let Some(refusal) = unwanted.or_else(|| self.without_user(client, door, request, at)) {
            return refused(refusal);
        }
        let counted = about.limit.zip(self.limiter.as_ref());
        let counted =
            counted.map_or(Ok(()), |(word, limiter)| limiter.count_ruling(&word, client.address, at));
        match counted {
            Ok(()) => Decided::Nothing,
            Err((quota, retry_after)) => {
                Decided::Stop(Box::new(self.limited(client.address, door, quota, retry_after)))
            }
        }
    }

    /// The verdict on a request of `address` that is beyond `quota`.
    pub(super) fn limited(
        &self,
        address: IpAddr,
        door: Door,
        quota: Quota,
        retry_after: Duration,
    ) -> Verdict {
        let incident = self.number(address, door, Why::Quota { retry_after });
        Verdict::Limit(Limited { incident, quota, retry_after })
    }

    /// The refusal of all that `address` sends, by a ban and what gave rise to it.
    pub(super) fn banned(
        &self,
        address: IpAddr,
        door: Door,
        id: DecisionId,
        incident: Option<IncidentId>,
    ) -> Refusal {
        let (score, reason) = (Score::new(1.0), RefusalReason::Banned(id));
        // Whoever asks about a ban is told of what led to it, where something did.
        let incident = incident.unwrap_or_else(|| self.number(address, door, Why::Banned(id)));
        Refusal { incident, score, reason, settled: Settled::default() }
    }

    /// A number for an answer that turns `address` away without an incident. It leads to why, where `door` gives
    /// answers.
    pub(super) fn number(&self, address: IpAddr, door: Door, why: Why) -> IncidentId {
        let id = mint();
        if door.can_refuse() {
            self.view.turned_away().note(Slip { id, address, why });
        }
        id
    }
}
