//! Where a room keeps what must outlive the daemon, without knowing what it is kept in.

use std::pin::Pin;

/// Pages of keys and values, each page one room's own.
pub trait Notebook: Send + Sync {
    /// Keeps `value`; it is on disk within a moment. Beyond `ends_at_ms` (since 1970) it may be forgotten.
    fn note(&self, page: &'static str, key: &str, value: String, ends_at_ms: Option<i64>);

    /// The same; resolves when it is on disk, and with false where it is not.
    fn note_now(
        &self,
        page: &'static str,
        key: &str,
        value: String,
        ends_at_ms: Option<i64>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>>;

    /// Forgets what is kept under `key`.
    fn forget(&self, page: &'static str, key: &str);

    /// What is kept on `page`, at the most `limit`, with its end. Blocks; nothing where it cannot be read.
    fn page(&self, page: &'static str, limit: usize) -> Vec<Kept>;
}

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// When it ends, in milliseconds since 1970.
    pub ends_at_ms: Option<i64>,
}
