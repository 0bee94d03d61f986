//! Host names as patterns: a name, or `*.` and a name for all names below it.

/// A pattern over host names, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The name, after the dot of a `*.`.
    name: Box<[u8]>,
    below: bool,
}

impl HostPattern {
    /// The pattern that `text` says; `None` where it is no host name, with or without a `*.` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        let is_address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let fits = is_address.map_or_else(
            || !name.is_empty() && name.split('.').all(is_label),
            |address| !below && address.parse::<std::net::Ipv6Addr>().is_ok(),
        );
        fits.then(|| Self { name: name.to_ascii_lowercase().into_bytes().into(), below })
    }

    /// Whether it matches `host` as requests have it: with or without a port or a last dot, in any case.
    pub fn matches(&self, host: &[u8]) -> bool {
        let host = bare(host);
        if !self.below {
            return host.eq_ignore_ascii_case(&self.name);
        }
        host.len().checked_sub(self.name.len() + 1).is_some_and(|dot| {
            dot > 0 && host[dot] == b'.' && host[dot + 1..].eq_ignore_ascii_case(&self.name)
        })
    }

    /// Whether it is one name, and not all below one.
    pub fn is_exact(&self) -> bool {
        !self.below
    }
}

fn is_label(label: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(known)
}

/// `host` without its port and its last dot.
fn bare(host: &[u8]) -> &[u8] {
    let port = memchr::memrchr(b':', host).filter(|&colon| {
        // The colons inside the brackets of an IPv6 address are not a port's.
        host[colon + 1..].iter().all(u8::is_ascii_digit) && host.first() != Some(&b'[')
            || colon.checked_sub(1).is_some_and(|before| host[before] == b']')
    });
    let host = port.map_or(host, |colon| &host[..colon]);
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_itself_and_a_star_what_is_below() {
        for (pattern, host, matches) in [
            ("shop.example", "shop.example", true),
            ("Shop.Example", "SHOP.example:8080", true),
            ("shop.example", "shop.example.", true),
            ("shop.example", "a.shop.example", false),
            ("*.shop.example", "a.shop.example", true),
            ("*.shop.example", "a.b.shop.example:1", true),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", ".shop.example", false),
            ("*.shop.example", "ashop.example", false),
            ("[2001:db8::1]", "[2001:db8::1]:80", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("203.0.113.7", "203.0.113.7:80", true),
            ("localhost", "", false),
        ] {
            let parsed = HostPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(host.as_bytes()), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_no_host_name_is_no_pattern() {
        for text in ["", "*", "*.", "a..b", "a b", "http://a", "a/b", "a:80", "*.*.a", "[::x]", "*.[::1]"] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_host_makes_it_panic(host in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            for pattern in ["*.a", "a", "[::1]"] {
                let _either = HostPattern::parse(pattern).unwrap().matches(&host);
            }
        }
    }
}
