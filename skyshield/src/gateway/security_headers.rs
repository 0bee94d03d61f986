//! The security headers added to responses, and what is taken away from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::is_name;

/// Where browsers report what a policy would have forbidden.
pub(super) const REPORT_PATH: &str = "/.well-known/skyshield/csp-report";

/// The headers added to responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which headers are added. Default `classic`.
    pub profile: Profile,
    /// The policy of responses that come without one; empty for none. Left out, it is the profile's:
    /// the classic one forbids what a site hardly ever means: plugins, a foreign base, framing, forms
    /// sent in the clear elsewhere; the modern one is OWASP's.
    pub content_security_policy: Option<String>,
    /// Send the policy as `Content-Security-Policy-Report-Only`, and count what browsers report to
    /// `/.well-known/skyshield/csp-report`. Default false.
    pub report_only: bool,
    /// Header lines that the upstream's responses lose, beside those of the profile. Default none.
    pub remove: Vec<String>,
    /// Headers by name, in place of the profile's or beside them. An empty value is none.
    pub set: BTreeMap<String, Setting>,
}

/// A set of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// `X-Frame-Options: DENY`, `X-XSS-Protection: 1; mode=block` and `X-Content-Type-Options: nosniff`
    /// in place of the upstream's, and `Content-Security-Policy` where it sent none.
    #[default]
    Classic,
    /// What OWASP recommends, where the upstream does not say it itself; `X-XSS-Protection: 0`; lines
    /// that tell which software runs behind are removed.
    Modern,
    /// None.
    Off,
}

/// One header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its value; empty for none.
    pub value: String,
    /// What happens to the upstream's. Default `fill`.
    #[serde(default)]
    pub mode: Mode,
}

/// What happens where the upstream sends the same header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The upstream's stays.
    #[default]
    Fill,
    /// Ours takes its place.
    Enforce,
}

const CLASSIC_POLICY: &str =
    "object-src 'none'; base-uri 'self'; form-action 'self' https:; frame-ancestors 'none'";
const MODERN_POLICY: &str = "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; \
    frame-ancestors 'none'; upgrade-insecure-requests";
const POLICY: &str = "Content-Security-Policy";

const CLASSIC: &[(&str, &str, Mode)] = &[
    ("X-Frame-Options", "DENY", Mode::Enforce),
    ("X-XSS-Protection", "1; mode=block", Mode::Enforce),
    ("X-Content-Type-Options", "nosniff", Mode::Enforce),
];
/// OWASP's, but for `Cache-Control: no-store`, which takes the caches away from every site, and
/// `Strict-Transport-Security`, which must not be sent in the clear.
const MODERN: &[(&str, &str, Mode)] = &[
    ("X-Frame-Options", "DENY", Mode::Fill),
    ("X-XSS-Protection", "0", Mode::Enforce),
    ("X-Content-Type-Options", "nosniff", Mode::Enforce),
    ("Referrer-Policy", "no-referrer", Mode::Fill),
    ("X-Permitted-Cross-Domain-Policies", "none", Mode::Fill),
    ("Cross-Origin-Opener-Policy", "same-origin", Mode::Fill),
    ("Cross-Origin-Embedder-Policy", "require-corp", Mode::Fill),
    ("Cross-Origin-Resource-Policy", "same-origin", Mode::Fill),
    (
        "Permissions-Policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
        Mode::Fill,
    ),
    ("X-DNS-Prefetch-Control", "off", Mode::Fill),
];
/// Lines that tell an attacker where to look.
const LEAKING: [&str; 14] = [
    "Server",
    "X-Powered-By",
    "X-AspNet-Version",
    "X-AspNetMvc-Version",
    "X-Generator",
    "X-Runtime",
    "Via",
    "X-Powered-CMS",
    "X-Backend-Server",
    "X-Server",
    "X-Varnish",
    "X-Mod-Pagespeed",
    "X-Drupal-Cache",
    "Liferay-Portal",
];
/// Headers that frame, route or belong to us: no setting touches them.
const UNTOUCHABLE: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "host", "upgrade", "trailer"];
/// Headers that are looked after at the most: each is a bit.
const MAX_MANAGED: usize = 64;

impl Config {
    /// What is wrong with these settings, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !self.content_security_policy.as_deref().is_none_or(printable) {
            let what = "a policy is one line of printable ASCII".to_owned();
            return Some(("gateway.headers.content_security_policy", what));
        }
        let wrong = |name: &&String| {
            !is_name(name.as_bytes()) || UNTOUCHABLE.contains(&name.to_ascii_lowercase().as_str())
        };
        if let Some(name) = self.remove.iter().find(wrong) {
            return Some(("gateway.headers.remove", format!("`{name}` cannot be removed")));
        }
        if let Some((name, _)) = self.set.iter().find(|(name, set)| wrong(name) || !printable(&set.value)) {
            return Some(("gateway.headers.set", format!("`{name}` cannot be set to this")));
        }
        let many = self.remove.len() + self.set.len() + LEAKING.len() + MODERN.len() + 1 > MAX_MANAGED;
        many.then(|| ("gateway.headers.set", "there are too many headers".to_owned()))
    }
}

#[derive(Debug)]
struct Managed {
    name: String,
    /// The line to add; none where the header is only taken away.
    line: Vec<u8>,
    keeps_upstreams: bool,
}

/// What is done to each response, ready to be looked up and copied.
#[derive(Debug)]
pub(super) struct SecurityHeaders {
    managed: Vec<Managed>,
    /// A bit for each length of a managed name: most names are told apart by it.
    lengths: u64,
    /// All lines, for the response that has none of them.
    all: Vec<u8>,
    /// Whether reports are collected.
    pub(super) collects: bool,
}

