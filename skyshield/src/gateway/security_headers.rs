//! The security headers added to responses.

use serde::{Deserialize, Serialize};

/// The headers added to responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which headers are added. Default `classic`.
    pub profile: Profile,
    /// The policy of responses that come without one; empty for none. The default forbids what a
    /// site hardly ever means: plugins, a foreign base, framing, forms sent in the clear elsewhere.
    pub content_security_policy: String,
}

/// A set of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// `X-Frame-Options: DENY`, `X-XSS-Protection: 1; mode=block` and `X-Content-Type-Options: nosniff`
    /// in place of the upstream's, and `Content-Security-Policy` where it sent none.
    #[default]
    Classic,
    /// None.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            content_security_policy:
                "object-src 'none'; base-uri 'self'; form-action 'self' https:; frame-ancestors 'none'"
                    .to_owned(),
        }
    }
}

impl Config {
    /// What is wrong with these settings, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let printable = self.content_security_policy.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let what = "a policy is one line of printable ASCII".to_owned();
        (!printable).then_some(("gateway.headers.content_security_policy", what))
    }
}

/// The lines to add, ready to be copied.
#[derive(Debug)]
pub(super) struct SecurityHeaders {
    /// In place of the upstream's.
    pub(super) enforced: &'static [u8],
    /// Where the upstream sent no policy.
    pub(super) policy: Vec<u8>,
}

const CLASSIC: &[u8] =
    b"X-Frame-Options: DENY\r\nX-XSS-Protection: 1; mode=block\r\nX-Content-Type-Options: nosniff\r\n";

impl SecurityHeaders {
    pub(super) fn new(config: &Config) -> Self {
        match config.profile {
            Profile::Off => Self { enforced: b"", policy: Vec::new() },
            Profile::Classic if config.content_security_policy.is_empty() => {
                Self { enforced: CLASSIC, policy: Vec::new() }
            }
            Profile::Classic => Self {
                enforced: CLASSIC,
                policy: format!("Content-Security-Policy: {}\r\n", config.content_security_policy)
                    .into_bytes(),
            },
        }
    }
}
