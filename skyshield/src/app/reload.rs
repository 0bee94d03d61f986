//! Reading the configuration again: all of it is checked, then what can be is swapped, or nothing is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::watch;

use super::known_to_the_configuration;
use super::published::Published;
use super::tap::Ears;
use crate::clock;
use crate::config::{self, Config};
use crate::control::Control;
use crate::dataplane::Tuning;
use crate::engine::never_ban::Protection;
use crate::engine::source::Source;
use crate::forward_auth;
use crate::gateway;
use crate::lifecycle::{Reloaded, Unfulfilled, notify};
use crate::rehearsal::Stage;
use crate::telemetry::Level;
use crate::verdict::Judge;

/// Reads the configuration as it was read at the start, or from another file; an error says what is wrong
/// and where.
pub type Load = Arc<dyn Fn(Option<&Path>) -> Result<Config, String> + Send + Sync>;

/// The part of the never-ban set that the configuration names.
pub(super) type Known = Arc<[(Source, Protection)]>;

/// Counts reloads.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    reloads: IntCounterVec,
    last_success: IntGauge,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts =
            Opts::new("skyshield_config_reloads_total", "Readings of the configuration while running.");
        let reloads = IntCounterVec::new(opts, &["result"])?;
        for result in ["applied", "refused"] {
            reloads.with_label_values(&[result]);
        }
        let last_success = IntGauge::new(
            "skyshield_config_last_success_timestamp_seconds",
            "When the configuration in force was read, in seconds since 1970.",
        )?;
        registry.register(Box::new(reloads.clone()))?;
        registry.register(Box::new(last_success.clone()))?;
        let metrics = Self { reloads, last_success };
        metrics.succeeded();
        Ok(metrics)
    }

    fn succeeded(&self) {
        let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.last_success.set(since_epoch.as_secs().cast_signed());
    }
}

/// Everything that goes by the configuration and can go by another.
pub(super) struct Reloader {
    pub(super) load: Load,
    /// Where the configuration is.
    pub(super) place: PathBuf,
    /// What the daemon was started with: what needs a restart is as it says.
    pub(super) started_with: Config,
    /// What was taken up last.
    pub(super) in_force: Config,
    /// Where that is shown.
    pub(super) published: Published,
    pub(super) gateway: gateway::Handle,
    pub(super) forward_auth: forward_auth::Handle,
    pub(super) judge: Judge,
    /// Those of the tap.
    pub(super) ears: Ears,
    pub(super) control: Control,
    pub(super) known: watch::Sender<Known>,
    pub(super) level: Level,
    pub(super) metrics: Metrics,
    pub(super) stage: Stage,
    /// What the kernel side is to go by, and did not take.
    pub(super) owed: Option<Tuning>,
}

impl Reloader {
    /// Reads, checks and swaps; on an error everything is as it was.
    pub(super) async fn reload(&mut self) -> Result<Reloaded, Unfulfilled> {
        self.reload_from(None).await
    }

    /// The same, from another file, where one is named.
    pub(super) async fn reload_from(&mut self, file: Option<PathBuf>) -> Result<Reloaded, Unfulfilled> {
        notify::reloading();
        let outcome = match self.read(file).await {
            Ok(new) => self.attempt(new).await,
            Err(error) => Err(Unfulfilled::Refused(format!("{error:#}"))),
        };
        notify::ready();
        self.tell(outcome)
    }

    /// Goes back to a configuration that was in force before, with each half whatever becomes of the other: what it
    /// replaces nobody has confirmed. What the kernel does not take is tried again by [`Self::settle_up`].
    pub(super) async fn go_back_to(&mut self, before: Config) -> Result<Reloaded, Unfulfilled> {
        let (needs_restart, _) = self.partitioned(&self.started_with, &before);
        let (_, applied) = self.partitioned(&self.in_force, &before);
        let tuned = self.put_back(&before).await;
        let opened = match Box::pin(self.open_doors(before)).await {
            Ok((before, judge)) => Box::pin(self.renew(before, judge)).await,
            Err(error) => Err(error),
        };
        let outcome = match (opened, tuned) {
            (Ok(()), Ok(())) => Ok(Reloaded { applied, needs_restart }),
            (Ok(()), Err(error)) => {
                let error =
                    format!("the doors go by what was in force before, the kernel side not yet: {error:#}");
                Err(Unfulfilled::Refused(error))
            }
            (Err(error), _) => Err(Unfulfilled::Refused(format!(
                "the doors do not go by what was in force before: {error:#}"
            ))),
        };
        self.count(&outcome);
        outcome
    }

    /// Tries again what the kernel side did not take; to be called every now and then.
    pub(super) async fn settle_up(&mut self) {
        let Some(tuning) = self.owed.clone() else { return };
        match self.control.tune(tuning).await {
            Ok(()) => {
                self.owed = None;
                tracing::warn!("the kernel side goes by the configuration in force again");
            }
            Err(error) => tracing::debug!(%error, "the kernel side still does not take what is in force"),
        }
    }