/// Which managed headers the upstream sent and keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept(u64);

impl SecurityHeaders {
    pub(super) fn new(config: &Config) -> Self {
        let (set, removed, policy): (_, &[&str], _) = match config.profile {
            Profile::Off => (&[][..], &[], ""),
            Profile::Classic => (CLASSIC, &[], CLASSIC_POLICY),
            Profile::Modern => (MODERN, &LEAKING, MODERN_POLICY),
        };
        let policy = config.content_security_policy.as_deref().unwrap_or(policy);
        let mut managed = Vec::new();
        let mut manage = |name: &str, value: &str, keeps_upstreams: bool| {
            let line =
                if value.is_empty() { Vec::new() } else { format!("{name}: {value}\r\n").into_bytes() };
            managed.retain(|known: &Managed| !known.name.eq_ignore_ascii_case(name));
            managed.push(Managed { name: name.to_owned(), line, keeps_upstreams });
        };
        for name in removed.iter().copied().chain(config.remove.iter().map(String::as_str)) {
            manage(name, "", false);
        }
        for &(name, value, mode) in set {
            manage(name, value, mode == Mode::Fill);
        }
        let reporting = config.report_only && !policy.is_empty();
        if reporting {
            let policy = format!("{policy}; report-uri {REPORT_PATH}");
            manage("Content-Security-Policy-Report-Only", &policy, true);
        } else if !policy.is_empty() {
            manage(POLICY, policy, true);
        }
        for (name, setting) in &config.set {
            manage(name, &setting.value, setting.mode == Mode::Fill);
        }
        let lengths = managed.iter().fold(0, |lengths, known| lengths | 1 << known.name.len().min(63));
        let all = managed.iter().flat_map(|known| known.line.iter().copied()).collect();
        Self { managed, lengths, all, collects: reporting }
    }

    /// Whether the upstream's line called `name` goes to the client.
    pub(super) fn passes(&self, name: &[u8], kept: &mut Kept) -> bool {
        if self.lengths >> name.len().min(63) & 1 == 0 {
            return true;
        }
        let known = self.managed.iter().enumerate();
        let found = known.into_iter().find(|(_, known)| known.name.as_bytes().eq_ignore_ascii_case(name));
        let Some((at, known)) = found else { return true };
        if known.keeps_upstreams {
            kept.0 |= 1 << (at % MAX_MANAGED);
        }
        known.keeps_upstreams
    }

    /// Appends the lines that the upstream did not send itself.
    pub(super) fn write(&self, kept: Kept, out: &mut Vec<u8>) {
        if kept.0 == 0 {
            return out.extend_from_slice(&self.all);
        }
        let missing = self.managed.iter().enumerate().filter(|(at, _)| kept.0 >> (at % MAX_MANAGED) & 1 == 0);
        missing.for_each(|(_, known)| out.extend_from_slice(&known.line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str, upstream: &[&str]) -> (Vec<String>, String) {
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.problem(), None);
        let headers = SecurityHeaders::new(&config);
        let mut kept = Kept::default();
        let passed = upstream.iter().filter(|name| headers.passes(name.as_bytes(), &mut kept));
        let passed = passed.map(|&name| name.to_owned()).collect();
        let mut out = Vec::new();
        headers.write(kept, &mut out);
        (passed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_filled_header_is_the_upstreams_where_it_has_one_and_an_enforced_one_never() {
        let upstream = ["Server", "x-frame-options", "X-XSS-Protection", "content-security-policy", "Date"];
        let (passed, ours) = answered("profile = 'modern'", &upstream);
        assert_eq!(passed, ["x-frame-options", "content-security-policy", "Date"]);
        assert!(ours.starts_with("X-XSS-Protection: 0\r\nX-Content-Type-Options: nosniff\r\n"), "{ours}");
        assert!(ours.contains("Permissions-Policy: ") && !ours.contains("Content-Security-Policy"), "{ours}");
        let (passed, ours) = answered("profile = 'classic'", &upstream);
        assert_eq!(passed, ["Server", "content-security-policy", "Date"]);
        assert!(ours.starts_with("X-Frame-Options: DENY\r\nX-XSS-Protection: 1; mode=block\r\n"), "{ours}");
        assert_eq!(
            answered("profile = 'off'", &upstream),
            (upstream.map(str::to_owned).to_vec(), String::new())
        );
    }

    #[test]
    fn single_headers_are_set_removed_and_only_reported() {
        let text = "profile = 'off'\nremove = ['Server']\n\
            [set]\nX-Frame-Options = { value = 'SAMEORIGIN', mode = 'enforce' }\nX-Team = { value = 'shop' }\n";
        let (passed, ours) = answered(text, &["server", "X-Frame-Options", "X-Team"]);
        assert_eq!((passed, ours.as_str()), (vec!["X-Team".to_owned()], "X-Frame-Options: SAMEORIGIN\r\n"));
        let (_, ours) = answered("report_only = true", &["Content-Security-Policy"]);
        assert!(ours.contains("\r\nContent-Security-Policy-Report-Only: object-src"), "{ours}");
        assert!(ours.ends_with("; report-uri /.well-known/skyshield/csp-report\r\n"), "{ours}");
        for text in ["remove = ['Content-Length']", "remove = ['a b']", "[set]\nHost = { value = 'x' }"] {
            assert!(toml::from_str::<Config>(text).unwrap().problem().is_some(), "{text}");
        }
    }
}
