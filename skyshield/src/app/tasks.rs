//! The daemon's own tasks: each goes on until it is told to stop, or fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::aside;
use super::interfaces::Keeper;
use super::reload::{Known, Reloader};
use super::succession::Succession;
use super::trial::{self, Trial};
use crate::api::{Api, Listeners};
use crate::config::Config;
use crate::control::Control;
use crate::dataplane::Events;
use crate::engine::never_ban::Protection;
use crate::engine::source::Source;
use crate::lifecycle::{Lifecycle, Unfulfilled, Waiting, Wish};
use crate::rehearsal::{self, Stage};
use crate::verdict::Judge;
use crate::{gateway, host};

/// How often the host is asked for its addresses, however quiet the kernel is.
const LOOK_AT_HOST_EVERY: Duration = Duration::from_secs(5);
/// How often the kernel side is told again what it did not take.
const SETTLE_UP_EVERY: Duration = Duration::from_secs(1);

/// Fails where the control task ends before `stop`.
pub(super) async fn outlive(control: Control, stop: CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = control.ended() => anyhow::bail!("nothing is decided any more"),
    }
}

/// Where the configuration and the exceptions in force are rehearsed.
pub(super) fn rehearsed(
    judge: &Judge,
    control: &Control,
    config: &Config,
    registry: &Registry,
) -> Result<Stage, prometheus::Error> {
    let (limits, rehearsal) = (config.inspect.clone(), config.rehearsal.clone());
    let (settings, exceptions) = (judge.shared_settings(), Arc::clone(control.exceptions()));
    Ok(Stage::new(settings, exceptions, limits, rehearsal, rehearsal::Metrics::new(registry)?))
}

/// Runs `task`, and keeps `hold` until it has ended, with all it held on to.
pub(super) async fn held(
    hold: mpsc::Sender<Infallible>,
    task: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = task.await;
    drop(hold);
    outcome
}

/// Serves the admin API until `release`; what has no end by a thread that goes last. Answers on their way keep nobody's
/// place.
pub(super) async fn answer(
    listeners: Listeners,
    api: Api,
    release: CancellationToken,
    hold: mpsc::Sender<Infallible>,
) -> anyhow::Result<()> {
    let streams = aside::last("streams").context("no thread for the stream")?;
    let conversations = listeners.in_background(streams.handle()).serve(api, release).await;
    drop(hold);
    conversations.end().await;
    Ok(())
}

/// Does what is wished for, one after the other; a configuration on trial ends in its time.
pub(super) async fn fulfil(
    mut wished: mpsc::Receiver<Wish>,
    mut reloader: Reloader,
    mut succession: Succession,
) -> anyhow::Result<()> {
    let stop = succession.stop.clone();
    let mut trial: Option<Trial> = None;
    loop {
        let over = async {
            match &trial {
                Some(trial) => tokio::time::sleep_until(trial.ends.into()).await,
                None => std::future::pending().await,
            }
        };
        let is_owed = reloader.owed.is_some();
        let wish = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(SETTLE_UP_EVERY), if is_owed => {
                reloader.settle_up().await;
                continue;
            }
            () = over => Wish::RollBack(None),
            wish = wished.recv() => match wish {
                Some(wish) => wish,
                None => return Ok(()),
            },
        };
        match wish {
            Wish::Confirm(by, waiting) => {
                let outcome = match &trial {
                    Some(trial) => trial.confirm(&reloader.place, &reloader.control, &by).await,
                    None => Err(nothing_on_trial()),
                };
                if outcome.is_ok() {
                    trial = None;
                }
                answer_to(waiting, outcome);
            }
            Wish::RollBack(waiting) => {
                let outcome = match trial.take() {
                    Some(trial) => Box::pin(trial.roll_back(&mut reloader)).await,
                    None => Err(nothing_on_trial()),
                };
                answer_to(waiting, outcome);
            }
            Wish::Check(text, waiting) => answer_to(waiting, trial::check(&reloader, &text).await),
            Wish::Reload(waiting) if trial.is_some() => answer_to(waiting, Err(on_trial())),
            Wish::Apply(_, waiting) if trial.is_some() => answer_to(waiting, Err(on_trial())),
            Wish::Upgrade(waiting) if trial.is_some() => answer_to(waiting, Err(on_trial())),
            Wish::Reload(waiting) => answer_to(waiting, reloader.reload().await),
            Wish::Apply(asked, waiting) => {
                let begun = Box::pin(trial::begin(&mut reloader, asked)).await.map(|(begun, applied)| {
                    trial = Some(begun);
                    applied
                });
                answer_to(waiting, begun);
            }
            Wish::Upgrade(waiting) => answer_to(waiting, succession.hand_over().await?),
        }
    }
}

/// Who has gone meanwhile finds it in the log.
fn answer_to<T>(waiting: Waiting<T>, outcome: Result<T, Unfulfilled>) {
    let _gone = waiting.map(|waiting| waiting.send(outcome).is_err());
}

fn nothing_on_trial() -> Unfulfilled {
    Unfulfilled::Refused("no configuration is on trial, or its time is over and it is rolled back".to_owned())
}

fn on_trial() -> Unfulfilled {
    let what = "a configuration is on trial; confirm it (`skyshield confirm`), or roll it back, first";
    Unfulfilled::Refused(what.to_owned())
}

/// Keeps the never-ban set true to the host and to the configuration.
pub(super) async fn watch_host(
    mut known: watch::Receiver<Known>,
    upstreams: gateway::Upstreams,
    control: Control,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut watch = host::watch().context("the kernel does not tell of changed addresses")?;
    let mut period = tokio::time::interval(LOOK_AT_HOST_EVERY);
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = watch.changed() => {}
            // Whoever names it lives as long as the daemon.
            Ok(()) = known.changed() => {}
            _ = period.tick() => {}
        }
        let known = known_now(&known.borrow_and_update(), &upstreams);
        let found = tokio::task::spawn_blocking(move || host::never_ban(&known)).await?;
        if last.as_ref() != Some(&found) {
            control.set_never_ban(found.clone()).await?;
            last = Some(found);
        }
    }
}

/// Keeps the program attached and tells of its drops, where there is one; all of it holds on to `hold`.
pub(super) fn watch_kernel(
    lifecycle: &mut Lifecycle,
    running: Option<(Keeper, Events)>,
    hold: mpsc::Sender<Infallible>,
    release: &CancellationToken,
) {
    if let Some((keeper, events)) = running {
        lifecycle.spawn("attachment", held(hold.clone(), keeper.run(release.clone())));
        lifecycle.spawn("events", held(hold, tell_events(events, release.clone())));
    }
}

/// Tells of a sample of the drops.
async fn tell_events(mut events: Events, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            batch = events.next() => batch.context("the kernel's events cannot be read")?,
        };
        for event in batch {
            tracing::debug!(?event, "a packet was dropped");
        }
    }
}

/// What is never banned beside what the host finds itself; upstreams may have moved since.
pub(super) fn known_now(
    configured: &[(Source, Protection)],
    upstreams: &gateway::Upstreams,
) -> Vec<(Source, Protection)> {
    let addresses = upstreams.addresses().into_iter();
    let upstreams = addresses.map(|address| (Source::host(address.ip()), Protection::Upstream));
    configured.iter().copied().chain(upstreams).collect()
}