    fn tell(&self, outcome: Result<Reloaded, Unfulfilled>) -> Result<Reloaded, Unfulfilled> {
        match &outcome {
            Ok(Reloaded { applied, needs_restart }) => {
                tracing::info!(applied = applied.join(", "), "the configuration was read again");
                if !needs_restart.is_empty() {
                    tracing::warn!(
                        keys = needs_restart.join(", "),
                        "changed, and in force only after a restart"
                    );
                }
            }
            Err(error) => {
                tracing::error!(%error, "the configuration was not taken up: everything stays as it was");
            }
        }
        self.count(&outcome);
        outcome
    }

    fn count(&self, outcome: &Result<Reloaded, Unfulfilled>) {
        let result = if outcome.is_ok() { "applied" } else { "refused" };
        self.metrics.reloads.with_label_values(&[result]).inc();
        if outcome.is_ok() {
            self.metrics.succeeded();
        }
    }

    async fn attempt(&mut self, new: Config) -> Result<Reloaded, Unfulfilled> {
        let refused = |error: anyhow::Error| Unfulfilled::Refused(format!("{error:#}"));
        let (restart, _) = self.partitioned(&self.started_with, &new);
        let (_, applied) = self.partitioned(&self.in_force, &new);
        let (new, judge) = Box::pin(self.open_doors(new)).await.map_err(refused)?;
        if let Err(error) = self.tune(&new).await {
            // Half of it must not be in force.
            if let Err(error) = Box::pin(self.go_back()).await {
                let error = format!("{error:#}");
                tracing::error!(error, "what was in force could not be put back whole");
            }
            return Err(refused(error));
        }
        self.owed = None;
        Box::pin(self.renew(new, judge)).await.map_err(refused)?;
        Ok(Reloaded { applied, needs_restart: restart })
    }

    /// Has all that is left go by `new`, as doors and kernel do. Fails only where the daemon is about to end.
    async fn renew(&mut self, new: Config, judge: Judge) -> anyhow::Result<()> {
        let known = known_to_the_configuration(&new);
        self.level.set(&new.log);
        self.known.send_replace(known);
        self.ears.renew(&judge, &new.gateway);
        self.judge = judge;
        self.stage.renew(self.judge.shared_settings(), new.inspect.clone(), new.rehearsal.clone());
        self.control
            .set_sentences(new.risk.clone(), new.escalation.clone())
            .await
            .context("the control task has ended")?;
        let is_another = self.in_force != new;
        self.in_force = new;
        if is_another {
            self.published.publish(&self.in_force);
        }
        Ok(())
    }

    /// Makes the doors go by `new`, or leaves them as they are. Rules are compiled and names resolved off the tasks
    /// that serve requests.
    async fn open_doors(&self, new: Config) -> anyhow::Result<(Config, Judge)> {
        let (gateway, forward_auth) = (self.gateway.clone(), self.forward_auth.clone());
        let judge = self.judge.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let settings = judge.settings().renewed(&new.inspect, &new.risk, &new.routes);
            let judge = judge.renewed(settings, &new.limits, clock::now());
            gateway.reload(&new.gateway, judge.clone())?;
            forward_auth.reload(&new.forward_auth, judge.clone());
            anyhow::Ok((new, judge))
        });
        opened.await.context("the configuration could not be taken up")?
    }

    /// Makes the kernel side go by `new`, as far as it can while it runs.
    async fn tune(&self, new: &Config) -> anyhow::Result<()> {
        let tuning = new.dataplane.tuning(&self.started_with.dataplane);
        Ok(self.control.tune(tuning).await?)
    }

    /// Makes the kernel side go by what it went by before; where it does not, that is owed.
    async fn put_back(&mut self, before: &Config) -> anyhow::Result<()> {
        self.owed = None;
        let tuned = self.tune(before).await;
        if let Err(error) = &tuned {
            self.owed = Some(before.dataplane.tuning(&self.started_with.dataplane));
            let error = format!("{error:#}");
            tracing::error!(error, "the kernel side could not be put back: it goes by what was not kept");
        }
        tuned
    }

    /// Makes doors and kernel go by what is in force.
    async fn go_back(&mut self) -> anyhow::Result<()> {
        let in_force = self.in_force.clone();
        let tuned = self.put_back(&in_force).await;
        self.open_doors(in_force).await.and(tuned)
    }

    /// In which keys `new` differs from `old`: those that need a restart, and those that do not.
    fn partitioned(&self, old: &Config, new: &Config) -> (Vec<String>, Vec<String>) {
        let needs_restart = |key: &String| config::needs_restart(key, &self.started_with);
        config::changes(old, new).into_iter().partition(needs_restart)
    }

    /// What would change with the configuration in `file`.
    pub(super) async fn check(&self, file: PathBuf) -> Result<Reloaded, Unfulfilled> {
        let refused = |error: anyhow::Error| Unfulfilled::Refused(format!("{error:#}"));
        let new = self.read(Some(file)).await.map_err(refused)?;
        let (needs_restart, applied) = self.partitioned(&self.in_force, &new);
        Ok(Reloaded { applied, needs_restart })
    }

    async fn read(&self, file: Option<PathBuf>) -> anyhow::Result<Config> {
        let load = Arc::clone(&self.load);
        tokio::task::spawn_blocking(move || load(file.as_deref())).await?.map_err(anyhow::Error::msg)
    }
}

#[cfg(test)]
mod tests;
