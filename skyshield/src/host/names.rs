//! The names on the allow list: asked again when their answers grow old, the last good answer kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;

use crate::engine::allow::DnsName;

/// A name is not asked for more often than this, whatever its answers say.
const SHORTEST: Duration = Duration::from_secs(30);
/// A name is asked for at least so often.
const LONGEST: Duration = Duration::from_hours(1);
/// After no answer the next try waits this long.
const RETRY: Duration = Duration::from_secs(30);
/// One name has so long to be answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// When each name is to be asked for.
#[derive(Debug, Default)]
pub struct Schedule(HashMap<DnsName, Instant>);

impl Schedule {
    /// The names of `wanted` that are due at `now`; the others are forgotten.
    pub fn due(&mut self, wanted: &[DnsName], now: Instant) -> Vec<DnsName> {
        self.0.retain(|name, _| wanted.contains(name));
        wanted.iter().filter(|name| self.0.get(name).is_none_or(|due| *due <= now)).cloned().collect()
    }

    /// Notes an answer at `now` that is good for `ttl`, or that there was none.
    pub fn note(&mut self, name: DnsName, ttl: Option<Duration>, now: Instant) {
        let wait = ttl.map_or(RETRY, |ttl| ttl.clamp(SHORTEST, LONGEST));
        self.0.insert(name, now + wait);
    }
}

/// Asks the host's resolvers, as `/etc/resolv.conf` and `/etc/hosts` say.
#[derive(Debug)]
pub struct Resolver(TokioResolver);

impl Resolver {
    /// A resolver by the host's configuration.
    pub fn of_host() -> Result<Self, NetError> {
        TokioResolver::builder_tokio()?.build().map(Self)
    }

    /// The addresses of `name`, and for how long they are good.
    pub async fn addresses(&self, name: &DnsName, now: Instant) -> Option<(Vec<IpAddr>, Duration)> {
        // A last dot keeps the host's search list out of it.
        let asked = self.0.lookup_ip(format!("{name}."));
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%name, %error, "a name on the allow list does not resolve; its last answer stands");
                return None;
            }
            Err(_late) => {
                tracing::warn!(%name, "a name on the allow list was not answered in time; its last answer stands");
                return None;
            }
        };
        let ttl = answer.valid_until().saturating_duration_since(now);
        Some((answer.iter().collect(), ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_name_is_asked_for_when_its_answer_grows_old_within_bounds() {
        let (mut schedule, now) = (Schedule::default(), clock::now());
        let names: Vec<_> =
            ["a.example", "b.example"].iter().filter_map(|name| DnsName::parse(name)).collect();
        assert_eq!(schedule.due(&names, now), names);
        schedule.note(names[0].clone(), Some(Duration::from_secs(1)), now);
        schedule.note(names[1].clone(), Some(Duration::from_hours(24)), now);
        assert!(schedule.due(&names, now).is_empty());
        assert_eq!(schedule.due(&names, now + SHORTEST), names[..1]);
        schedule.note(names[0].clone(), None, now + SHORTEST);
        assert_eq!(schedule.due(&names, now + SHORTEST + RETRY), names[..1]);
        assert_eq!(schedule.due(&names, now + LONGEST), names);
        assert!(schedule.due(&names[1..], now).is_empty());
        assert_eq!(schedule.0.len(), 1, "what is off the list is forgotten");
    }
}
