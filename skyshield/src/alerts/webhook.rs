//! Webhooks: one POST a message, signed where there is a secret.

use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::Sha256;

use super::config::{WebhookConfig, WebhookFormat};
use super::message::Notice;
use super::sender::{Attempt, ReceiversError, read_secret};

/// An answer comes within this long, or not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A webhook.
pub(super) struct Webhook {
    client: Client,
    url: Url,
    format: WebhookFormat,
    secret: Option<String>,
}

impl Webhook {
    /// Reads its address and its secret: may block.
    pub(super) fn new(config: &WebhookConfig) -> Result<Self, ReceiversError> {
        let wrong = |why: String| ReceiversError { what: "alerts.webhooks", why };
        let text = match (&config.url, &config.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => read_secret("alerts.webhooks.url_file", file)?,
            (None, None) => return Err(wrong(format!("`{}` has no address", config.name))),
        };
        // The address may be a secret: what is wrong with it is said without it.
        let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| wrong(format!("the address of `{}` is no http(s) URL", config.name)))?;
        let secret = config.secret_file.as_ref().map(|file| read_secret("alerts.webhooks.secret_file", file));
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("skyshield/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { client, url, format: config.format, secret: secret.transpose()? })
    }

    /// Sends `notice`; `at_secs` is now, in seconds since 1970.
    pub(super) async fn send(&self, notice: &Notice, id: &str, host: &str, at_secs: i64) -> Attempt {
        let body = match self.format {
            WebhookFormat::Generic => notice.generic(host),
            WebhookFormat::Slack => notice.slack(host),
        };
        let body = body.to_string();
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
        request = request.header("idempotency-key", id);
        if let Some(signature) = self.secret.as_ref().and_then(|secret| sign(secret, at_secs, &body)) {
            request = request.header("x-skyshield-signature", signature);
        }
        match request.body(body).send().await {
            Ok(answer) => judged(answer.status()),
            Err(error) => Attempt::Later(told(&error.without_url())),
        }
    }
}

/// What a status says of trying again. The body is not read: nobody asked for it.
fn judged(status: StatusCode) -> Attempt {
    let what = format!("answered {}", status.as_u16());
    match status {
        status if status.is_success() => Attempt::Done,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Attempt::Later(what),
        status if status.is_server_error() => Attempt::Later(what),
        _ => Attempt::Never(what),
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(behind) = cause {
        text.push_str(": ");
        text.push_str(&behind.to_string());
        cause = behind.source();
    }
    text
}

/// `t=…,v1=…`: HMAC-SHA256 of the time, a dot and the body, in hex. With the time in it nobody sends an old
/// message again.
fn sign(secret: &str, at_secs: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{at_secs}.{body}").as_bytes());
    let mut signature = format!("t={at_secs},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(signature, "{byte:02x}").ok()?;
    }
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_hmac_sha256_of_time_and_body() {
        // By `printf '1.{}' | openssl dgst -sha256 -hmac secret`.
        let expected = "t=1,v1=1122767b193110cfec322b6f199b599edbf608ed087f2d27afb0b97d99523908";
        assert_eq!(sign("secret", 1, "{}").unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_mended_by_waiting_is_not_tried_again() {
        assert_eq!(judged(StatusCode::OK), Attempt::Done);
        assert!(matches!(judged(StatusCode::BAD_GATEWAY), Attempt::Later(_)));
        assert!(matches!(judged(StatusCode::TOO_MANY_REQUESTS), Attempt::Later(_)));
        assert!(matches!(judged(StatusCode::NOT_FOUND), Attempt::Never(_)));
        assert!(matches!(judged(StatusCode::FOUND), Attempt::Never(_)), "where it leads nobody has allowed");
    }
}
