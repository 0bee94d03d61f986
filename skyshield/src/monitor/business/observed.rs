//! Requests that pass, counted by rules: the application is not changed for it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::batch;
use super::config::{Config, Kind, RuleConfig, statuses};
use crate::engine::watcher::{Matched, Watcher};
use crate::inspect::Request;
use crate::routes::{HostPattern, Path, Pattern};

/// Users that may wait to be counted; beyond it they are let go, and that is counted.
const QUEUE: usize = 8192;

/// The rules, and what they have counted since it was collected last.
#[derive(Debug)]
pub struct Observed {
    rules: Vec<Rule>,
    secret: [u8; 32],
    users: mpsc::Sender<(usize, u64)>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Rule {
    kind: usize,
    is_of_users: bool,
    hosts: Vec<HostPattern>,
    methods: Vec<Box<[u8]>>,
    paths: Vec<Pattern>,
    statuses: Vec<(u16, u16)>,
    cookie: Option<String>,
    header: Option<String>,
    counted: AtomicU64,
}

/// The users that rules have seen, for who counts them.
pub(super) type Users = mpsc::Receiver<(usize, u64)>;

impl Observed {
    /// The rules of `config`. Users are hashed with `secret`.
    pub(super) fn new(config: &Config, secret: [u8; 32]) -> (Self, Users) {
        let (users, seen) = mpsc::channel(QUEUE);
        let rules = config.rules.iter().filter_map(|rule| Rule::new(rule, config)).collect();
        (Self { rules, secret, users, lost: AtomicU64::new(0) }, seen)
    }

    /// Kinds and how often each was counted since the last time.
    pub(super) fn collect(&self) -> impl Iterator<Item = (usize, u64)> {
        self.rules.iter().map(|rule| (rule.kind, rule.counted.swap(0, Ordering::Relaxed)))
    }

    /// Users that were let go since the last time.
    pub(super) fn collect_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    fn matching(&self, rules: u64) -> impl Iterator<Item = &Rule> {
        self.rules.iter().enumerate().filter(move |(at, _)| rules & (1 << at) != 0).map(|(_, rule)| rule)
    }
}

impl Rule {
    fn new(rule: &RuleConfig, config: &Config) -> Option<Self> {
        let kind = config.kinds.iter().position(|kind| kind.name == rule.kind)?;
        Some(Self {
            kind,
            is_of_users: config.kinds.get(kind)?.kind == Kind::Unique,
            hosts: rule.hosts.iter().filter_map(|host| HostPattern::parse(host)).collect(),
            methods: rule.methods.iter().map(|method| method.as_bytes().into()).collect(),
            paths: rule.paths.iter().filter_map(|path| Pattern::parse(path)).collect(),
            statuses: rule.statuses.iter().filter_map(|text| statuses(text)).collect(),
            cookie: rule.user_cookie.clone(),
            header: rule.user_header.clone(),
            counted: AtomicU64::new(0),
        })
    }

    fn takes(&self, request: &Request<'_>, path: &Path<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|known| **known == *request.method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(request.host())))
            && (self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(path)))
    }

    fn user<'a>(&self, request: &'a Request<'_>) -> Option<&'a [u8]> {
        let all = |name: &str| {
            let name = name.to_owned();
            request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name.as_bytes()))
        };
        let by_header = self.header.as_ref().and_then(|name| all(name).next().map(|header| header.value));
        let by_cookie = || {
            let name = self.cookie.as_ref()?;
            all("cookie")
                .flat_map(|header| header.value.split(|&byte| byte == b';'))
                .find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        by_header.or_else(by_cookie).filter(|user| !user.is_empty())
    }
}

impl Watcher for Observed {
    fn look(&self, request: &Request<'_>) -> Matched {
        let mut matched = Matched::default();
        let path = Path::of(request.target);
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.takes(request, &path)) {
            if rule.is_of_users {
                let Some(user) = rule.user(request) else { continue };
                matched.user.get_or_insert_with(|| batch::hash(&self.secret, user));
            }
            matched.rules |= 1 << at;
        }
        matched
    }

    fn answered(&self, matched: Matched, status: u16) {
        let good = self
            .matching(matched.rules)
            .filter(|rule| rule.statuses.iter().any(|&(first, last)| (first..=last).contains(&status)));
        for rule in good {
            if !rule.is_of_users {
                rule.counted.fetch_add(1, Ordering::Relaxed);
            } else if let Some(user) = matched.user
                && self.users.try_send((rule.kind, user)).is_err()
            {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Header;

    #[test]
    fn a_chart_is_counted_when_it_was_made_and_a_user_once_answered() {
        let config: Config = toml::from_str(
            "[[kinds]]\nname = \"charts\"\nkind = \"count\"\n[[kinds]]\nname = \"users\"\nkind = \"unique\"\n\
             [[rules]]\nkind = \"charts\"\nmethods = [\"POST\"]\npaths = [\"/api/**/charts\"]\nstatuses = [\"2xx\"]\n\
             [[rules]]\nkind = \"users\"\nstatuses = [\"2xx\"]\nuser_cookie = \"session\"\n",
        )
        .unwrap();
        let (observed, mut users) = Observed::new(&config, [7; 32]);
        let ask = |method: &str, target: &str, status: u16| {
            let cookie = Header { name: b"Cookie", value: b"a=b; session=u1" };
            let request = Request {
                method: method.as_bytes(),
                target: target.as_bytes(),
                headers: &[cookie],
                body: b"",
            };
            observed.answered(observed.look(&request), status);
        };
        ask("POST", "/api/v2/charts?x=1", 201);
        ask("POST", "/api/v2/%63harts", 200);
        ask("POST", "/api/v2/charts", 500);
        ask("GET", "/api/v2/charts", 200);
        ask("POST", "/api/v2/chart", 200);
        assert_eq!(observed.collect().collect::<Vec<_>>(), [(0, 2), (1, 0)]);
        assert_eq!(observed.collect().next(), Some((0, 0)), "collected once");
        let seen: Vec<_> = std::iter::from_fn(|| users.try_recv().ok()).collect();
        assert_eq!(seen.len(), 4);
        assert!(seen.iter().all(|user| *user == seen[0] && user.0 == 1));
    }
}
