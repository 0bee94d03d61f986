//! Where something may be fetched from: by TLS, from an address that somebody on the internet has.

use std::net::IpAddr;

use crate::engine::feeds::special_purpose;

/// An address of the web that may be asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(reqwest::Url);

impl std::fmt::Debug for Url {
    /// Only the host: the rest may hold a key.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}://{}/…", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl Url {
    /// The address that `text` says, where it may be asked; else why not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with a name or a password in it ends up in logs: leave them out".to_owned());
        }
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        match (url.scheme(), literal) {
            ("http", Some(address)) if address.is_loopback() => {}
            ("http", _) => {
                return Err("only https:// may be asked, or http:// on a loopback address".to_owned());
            }
            ("https", Some(address)) if special_purpose().contains(address) && !address.is_loopback() => {
                return Err(format!("{address} is nobody's on the internet"));
            }
            ("https", _) => {}
            _ => return Err("only https:// may be asked".to_owned()),
        }
        Ok(Self(url))
    }

    /// Whether both are of one scheme, host and port.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The address with `segments` behind its path.
    pub(super) fn with(&self, segments: &[&str]) -> reqwest::Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The whole address, to be asked.
    pub fn whole(&self) -> reqwest::Url {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_public_or_on_loopback_may_be_asked() {
        for good in [
            "https://api.abuseipdb.com/api/v2",
            "http://127.0.0.1:8080/x",
            "https://81.2.69.142/",
            "http://[::1]:8080/",
        ] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.org/list",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://user:secret@example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "example.org",
            "",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_put_behind_it_stays_one_part_and_what_is_shown_holds_no_key() {
        let url = Url::parse("https://example.org/api/json/ip").unwrap();
        assert_eq!(
            url.with(&["k/e?y", "2a00::1"]).as_str(),
            "https://example.org/api/json/ip/k%2Fe%3Fy/2a00::1"
        );
        let keyed = Url::parse("https://example.org/list?key=secret").unwrap();
        assert!(!format!("{keyed:?}").contains("secret"));
    }
}
