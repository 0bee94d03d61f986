//! What is decided about a request, whatever is in it: bans, limits, and who is let through.

use std::time::Instant;

use super::{Judge, Limited, Refusal, RefusalReason, Verdict, mint};
use crate::control::Settled;
use crate::engine::decision::DecisionId;
use crate::engine::incident::{Client, IncidentId};
use crate::engine::risk::Score;
use crate::inspect::Request;

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
    pub(super) fn decided(&self, client: Client, request: &Request<'_>, at: Instant) -> Decided {
        let user = || self.limiter.as_ref().and_then(|limiter| limiter.user_of(request));
        let about = self.view.about(client.address, user, at);
        if about.allow.is_some() {
            return Decided::Allowed;
        }
        if let Some(ban) = self.view.ban_of(client.address, at) {
            return Decided::Stop(Box::new(Verdict::Refuse(Self::banned(ban.id, ban.incident))));
        }
        if let Some(word) = about.ban {
            return Decided::Stop(Box::new(Verdict::Refuse(Self::banned(word.id, None))));
        }
        let refused = self.unwanted(client.address, at).or_else(|| self.without_user(client, request, at));
        if let Some(refusal) = refused {
            return Decided::Stop(Box::new(Verdict::Refuse(refusal)));
        }
        let counted = about.limit.zip(self.limiter.as_ref());
        let counted =
            counted.map_or(Ok(()), |(word, limiter)| limiter.count_ruling(&word, client.address, at));
        match counted {
            Ok(()) => Decided::Nothing,
            Err((quota, retry_after)) => {
                Decided::Stop(Box::new(Verdict::Limit(Limited { incident: mint(), quota, retry_after })))
            }
        }
    }

    pub(super) fn banned(id: DecisionId, incident: Option<IncidentId>) -> Refusal {
        let (score, reason) = (Score::new(1.0), RefusalReason::Banned(id));
        // Whoever asks about a ban is told of what led to it, where something did.
        let incident = incident.unwrap_or_else(mint);
        Refusal { incident, score, reason, settled: Settled::default() }
    }
}
