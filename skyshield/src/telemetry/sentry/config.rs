//! The section `[sentry]`.

use std::net::IpAddr;
use std::path::PathBuf;

use sentry::types::{Dsn, Scheme};
use serde::{Deserialize, Serialize};

/// Where faults are reported to; nowhere by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The project's address with its key, as Sentry shows it; never written out.
    #[serde(skip_serializing)]
    pub dsn: Option<String>,
    /// A file that holds it, instead.
    pub dsn_file: Option<PathBuf>,
    /// What Sentry sorts events by: `production`, `staging`.
    pub environment: String,
    /// Errors that are reported in a minute at the most; more are counted.
    pub errors_per_minute: u32,
    /// Which part of the requests is reported with the time it took: 0.001 is one in a thousand.
    pub traces_sample_rate: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dsn: None,
            dsn_file: None,
            environment: "production".to_owned(),
            errors_per_minute: 30,
            traces_sample_rate: 0.0,
        }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.dsn.is_some() && self.dsn_file.is_some() {
            return Some(("sentry.dsn_file", "`dsn` says it already; leave one of the two out".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.traces_sample_rate) {
            let what = format!("{} is no part; it lies between 0 and 1", self.traces_sample_rate);
            return Some(("sentry.traces_sample_rate", what));
        }
        let wrong = self.dsn.as_deref().and_then(|dsn| problem_of(dsn).err())?;
        Some(("sentry.dsn", wrong))
    }

    /// What is wrong with the file it names, if anything.
    pub fn file_problem(&self) -> Option<String> {
        let path = self.dsn_file.as_ref()?;
        let problem = match std::fs::read_to_string(path) {
            Ok(text) => problem_of(text.trim()).err()?,
            Err(error) => error.to_string(),
        };
        Some(format!("sentry.dsn_file: {}: {problem}", path.display()))
    }

    /// Whether faults are reported at all.
    pub fn is_on(&self) -> bool {
        self.dsn.is_some() || self.dsn_file.is_some()
    }

    /// The address, where it is named and makes sense.
    pub(super) fn dsn(&self) -> Option<Dsn> {
        let text = match &self.dsn_file {
            Some(path) => std::fs::read_to_string(path)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "no faults are reported"))
                .ok()?,
            None => self.dsn.clone()?,
        };
        problem_of(text.trim()).ok()
    }
}

/// The address in `text`, or what is wrong with it; the text itself is not told, it holds a key.
fn problem_of(text: &str) -> Result<Dsn, String> {
    let dsn: Dsn = text.parse().map_err(|_| {
        "this is no DSN; Sentry shows it under Client Keys, as https://KEY@HOST/PROJECT".to_owned()
    })?;
    let is_loopback = dsn.host() == "localhost"
        || dsn.host().trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if dsn.scheme() == Scheme::Http && !is_loopback {
        return Err("faults would cross the network in the clear; use https".to_owned());
    }
    Ok(dsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(dsn: &str) -> Option<String> {
        Config { dsn: Some(dsn.to_owned()), ..Config::default() }.problem().map(|(_, what)| what)
    }

    #[test]
    fn a_dsn_is_checked_and_never_told() {
        assert_eq!(problem("https://abc123@sentry.example/7"), None);
        assert_eq!(problem("http://abc123@127.0.0.1:9000/7"), None);
        assert!(problem("http://abc123@sentry.example/7").unwrap().contains("in the clear"));
        for wrong in ["", "abc123", "https://sentry.example/7", "https://abc123@sentry.example"] {
            assert!(problem(wrong).unwrap().contains("no DSN"), "{wrong}");
        }
        let config = Config { dsn: Some("https://abc123@sentry.example/7".to_owned()), ..Config::default() };
        assert!(!serde_json::to_string(&config).unwrap().contains("abc123"));
    }
}
