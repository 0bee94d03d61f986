//! The questions, as each provider wants them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use reqwest::header::ACCEPT;

use super::client::{Client, Fetched};
use super::place::Url;
use super::secret::Secret;
use crate::engine::reputation::{Config, Failure, Outcome, Provider, Reply, Report, read};

/// An answer is no longer than this, in bytes.
const MOST: usize = 64 * 1024;
/// An answer takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// A comment is no longer than this, in characters.
const MAX_COMMENT: usize = 1000;

/// How to ask one provider.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) provider: Provider,
    pub(super) url: Url,
    pub(super) key: Secret,
    pub(super) client: Client,
    max_age_days: u16,
    strictness: u8,
}

impl Question {
    pub(super) fn new(
        provider: Provider,
        config: &Config,
        key: Secret,
        client: Client,
    ) -> Result<Self, String> {
        let url = match provider {
            Provider::AbuseIpdb => &config.abuseipdb.url,
            Provider::IpQualityScore => &config.ipqualityscore.url,
        };
        Ok(Self {
            provider,
            url: Url::parse(url)?,
            key,
            client,
            max_age_days: config.abuseipdb.max_age_days,
            strictness: config.ipqualityscore.strictness,
        })
    }

    /// Asks about `address`.
    pub(super) async fn ask(&self, address: IpAddr) -> Outcome {
        let text = address.to_string();
        let fetched = match self.provider {
            Provider::AbuseIpdb => {
                let days = self.max_age_days.to_string();
                let url = self.url.with(&["check"]);
                let build = |client: &reqwest::Client| {
                    client
                        .get(url)
                        .query(&[("ipAddress", text.as_str()), ("maxAgeInDays", days.as_str())])
                        .header("Key", self.key.reveal())
                        .header(ACCEPT, "application/json")
                };
                self.client.fetch(build, MOST, PATIENCE).await
            }
            Provider::IpQualityScore => {
                let strictness = self.strictness.to_string();
                let url = self.url.with(&[self.key.reveal(), &text]);
                let build = |client: &reqwest::Client| {
                    client
                        .get(url)
                        .query(&[
                            ("strictness", strictness.as_str()),
                            ("allow_public_access_points", "true"),
                            ("lighter_penalties", "true"),
                            ("fast", "true"),
                        ])
                        .header(ACCEPT, "application/json")
                };
                self.client.fetch(build, MOST, PATIENCE).await
            }
        };
        match fetched {
            Ok(fetched) => read(self.provider, &reply(&fetched), address),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Tells of an attacker.
    pub(super) async fn tell(&self, report: &Report) -> Outcome {
        let comment: String = report.comment.chars().take(MAX_COMMENT).collect();
        let at = rfc3339(report.at);
        let (url, address) = (self.url.with(&["report"]), report.address.to_string());
        let form = [
            ("ip", address.as_str()),
            ("categories", report.categories.as_str()),
            ("comment", comment.as_str()),
            ("timestamp", at.as_str()),
        ];
        let body = form.map(|(name, value)| format!("{name}={}", encoded(value))).join("&");
        let build = |client: &reqwest::Client| {
            client
                .post(url)
                .header("Key", self.key.reveal())
                .header(ACCEPT, "application/json")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(body)
        };
        match self.client.fetch(build, MOST, PATIENCE).await {
            // What it says of the address now is not what was asked.
            Ok(fetched) if fetched.status == 200 => Outcome::Unanswerable,
            Ok(fetched) => read(Provider::AbuseIpdb, &reply(&fetched), report.address),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

fn reply(fetched: &Fetched) -> Reply<'_> {
    Reply {
        status: fetched.status,
        retry_after: fetched.retry_after(),
        remaining: fetched.remaining(),
        body: &fetched.body,
    }
}

fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| format!("{at:.0}")).unwrap_or_default()
}

/// `text` as a value of a form.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Whether a report has arrived.
pub(super) fn has_arrived(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unanswerable => true,
        Outcome::Known(_)
        | Outcome::KeyRefused
        | Outcome::Exhausted(_)
        | Outcome::Later(_)
        | Outcome::Failed(
            Failure::Network
            | Failure::Slow
            | Failure::Status
            | Failure::Redirected
            | Failure::TooLarge
            | Failure::Garbage
            | Failure::OutOfRange
            | Failure::AnotherAddress,
        ) => false,
    }
}
