//! A configuration on trial: it is rolled back unless somebody confirms it over a connection that it has
//! not cut off.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::reload::Reloader;
use crate::clock;
use crate::config::Config;
use crate::lifecycle::{Applied, Caller, Confirmed, Reloaded, Unfulfilled};

/// What waits for its confirmation.
pub(super) struct Trial {
    /// What is gone back to.
    before: Config,
    /// The file that was applied, and its text then.
    file: PathBuf,
    text: String,
    by: Caller,
    began: Instant,
    pub(super) ends: Instant,
}

/// Puts `file` on trial for `span`.
pub(super) async fn begin(
    reloader: &mut Reloader,
    (file, span, by): (PathBuf, Duration, Caller),
) -> Result<(Trial, Applied), Unfulfilled> {
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Unfulfilled::Refused(format!("{}: {error}", file.display())))?;
    let before = reloader.in_force.clone();
    let Reloaded { applied, needs_restart } = reloader.reload_from(Some(file.clone())).await?;
    let began = clock::now();
    let ends = began.checked_add(span).unwrap_or(began);
    tracing::warn!(file = %file.display(), seconds = span.as_secs(), "a configuration is on trial");
    let told = Applied { applied, needs_restart, confirm_within_secs: span.as_secs() };
    Ok((Trial { before, file, text, by, began, ends }, told))
}

impl Trial {
    /// Keeps what was on trial, if `by` has come by a connection that is younger; it is the file in the
    /// place of the configuration from then on.
    pub(super) fn confirm(&self, reloader: &Reloader, by: &Caller) -> Result<Confirmed, Unfulfilled> {
        if by.since <= self.began || (by.session.is_some() && by.session == self.by.session) {
            let what = "this is the connection, or the SSH session, that applied it; connect anew and confirm \
                        from there, which shows that nobody is locked out";
            return Err(Unfulfilled::Refused(what.to_owned()));
        }
        let place = &reloader.place;
        let kept = if *place == self.file { Ok(None) } else { put_in_place(place, &self.text).map(Some) };
        let previous = kept.map_err(|error| Unfulfilled::Refused(format!("{error:#}")))?;
        tracing::info!(place = %place.display(), "the configuration on trial was confirmed");
        Ok(Confirmed { place: place.clone(), previous: previous.flatten() })
    }

    /// Goes back to what was in force before.
    pub(super) async fn roll_back(self, reloader: &mut Reloader) -> Result<Reloaded, Unfulfilled> {
        let outcome = reloader.take_up(self.before).await;
        match &outcome {
            Ok(_) => tracing::warn!("the configuration on trial was not confirmed and is rolled back"),
            Err(error) => tracing::error!(%error, "the configuration on trial could not be rolled back"),
        }
        if reloader.place == self.file {
            tracing::warn!(file = %self.file.display(), "it still says what was rolled back: mend it before a restart");
        }
        outcome
    }
}

/// Writes `text` in the place of the configuration, whole or not at all; where the one before is kept.
fn put_in_place(place: &Path, text: &str) -> anyhow::Result<Option<PathBuf>> {
    let (new, previous) = (place.with_extension("toml.new"), place.with_extension("toml.previous"));
    let write = || -> std::io::Result<Option<PathBuf>> {
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let kept = match std::fs::copy(place, &previous) {
            Ok(_) => Some(previous.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        std::fs::rename(&new, place)?;
        Ok(kept)
    };
    write().with_context(|| format!("{}: cannot be written", place.display()))
}
