//! One fetch of a list, from the question to what is to be in force.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{ACCEPT, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

use super::disk;
use super::slot::KnownOf;
use crate::clock;
use crate::engine::feeds::{Feed, Measure, admit, parse};
use crate::engine::ranges::Ranges;
use crate::engine::reputation::Failure;
use crate::reputation::client::{Client, Fetched};
use crate::reputation::place::Url;
use crate::reputation::secret::Secret;

/// A list takes no longer than this to come.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a fetch needs.
pub(super) struct Fetch {
    pub(super) feed: Feed,
    pub(super) known: KnownOf,
    /// Against what it is held to not have shrunk.
    pub(super) before: Option<Measure>,
    pub(super) key: Option<Secret>,
    pub(super) dir: PathBuf,
    pub(super) client: Client,
    pub(super) protected: Ranges,
}

/// What came of it.
pub(super) struct Brought {
    pub(super) outcome: Outcome,
    pub(super) known: KnownOf,
}

pub(super) enum Outcome {
    /// A list to be in force.
    New(Ranges),
    /// It is as it was.
    Same,
    /// It is not to be in force.
    Refused(String),
    /// It did not come.
    Failed(Failure),
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Same => "same",
            Self::Refused(_) => "refused",
            Self::Failed(failure) => failure.name(),
        }
    }
}

impl Fetch {
    pub(super) async fn run(self) -> Brought {
        let fetched = if let Some(path) = self.feed.url.strip_prefix("file://") {
            self.read(path.into()).await
        } else {
            self.download().await
        };
        let failed = |failure, known| Brought { outcome: Outcome::Failed(failure), known };
        let (body, etag, modified) = match fetched {
            Ok(Came::Body(body, etag, modified)) => (body, etag, modified),
            Ok(Came::NotModified) => {
                let known = KnownOf { fetched_at_ms: Some(wall_ms()), ..self.known };
                return Brought { outcome: Outcome::Same, known };
            }
            Err(failure) => return failed(failure, self.known),
        };
        let known = self.known.clone();
        let checked = tokio::task::spawn_blocking(move || self.check(&body, etag, modified));
        checked.await.unwrap_or_else(|_panic| failed(Failure::Garbage, known))
    }

    async fn read(&self, path: PathBuf) -> Result<Came, Failure> {
        let most = self.feed.max_bytes as u64;
        let read = tokio::task::spawn_blocking(move || {
            let length = std::fs::metadata(&path).map_err(|_| Failure::Network)?.len();
            if length > most {
                return Err(Failure::TooLarge);
            }
            std::fs::read(&path).map_err(|_| Failure::Network)
        });
        let body = read.await.unwrap_or(Err(Failure::Network))?;
        Ok(Came::Body(body, None, None))
    }

    async fn download(&self) -> Result<Came, Failure> {
        let url = Url::parse(&self.feed.url).map_err(|_| Failure::Garbage)?.whole();
        // Only what is in force still can be said to be the same; what somebody accepts is read again.
        let conditional = self.known.measure.is_some() && self.before.is_some();
        let build = |client: &reqwest::Client| {
            let mut request = client.get(url).header(ACCEPT, "*/*");
            if let Some(key) = &self.key {
                request = request.header("Key", key.reveal()).header(ACCEPT, "text/plain");
            }
            match (&self.known.etag, &self.known.modified) {
                (Some(etag), _) if conditional => request.header(IF_NONE_MATCH, etag),
                (None, Some(modified)) if conditional => request.header(IF_MODIFIED_SINCE, modified),
                _ => request,
            }
        };
        let fetched = self.client.fetch(build, self.feed.max_bytes, PATIENCE).await?;
        match fetched.status {
            200 => {
                let header = |name| Fetched::header(&fetched, name).map(str::to_owned);
                let (etag, modified) = (header(&ETAG), header(&LAST_MODIFIED));
                Ok(Came::Body(fetched.body, etag, modified))
            }
            304 if conditional => Ok(Came::NotModified),
            300..=399 => Err(Failure::Redirected),
            _ => Err(Failure::Status),
        }
    }

    /// What `body` comes to. Takes as long as a large list does.
    fn check(self, body: &[u8], etag: Option<String>, modified: Option<String>) -> Brought {
        let Self { feed, known, before, dir, protected, .. } = self;
        let refused = |problem: String, known| Brought { outcome: Outcome::Refused(problem), known };
        let parsed = match parse(body, feed.format, feed.column.as_deref(), feed.max_entries) {
            Ok(parsed) => parsed,
            Err(error) => return refused(error.to_string(), known),
        };
        let (ranges, measure) = match admit(&parsed.nets, &protected, feed.max_share, before) {
            Ok(admitted) => admitted,
            Err(error) => return refused(error.to_string(), known),
        };
        let mut now_known = KnownOf {
            url: feed.url.clone(),
            etag,
            modified,
            fetched_at_ms: Some(wall_ms()),
            measure: Some(measure),
        };
        if let Err(error) = disk::write(&dir, &feed.name, body) {
            // It is in force all the same, and a restart fetches it again.
            tracing::warn!(%error, feed = feed.name, "a list could not be kept on disk");
            now_known.url = String::new();
        }
        Brought { outcome: Outcome::New(ranges), known: now_known }
    }
}

enum Came {
    Body(Vec<u8>, Option<String>, Option<String>),
    NotModified,
}

fn wall_ms() -> i64 {
    i64::try_from(clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
        .unwrap_or(i64::MAX)
}
