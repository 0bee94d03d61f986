//! What an asker keeps in the notebook, and takes up from it.

use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{BUDGETS, MAX_RECALLED, REPORTED};
use crate::clock;
use crate::engine::notebook::Notebook;
use crate::engine::reputation::{Desk, Kept, Opinion, Provider, Reporter};

/// An opinion as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) opinion: Option<Opinion>,
    pub(super) fresh_until_ms: i64,
}

pub(super) fn keep(
    notebook: &dyn Notebook,
    key: &str,
    kept: &Kept,
) -> Pin<Box<dyn Future<Output = bool> + Send>> {
    notebook.note_now(BUDGETS, key, serde_json::to_string(kept).unwrap_or_default(), None)
}

pub(super) fn recall(desk: &mut Desk, provider: Provider, notebook: &dyn Notebook) {
    let (now, wall) = (clock::now(), wall_ms());
    for kept in notebook.page(provider.name(), MAX_RECALLED) {
        let remembered = serde_json::from_str::<Remembered>(&kept.value).ok();
        if let (Some(remembered), Ok(address)) = (remembered, kept.key.parse()) {
            let left = u64::try_from(remembered.fresh_until_ms.saturating_sub(wall)).unwrap_or_default();
            desk.recall(address, remembered.opinion, Duration::from_millis(left), now);
        }
    }
}

pub(super) fn recall_reports(reporter: &mut Reporter, notebook: &dyn Notebook) {
    let (now, wall) = (clock::now(), wall_ms());
    for kept in notebook.page(REPORTED, MAX_RECALLED) {
        if let (Ok(address), Ok(told_at)) = (kept.key.parse(), kept.value.parse::<i64>()) {
            let ago = u64::try_from(wall.saturating_sub(told_at)).unwrap_or_default();
            reporter.recall(address, Duration::from_millis(ago), now);
        }
    }
}

pub(super) fn wall_secs() -> u64 {
    clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(super) fn wall_ms() -> i64 {
    i64::try_from(clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
        .unwrap_or(i64::MAX)
}
