//! The store as a notebook, for rooms that do not know it.

use std::pin::Pin;

use crate::clock;
use crate::control::millis;
use crate::engine::notebook::{Kept, Notebook};
use crate::store::{KnownRow, Reader, Record, Store};

/// A notebook in the store.
#[derive(Clone, Debug)]
pub(in crate::app) struct Notes {
    pub(in crate::app) store: Store,
    pub(in crate::app) reader: Reader,
}

fn row(page: &'static str, key: &str, value: String, expires_at_ms: Option<i64>) -> Record {
    Record::Known(KnownRow { page: page.to_owned(), key: key.to_owned(), value, expires_at_ms })
}

impl Notebook for Notes {
    fn note(&self, page: &'static str, key: &str, value: String, ends_at_ms: Option<i64>) {
        self.store.append(row(page, key, value, ends_at_ms));
    }

    fn note_now(
        &self,
        page: &'static str,
        key: &str,
        value: String,
        ends_at_ms: Option<i64>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let committed = self.store.commit(row(page, key, value, ends_at_ms));
        Box::pin(async move { committed.await.is_ok() })
    }

    fn forget(&self, page: &'static str, key: &str) {
        self.store.append(Record::Forgotten { page, key: key.to_owned() });
    }

    fn page(&self, page: &'static str, limit: usize) -> Vec<Kept> {
        match self.reader.known(page, millis(clock::wall()), limit) {
            Ok(rows) => {
                let kept =
                    |row: KnownRow| Kept { key: row.key, value: row.value, ends_at_ms: row.expires_at_ms };
                rows.into_iter().map(kept).collect()
            }
            Err(error) => {
                tracing::error!(%error, page, "what was known before cannot be read");
                Vec::new()
            }
        }
    }
}
