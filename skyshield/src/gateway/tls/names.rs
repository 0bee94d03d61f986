//! Host names that a certificate is for: exact, or `*.` and one.

use std::collections::HashMap;

/// Things by host name. A wildcard stands for exactly one label, as in certificates.
#[derive(Debug)]
pub(super) struct ByName<T> {
    exact: HashMap<String, Vec<T>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Vec<T>>,
}

impl<T> ByName<T> {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }

    pub(super) fn add(&mut self, pattern: &str, thing: T) {
        let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcard.entry(suffix.to_owned()).or_default().push(thing),
            None => self.exact.entry(pattern).or_default().push(thing),
        }
    }

    /// What stands for `host`, in the order it was added: an exact name before a wildcard.
    pub(super) fn get(&self, host: &str) -> &[T] {
        let lowered;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lowered = host.to_ascii_lowercase();
            &lowered
        } else {
            host
        };
        let wildcard = || self.wildcard.get(host.split_once('.')?.1);
        self.exact.get(host).or_else(wildcard).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Whether `text` is a host name, or `*.` and one.
pub(super) fn is_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_goes_before_a_wildcard_which_is_one_label() {
        let mut names = ByName::new();
        for pattern in ["*.shop.example", "www.Shop.example", "shop.example", "www.shop.example"] {
            names.add(pattern, pattern);
        }
        for (host, found) in [
            ("shop.example", &["shop.example"][..]),
            ("WWW.shop.example", &["www.Shop.example", "www.shop.example"]),
            ("api.shop.example", &["*.shop.example"]),
            ("a.b.shop.example", &[]),
            ("other.example", &[]),
            ("example", &[]),
            ("", &[]),
        ] {
            assert_eq!(names.get(host), found, "{host}");
        }
    }

    #[test]
    fn a_pattern_is_a_host_name_or_a_star_before_one() {
        for (text, is) in [
            ("a", true),
            ("*.a.example", true),
            ("*", false),
            ("a.*", false),
            ("*a.example", false),
            ("a..b", false),
            ("", false),
            ("*.", false),
            ("a b", false),
        ] {
            assert_eq!(is_pattern(text), is, "{text}");
        }
    }
}
