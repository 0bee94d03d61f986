//! Telling a program elsewhere: one signed POST, tried three times, to an address that may be asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::engine::response::{Act, Config};
use crate::reputation::{Client, Secret, Url};

/// An answer is not read beyond this, in bytes.
const MOST: usize = 16 * 1024;
/// A call takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited before each try.
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];

/// What is wrong with the addresses that rules name, if anything: the key and how to mend it.
pub fn problem(config: &Config) -> Option<(&'static str, String)> {
    urls(config).find_map(|(rule, url, _)| {
        Url::parse(url).err().map(|what| ("response.rules", format!("{rule}: {what}")))
    })
}

fn urls(config: &Config) -> impl Iterator<Item = (&str, &str, Option<&std::path::Path>)> {
    config.rules.iter().flat_map(|rule| {
        rule.then.iter().filter_map(|act| match act {
            Act::Webhook { url, secret_file } => {
                Some((rule.name.as_str(), url.as_str(), secret_file.as_deref()))
            }
            Act::Ban { .. }
            | Act::Limit {}
            | Act::Tighten { .. }
            | Act::RequireLogin { .. }
            | Act::Notify {} => None,
        })
    })
}

/// Every program that rules name.
#[derive(Debug, Default)]
pub struct Hooks(HashMap<String, Arc<Hook>>);

/// A program elsewhere.
#[derive(Debug)]
pub struct Hook {
    url: Url,
    secret: Option<Secret>,
}

impl Hooks {
    /// The programs that `config` names. Blocks.
    pub fn load(config: &Config) -> anyhow::Result<Self> {
        let mut hooks = HashMap::new();
        for (_, url, secret_file) in urls(config) {
            let secret = secret_file.map(|file| Secret::load("", Some(file))).transpose()?.flatten();
            let hook = Hook { url: Url::parse(url).map_err(anyhow::Error::msg)?, secret };
            hooks.insert(url.to_owned(), Arc::new(hook));
        }
        Ok(Self(hooks))
    }

    /// The one at `url`.
    pub fn get(&self, url: &str) -> Option<Arc<Hook>> {
        self.0.get(url).cloned()
    }
}

impl Hook {
    /// Tells it `message`; what came of it, from a bounded set of names.
    pub async fn call(&self, client: &Client, message: &Value) -> &'static str {
        let body = message.to_string();
        let signature = self.secret.as_ref().and_then(|secret| signature(secret, body.as_bytes()));
        let mut outcome = "network";
        for pause in TRIES {
            tokio::time::sleep(pause).await;
            let build = |client: &reqwest::Client| {
                let request = client.post(self.url.whole()).header("Content-Type", "application/json");
                let request = match &signature {
                    Some(signature) => request.header("X-SkyShield-Signature", signature),
                    None => request,
                };
                request.body(body.clone())
            };
            outcome = match client.fetch(build, MOST, PATIENCE).await {
                Ok(fetched) if (200..300).contains(&fetched.status) => return "told",
                Ok(fetched) if (400..500).contains(&fetched.status) && fetched.status != 429 => {
                    return "refused";
                }
                Ok(fetched) if (300..400).contains(&fetched.status) => return "redirected",
                Ok(_) => "status",
                Err(failure) => failure.name(),
            };
        }
        outcome
    }
}

fn signature(secret: &Secret, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok()?;
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write as _;
        // Writing to a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Some(format!("sha256={hex}"))
}
