//! Sentry: faults of the daemon, and how long a sample of requests took. An attack is no fault.

mod config;
mod metrics;
mod scrub;
mod transport;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sentry::integrations::tracing::ErrorLayer;
use sentry::protocol::{Event, SpanStatus};
use sentry::{ClientInitGuard, ClientOptions, TransactionContext};

use super::log::{PERFORMANCE, SECURITY};
use metrics::{Budget, Counts};
use transport::Factory;

pub use config::Config;
pub use metrics::Collector;

/// How long the end of the daemon waits for what is still to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whether errors of `target` are the daemon's own: what is logged of attacks is not, and what the
/// sender of errors has to complain of would be sent again and again.
pub(super) fn is_for(target: &str) -> bool {
    let crates = ["sentry", "reqwest", "hyper", "hyper_util", "rustls", "h2"];
    let root = target.split("::").next().unwrap_or_default();
    ![SECURITY, PERFORMANCE].contains(&target) && !crates.contains(&root)
}

/// Makes events of log lines; they go nowhere before [`init`].
pub(super) fn errors() -> ErrorLayer {
    ErrorLayer::new()
}

/// The connection to Sentry. What waits is sent when this is dropped.
pub struct Sentry {
    _guard: Option<ClientInitGuard>,
    counts: Counts,
}

impl Sentry {
    /// Counts what was sent and what was not.
    pub fn collector(&self) -> Result<Collector, prometheus::Error> {
        Collector::new(self.counts.clone())
    }

    /// Says of every event from here on what it was seen on.
    pub fn tag(&self, tags: &[(&'static str, String)]) {
        sentry::configure_scope(|scope| {
            for (name, value) in tags {
                scope.set_tag(name, value);
            }
        });
    }
}

/// Sends errors and panics to `config`'s Sentry from here on; must come before any other thread. Where
/// no Sentry is named, nothing is sent.
pub fn init(config: &Config) -> Sentry {
    let counts = Counts::default();
    let Some(dsn) = config.dsn() else { return Sentry { _guard: None, counts } };
    let budget = Arc::new(Budget::new(config.errors_per_minute));
    let (told, refused) = (Arc::clone(&budget), counts.clone());
    let mut options = ClientOptions::new()
        .release(concat!("skyshield@", env!("CARGO_PKG_VERSION")))
        .environment(config.environment.clone())
        // Which requests are told of is decided before.
        .traces_sample_rate(1.0)
        .send_default_pii(false)
        // A logged error says where it is from. The frames behind it are those of logging, and naming them takes
        // hundreds of megabytes of debugging information into memory; panics have theirs all the same.
        .attach_stacktrace(false)
        .max_breadcrumbs(0)
        .shutdown_timeout(LAST_WORDS)
        .transport(Factory::new(counts.clone()))
        .before_send(move |event: Event<'static>| {
            if !told.take() {
                refused.over_budget();
                return None;
            }
            let scrubbed = scrub::event(&event);
            if scrubbed.is_none() {
                refused.unreadable();
            }
            scrubbed
        });
    options.dsn = Some(dsn);
    Sentry { _guard: Some(sentry::init(options)), counts }
}

/// Tells Sentry of a request that was served, where it is one of the sample.
pub(super) fn request(site: &str, class: &str, status: u16, took: Duration, now: SystemTime) {
    let began = now.checked_sub(took).unwrap_or(now);
    // Names of the configuration, and nothing of the request.
    let transaction = sentry::start_transaction_with_timestamp(
        TransactionContext::new(&format!("{site} {class}"), "http.server"),
        began,
    );
    transaction.set_tag("status", status);
    transaction.set_status(if status < 500 { SpanStatus::Ok } else { SpanStatus::InternalError });
    transaction.finish_with_timestamp(now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_is_no_fault_and_a_complaint_of_the_sender_is_not_sent() {
        assert!(is_for("skyshield::control") && is_for("skyshield::telemetry"));
        for target in [SECURITY, PERFORMANCE, "reqwest::connect", "sentry", "hyper_util::client", "rustls"] {
            assert!(!is_for(target), "{target}");
        }
    }
}
