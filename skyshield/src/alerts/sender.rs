//! Who gets messages; each has a queue and a task of its own, so that one that is dead keeps nobody waiting.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::mail::Mail;
use super::message::Notice;
use super::metrics::Metrics;
use super::webhook::Webhook;
use crate::clock;
use crate::store::{Kept, Outgoing, Record, Store};

/// Messages that may wait for one receiver; beyond it they are given up, and that is counted.
pub(super) const QUEUE: usize = 256;
/// After a failure the next try waits this long, twice as long each time, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// What could not be sent within this long is given up, in milliseconds.
const GIVEN_UP_AFTER_MS: i64 = 24 * 3_600_000;

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was taken.
    Done,
    /// It may be taken later.
    Later(String),
    /// It will never be taken.
    Never(String),
}

/// Why a receiver cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct ReceiversError {
    /// The key.
    pub(super) what: &'static str,
    /// What is wrong.
    pub(super) why: String,
}

enum Kind {
    Mail(Mail),
    Webhook(Webhook),
}

/// One who gets messages.
pub(super) struct Receiver {
    pub(super) name: String,
    kind: Kind,
    host: String,
}

/// Everyone who gets messages.
#[derive(Clone)]
pub struct Receivers(pub(super) Arc<Vec<Receiver>>);

impl Receivers {
    /// Those of `config`. Reads the files that it names: may block.
    pub fn new(config: &Config) -> Result<Self, ReceiversError> {
        let host = nix::sys::utsname::uname().ok();
        let host = host
            .map_or_else(|| "this host".to_owned(), |host| host.nodename().to_string_lossy().into_owned());
        let mut all = Vec::new();
        if let Some(mail) = &config.email {
            all.push(Receiver {
                name: "email".to_owned(),
                kind: Kind::Mail(Mail::new(mail)?),
                host: host.clone(),
            });
        }
        for webhook in &config.webhooks {
            let kind = Kind::Webhook(Webhook::new(webhook)?);
            all.push(Receiver { name: webhook.name.clone(), kind, host: host.clone() });
        }
        Ok(Self(Arc::new(all)))
    }
}

impl Receiver {
    /// One try, of bounded length.
    pub(super) async fn send(&self, notice: &Notice, id: &str) -> Attempt {
        match &self.kind {
            Kind::Mail(mail) => mail.send(notice, id, &self.host).await,
            Kind::Webhook(webhook) => {
                webhook.send(notice, id, &self.host, crate::monitor::now_ms() / 1000).await
            }
        }
    }
}

/// Sends what comes over `queue` to the receiver at the place `at`, in order, each until it is taken or
/// given up.
pub(super) async fn deliver(
    receivers: Receivers,
    at: usize,
    mut queue: mpsc::Receiver<Outgoing>,
    metrics: Metrics,
    store: Store,
    stop: CancellationToken,
) {
    let Some(receiver) = receivers.0.get(at) else { return };
    while let Some(Some(message)) = stop.run_until_cancelled(queue.recv()).await {
        let Ok(notice) = serde_json::from_str::<Notice>(&message.notice) else {
            metrics.count(&receiver.name, "unreadable");
            forget(&store, message.id);
            continue;
        };
        let mut pause = PAUSE;
        loop {
            // A message that is cut off here is on the disk: it may come twice, and comes at least once.
            let attempt = stop.run_until_cancelled(receiver.send(&notice, &message.id)).await;
            let Some(attempt) = attempt else { return };
            let outcome = match attempt {
                Attempt::Done => "sent",
                Attempt::Never(why) => {
                    tracing::error!(receiver = receiver.name, why, "an alert was refused and is given up");
                    "refused"
                }
                Attempt::Later(why) => {
                    metrics.count(&receiver.name, "failed");
                    let is_old = crate::monitor::now_ms() - message.made_at_ms > GIVEN_UP_AFTER_MS;
                    if is_old {
                        tracing::error!(
                            receiver = receiver.name,
                            why,
                            "an alert could not be sent for a day and is given up"
                        );
                    } else {
                        tracing::warn!(
                            receiver = receiver.name,
                            why,
                            "an alert could not be sent; it is tried again"
                        );
                        // What waits is on the disk: the next daemon sends it.
                        let until = (clock::now() + pause).into();
                        if stop.run_until_cancelled(tokio::time::sleep_until(until)).await.is_none() {
                            return;
                        }
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                    "given_up"
                }
            };
            metrics.count(&receiver.name, outcome);
            forget(&store, message.id);
            break;
        }
    }
}

fn forget(store: &Store, id: String) {
    // Where the store takes nothing, the message may be sent once more: better than not at all.
    let _counted = store.append(Record::Monitoring(Box::new(Kept::Sent(vec![id]))));
}

/// What is in a file, without the line's end.
pub(super) fn read_secret(key: &'static str, file: &Path) -> Result<String, ReceiversError> {
    let wrong = |why: String| ReceiversError { what: key, why: format!("{}: {why}", file.display()) };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() { Err(wrong("it is empty".to_owned())) } else { Ok(text) }
}
