//! One page of a list: items, never `null`, and where the next page begins.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// Items of one page when nothing else is asked for.
pub(super) const DEFAULT_LIMIT: u32 = 100;
/// Items of one page at the most.
pub(super) const MAX_LIMIT: u32 = 1000;

/// A page.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// What to give as `cursor` for the page behind it; none is the end. A page may be short, or empty,
    /// before the end.
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    pub(super) fn whole(items: Vec<T>) -> Json<Self> {
        Json(Self { items, next_cursor: None })
    }

    /// Of one item more than was asked for, those that were; `cursor` names the last of them.
    pub(super) fn cut(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Json<Self> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next_cursor = items.last().filter(|_| more).map(cursor);
        Json(Self { items, next_cursor })
    }
}

impl<T> Page<T> {
    /// The same page of what `each` makes of the items.
    pub(super) fn of<U>(self, each: impl FnMut(T) -> U) -> Json<Page<U>> {
        Json(Page { items: self.items.into_iter().map(each).collect(), next_cursor: self.next_cursor })
    }
}

/// How many items a page holds, of what was asked for.
pub(super) fn limit_of(asked: Option<u32>) -> u32 {
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
}
