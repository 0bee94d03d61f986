//! What is kept of a request until its answer is known: hashes, and what kind of request it is.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::hops::names_another_client;
use crate::engine::behaviour::{self, Key, Login, Signal, Traits};
use crate::engine::incident::Client;
use crate::engine::watcher::Matched;
use crate::inspect::Request;
use crate::limits;
use crate::routes::PathPatterns;

/// Bytes of a body that tell one value from another.
const VALUE_BYTES: usize = 512;
/// Bytes of a body in which an account is looked for.
const ACCOUNT_BYTES: usize = 16 * 1024;
/// Digits of a number in a path.
const DIGITS: usize = 18;

/// Pages that software has which most hosts do not, as scanners ask for them: the beginning of a path.
const WELL_KNOWN: &[&[u8]] = &[
    b"/.env",
    b"/.git",
    b"/.svn",
    b"/.aws",
    b"/.ssh",
    b"/.vscode",
    b"/.ds_store",
    b"/wp-login",
    b"/wp-admin",
    b"/wp-content",
    b"/wp-includes",
    b"/wordpress",
    b"/xmlrpc.php",
    b"/phpmyadmin",
    b"/pma",
    b"/phpinfo",
    b"/administrator",
    b"/admin.php",
    b"/adminer",
    b"/cgi-bin/",
    b"/vendor/",
    b"/server-status",
    b"/actuator",
    b"/solr",
    b"/owa/",
    b"/boaform",
    b"/hnap1",
    b"/telescope",
    b"/_ignition",
    b"/jenkins",
    b"/manager/html",
    b"/config.json",
    b"/backup",
    b"/shell",
    b"/console",
    b"/druid",
    b"/geoserver",
    b"/autodiscover",
];

/// What makes trails.
#[derive(Clone, Debug)]
pub struct Watch {
    hashes: Key,
    accounts: Hmac<Sha256>,
    login: Login,
    login_paths: Arc<PathPatterns>,
    login_methods: Arc<[String]>,
}

/// What is kept of a request until its answer is known: for the detectors, and what it would count as.
#[derive(Debug)]
pub struct Trail {
    pub(super) seen: Option<Seen>,
    pub(super) matched: Option<Matched>,
}

/// What the detectors are told of, but for the answer.
#[derive(Debug)]
pub struct Seen {
    signal: Signal,
    route: Arc<str>,
}

impl Watch {
    /// A watch that takes requests of the class `auth` of `limits` for attempts to log in, and hashes
    /// accounts with `key`, the installation's own.
    pub fn new(config: &behaviour::Config, limits: &limits::Config, key: &[u8; 32]) -> Option<Self> {
        let auth = limits.classes.get("auth")?;
        Some(Self {
            hashes: Key::of(key),
            accounts: Hmac::<Sha256>::new_from_slice(key).ok()?,
            login: config.login.clone(),
            login_paths: Arc::new(PathPatterns::new(&auth.paths)),
            login_methods: auth.methods.clone().into(),
        })
    }

    /// What is to be kept of `request`, which `route` has taken.
    pub fn see(&self, client: Client, request: &Request<'_>, route: &Arc<str>, at: Instant) -> Seen {
        let target = request.target;
        let path = &target[..memchr::memchr(b'?', target).unwrap_or(target.len())];
        let writes = matches!(request.method, b"POST" | b"PUT" | b"PATCH" | b"DELETE");
        let mut traits = if writes { Traits::WRITES } else { Traits::default() };
        if self.is_login(request, writes) {
            traits = traits.and(Traits::LOGIN);
        }
        if is_well_known(path) {
            traits = traits.and(Traits::WELL_KNOWN);
        }
        if client.by_proxy {
            traits = traits.and(Traits::BY_PROXY);
        } else if request.headers.iter().any(|header| names_another_client(header, client.address)) {
            traits = traits.and(Traits::FORWARDS);
        }
        let value = if writes {
            let body = &request.body[..request.body.len().min(VALUE_BYTES)];
            self.hashes.hash(&[target, body, &request.body.len().to_le_bytes()])
        } else {
            0
        };
        let account = traits.has(Traits::LOGIN).then(|| self.account(request.body)).flatten();
        let signal = Signal {
            address: client.address,
            at,
            status: 0,
            traits,
            site: self.hashes.hash(&[request.host()]),
            path: self.hashes.hash(&[path]),
            series: self.series(path),
            value,
            login: None,
            account,
        };
        Seen { signal, route: Arc::clone(route) }
    }

    /// What became of the request.
    pub fn signal(&self, seen: Seen, status: u16) -> Signal {
        let Seen { mut signal, route } = seen;
        signal.status = status;
        if signal.traits.has(Traits::LOGIN) {
            let own = self.login.routes.get(&*route);
            let success = own.map_or(&self.login.success, |own| &own.success);
            let failure = own.map_or(&self.login.failure, |own| &own.failure);
            signal.login = if failure.contains(&status) {
                Some(false)
            } else {
                success.contains(&status).then_some(true)
            };
        }
        signal
    }

