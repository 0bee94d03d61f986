//! A configuration on trial: it is rolled back unless somebody confirms it over a connection that it has
//! not cut off.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;

use super::reload::Reloader;
use crate::clock;
use crate::config::Config;
use crate::control::Control;
use crate::lifecycle::{Applied, Caller, Confirmed, Proposal, Proposed, Reloaded, Unfulfilled};

/// What waits for its confirmation.
pub(super) struct Trial {
    /// What is gone back to.
    before: Config,
    /// The file that was applied, where it was one, and its text then.
    file: Option<PathBuf>,
    text: String,
    by: Caller,
    began: Instant,
    pub(super) ends: Instant,
}

/// Puts a configuration on trial.
pub(super) async fn begin(
    reloader: &mut Reloader,
    Proposal { what, span, by, only_if }: Proposal,
) -> Result<(Trial, Applied), Unfulfilled> {
    if only_if.is_some_and(|revision| *revision != *reloader.published.revision()) {
        return Err(Unfulfilled::Stale);
    }
    let before = reloader.in_force.clone();
    let (file, text, reloaded) = match what {
        Proposed::File(file) => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Unfulfilled::Refused(format!("{}: {error}", file.display())))?;
            let reloaded = reloader.reload_from(Some(file.clone())).await?;
            (Some(file), text, reloaded)
        }
        Proposed::Text(text) => {
            let draft = Draft::write(&reloader.place, &text)?;
            let reloaded = reloader.reload_from(Some(draft.0.clone())).await?;
            (None, text, reloaded)
        }
    };
    let Reloaded { applied, needs_restart } = reloaded;
    let began = clock::now();
    let ends = began.checked_add(span).unwrap_or(began);
    let named = file.as_ref().map_or_else(|| "sent".to_owned(), |file| file.display().to_string());
    tracing::warn!(file = named, seconds = span.as_secs(), "a configuration is on trial");
    let told = Applied { applied, needs_restart, confirm_within_secs: span.as_secs() };
    Ok((Trial { before, file, text, by, began, ends }, told))
}

/// Says what `text` would change, or what is wrong with it.
pub(super) async fn check(reloader: &Reloader, text: &str) -> Result<Reloaded, Unfulfilled> {
    let draft = Draft::write(&reloader.place, text)?;
    reloader.check(draft.0.clone()).await
}

/// A configuration that was sent, in a file beside the one in force for as long as it is read: what it names without a
/// whole path is found from there.
struct Draft(PathBuf);

impl Draft {
    fn write(place: &Path, text: &str) -> Result<Self, Unfulfilled> {
        let draft = Self(place.with_extension("toml.draft"));
        let written = write(&draft.0, text);
        written.map(|()| draft).map_err(|error| {
            Unfulfilled::Refused(format!("{}: {error}", place.with_extension("toml.draft").display()))
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed is written over by the next.
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

impl Trial {
    /// Keeps what was on trial, if `by` has come by a connection that is younger, and not by a bypass; it is the file
    /// in the place of the configuration from then on.
    pub(super) async fn confirm(
        &self,
        place: &Path,
        control: &Control,
        by: &Caller,
    ) -> Result<Confirmed, Unfulfilled> {
        self.is_shown_by(control, by).await.map_err(|what| Unfulfilled::Refused(what.to_owned()))?;
        let kept = if self.file.as_deref() == Some(place) {
            Ok(None)
        } else {
            put_in_place(place, &self.text).map(Some)
        };
        let previous = kept.map_err(|error| Unfulfilled::Refused(format!("{error:#}")))?;
        tracing::info!(place = %place.display(), "the configuration on trial was confirmed");
        Ok(Confirmed { place: place.to_owned(), previous: previous.flatten() })
    }

    /// Whether nobody is locked out, as `by` is in; or why that shows nothing.
    async fn is_shown_by(&self, control: &Control, by: &Caller) -> Result<(), &'static str> {
        if by.since <= self.began || (by.session.is_some() && by.session == self.by.session) {
            return Err(
                "this is the connection, or the SSH session, that applied it; connect anew and confirm from \
                        there, which shows that nobody is locked out",
            );
        }
        match control.health().await {
            Ok(health) if health.bypass_left.is_zero() => Ok(()),
            // Every connection passes then, whatever was put on trial would do to it.
            Ok(_) => Err("the kernel side is bypassed, so that your connection shows nothing; end that \
                          (`skyshield bypass off`), connect anew and confirm from there"),
            Err(_) => Err("the control task does not say whether the kernel side is bypassed; try again"),
        }
    }

    /// Goes back to what was in force before.
    pub(super) async fn roll_back(self, reloader: &mut Reloader) -> Result<Reloaded, Unfulfilled> {
        let outcome = reloader.go_back_to(self.before).await;
        match &outcome {
            Ok(_) => tracing::warn!("the configuration on trial was not confirmed and is rolled back"),
            Err(error) => tracing::error!(%error, "the configuration on trial is not rolled back whole"),
        }
        if self.file.as_ref() == Some(&reloader.place) {
            tracing::warn!(file = %reloader.place.display(), "it still says what was rolled back: mend it before a restart");
        }
        outcome
    }
}

/// Writes `text` in the place of the configuration, whole or not at all; where the one before is kept.
fn put_in_place(place: &Path, text: &str) -> anyhow::Result<Option<PathBuf>> {
    let (new, previous) = (place.with_extension("toml.new"), place.with_extension("toml.previous"));
    let replace = || -> std::io::Result<Option<PathBuf>> {
        write(&new, text)?;
        let kept = match std::fs::copy(place, &previous) {
            Ok(_) => Some(previous.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        std::fs::rename(&new, place)?;
        Ok(kept)
    };
    replace().with_context(|| format!("{}: cannot be written", place.display()))
}

/// Writes `text` to `path`, for the daemon's own user only.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Health, Metrics, Order};

    /// A daemon that says so of its health, or is gone.
    fn control(health: Option<Health>) -> Control {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let (control, mut orders) = Control::channel(metrics);
        tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                match (order, &health) {
                    (Order::Health(reply), Some(health)) => reply.send(health.clone()).unwrap(),
                    (_, _) => return,
                }
            }
        });
        control
    }

    #[tokio::test]
    async fn whoever_comes_by_a_bypass_cannot_confirm() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("skyshield.toml");
        let began = clock::now();
        let trial = Trial {
            before: Config::default(),
            file: None,
            text: "[risk]\n".to_owned(),
            by: Caller { since: began, session: None },
            began,
            ends: began,
        };
        let by = Caller { since: began + std::time::Duration::from_secs(1), session: None };
        let bypassed = Health { bypass_left: std::time::Duration::from_nanos(1), ..Health::default() };
        for (health, why) in [(Some(bypassed), "skyshield bypass off"), (None, "does not say")] {
            let refused = trial.confirm(&place, &control(health), &by).await.unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
            assert!(!place.exists(), "it is in its place all the same");
        }
        trial.confirm(&place, &control(Some(Health::default())), &by).await.unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), trial.text);
    }
}
