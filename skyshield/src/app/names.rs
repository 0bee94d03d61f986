//! The names on the allow list, from the resolver to the control task.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::engine::allow::Whom;
use crate::{clock, host};

/// How often it is seen which names are to be resolved.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps the names on the allow list resolved. A resolver that is dead leaves their last answers standing.
pub(super) async fn keep(control: Control, stop: CancellationToken) -> anyhow::Result<()> {
    let mut schedule = host::Schedule::default();
    let mut period = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = period.tick() => {}
        }
        let Ok(entries) = control.allows().await else { continue };
        let names: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| match entry.whom {
                Whom::Name(name) => Some(name),
                Whom::Source(_) => None,
            })
            .collect();
        let due = schedule.due(&names, clock::now());
        if due.is_empty() {
            continue;
        }
        // Made anew each time: the host's resolvers may have changed.
        let resolver = host::Resolver::of_host().inspect_err(
            |error| tracing::warn!(%error, "the host's resolvers are unknown: names keep their last answers"),
        );
        for name in due {
            let found = match &resolver {
                Ok(resolver) => resolver.addresses(&name, clock::now()).await,
                Err(_) => None,
            };
            if found.is_none() {
                control.count_unresolved();
            }
            schedule.note(name.clone(), found.as_ref().map(|(_, ttl)| *ttl), clock::now());
            if let Some((addresses, _)) = found {
                control.resolved(name, addresses).await?;
            }
        }
    }
}