    fn is_login(&self, request: &Request<'_>, writes: bool) -> bool {
        let methods = &self.login_methods;
        let may_be = if methods.is_empty() {
            writes
        } else {
            methods.iter().any(|method| method.as_bytes() == request.method)
        };
        may_be && self.login_paths.match_target(request.target)
    }

    /// The path without its last number, and that number.
    fn series(&self, path: &[u8]) -> Option<(u64, u64)> {
        let mut end = path.len();
        loop {
            let slash = memchr::memrchr(b'/', path.get(..end)?)?;
            let segment = &path[slash + 1..end];
            if (1..=DIGITS).contains(&segment.len()) && segment.iter().all(u8::is_ascii_digit) {
                let number = segment.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
                return Some((self.hashes.hash(&[&path[..slash], &path[end..]]), number));
            }
            end = slash;
        }
    }

    /// The account that a form or JSON names, hashed.
    fn account(&self, body: &[u8]) -> Option<NonZeroU64> {
        let body = &body[..body.len().min(ACCOUNT_BYTES)];
        let named =
            |name: &str| self.login.account_fields.iter().any(|field| field.eq_ignore_ascii_case(name));
        let account = if body.trim_ascii_start().first() == Some(&b'{') {
            let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
            let (_, value) = fields.iter().find(|(name, value)| value.is_string() && named(name))?;
            value.as_str()?.to_owned()
        } else {
            body.split(|&byte| byte == b'&').find_map(|pair| {
                let (name, value) = pair.split_at(memchr::memchr(b'=', pair)?);
                named(&String::from_utf8_lossy(name)).then(|| decoded(&value[1..]))
            })?
        };
        let account = account.trim().to_lowercase();
        if account.is_empty() {
            return None;
        }
        let mut mac = self.accounts.clone();
        mac.update(account.as_bytes());
        let digest = mac.finalize().into_bytes();
        NonZeroU64::new(digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

fn is_well_known(path: &[u8]) -> bool {
    WELL_KNOWN
        .iter()
        .any(|start| path.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

/// The value of a form's field.
fn decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = hex.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::clock;

    fn watch() -> Watch {
        Watch::new(&behaviour::Config::default(), &limits::Config::default(), &[3; 32]).unwrap()
    }

    fn told(method: &str, target: &str, body: &str, status: u16) -> Signal {
        let client = Client { address: IpAddr::V4(Ipv4Addr::LOCALHOST), by_proxy: false };
        let (method, target, body) = (method.as_bytes(), target.as_bytes(), body.as_bytes());
        let request = Request { method, target, headers: &[], body };
        let watch = watch();
        watch.signal(watch.see(client, &request, &"default".into(), clock::now()), status)
    }

    #[test]
    fn an_account_is_the_same_in_every_spelling_and_nobody_else() {
        let accounts: Vec<_> = [
            ("/login", "user=Anna%40Example.org&password=1"),
            ("/api/token", r#"{"email": " anna@example.org ", "password": "2"}"#),
            ("/login", "password=3&username=anna@example.org"),
            ("/login", "user=bert%40example.org"),
            ("/login", "password=3"),
        ]
        .into_iter()
        .map(|(target, body)| told("POST", target, body, 401).account)
        .collect();
        assert!(accounts[0].is_some() && accounts[0] == accounts[1] && accounts[1] == accounts[2]);
        assert!(accounts[3].is_some() && accounts[3] != accounts[0]);
        assert_eq!(accounts[4], None);
    }

    #[test]
    fn whether_a_login_succeeded_is_told_by_its_status() {
        for (method, target, status, login) in [
            ("POST", "/login", 401, Some(false)),
            ("POST", "/login", 303, Some(true)),
            ("POST", "/login", 500, None),
            ("GET", "/login", 401, None),
            ("POST", "/orders", 401, None),
        ] {
            assert_eq!(told(method, target, "", status).login, login, "{method} {target} {status}");
        }
    }

    #[test]
    fn numbers_of_one_series_are_told_apart_and_other_paths_too() {
        let series = |target: &str| told("GET", target, "", 200).series;
        let (one, two) = (series("/orders/41/items?x=1").unwrap(), series("/orders/42/items").unwrap());
        assert_eq!((one.0, one.1, two.1), (two.0, 41, 42));
        assert_ne!(series("/invoices/41/items").unwrap().0, one.0);
        assert_eq!(series("/orders"), None);
        assert_eq!(series("/"), None);
        assert!(told("GET", "/.ENV", "", 404).traits.has(Traits::WELL_KNOWN));
        assert!(!told("GET", "/environment", "", 404).traits.has(Traits::WELL_KNOWN));
    }

    #[test]
    fn values_differ_by_their_bodies() {
        let value = |body: &str| told("POST", "/pay", body, 402).value;
        assert_eq!(value("card=1"), value("card=1"));
        assert_ne!(value("card=1"), value("card=2"));
    }

    proptest::proptest! {
        #[test]
        fn no_body_and_no_target_makes_it_panic(target in "[/a%0-9?.]{0,80}", body in "[a-z=&%+{\":}0-9]{0,80}") {
            let _any = told("POST", &format!("/login{target}"), &body, 401);
        }
    }
}
