//! How far coded bodies are decoded.

use serde::{Deserialize, Serialize};

/// What a body may decode to, whatever its ratio, in bytes.
const FREE: usize = 64 * 1024;

/// The bounds of decoding a body. Beyond one, the request is one that was not read whole: see
/// `inspect.over_limit`. So is one whose coding is not `gzip`, `deflate`, `br` or `zstd`, or broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of a decoded body. Default 2097152.
    pub bytes: usize,
    /// How many times as large as it came a body may become; 64 KiB are always free. Default 100.
    pub ratio: usize,
    /// Codings on top of each other. Default 2.
    pub layers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { bytes: 2 * 1024 * 1024, ratio: 100, layers: 2 }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bounds = [
            ("inspect.content.bytes", self.bytes, 0, 256 * 1024 * 1024),
            ("inspect.content.ratio", self.ratio, 1, 100_000),
            ("inspect.content.layers", self.layers, 0, 8),
        ];
        let wrong = bounds.into_iter().find(|(_, value, least, most)| value < least || value > most);
        wrong.map(|(key, value, least, most)| (key, format!("{value} is not between {least} and {most}")))
    }

    /// What a body that came in `coded` bytes may become, in bytes.
    pub(super) fn most_of(&self, coded: usize) -> usize {
        coded.saturating_mul(self.ratio).max(FREE).min(self.bytes)
    }
}
