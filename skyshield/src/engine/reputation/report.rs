//! Telling `AbuseIPDB` of attackers: whom, for what, once a day, and without a word about anybody else.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use super::budget::{Budget, Kept};
use crate::engine::behaviour::Detector;
use crate::engine::feeds::special_purpose;
use crate::engine::incident::{Act, Incident};
use crate::engine::risk;
use crate::inspect::Class;

/// A source is told of once in this long.
const ONCE_IN: Duration = Duration::from_hours(24);
/// Sources that were told of and are remembered.
const MAX_TOLD: usize = 100_000;
/// Reports that wait; beyond it new ones are dropped and counted.
const MAX_WAITING: usize = 256;
/// Rules that a comment names.
const MAX_RULES: usize = 4;

/// A report on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whom it is about.
    pub address: IpAddr,
    /// The numbers of its categories, with commas between.
    pub categories: String,
    /// What happened, in words of ours alone.
    pub comment: String,
    /// When.
    pub at: SystemTime,
}

/// What is to be told, and what was.
#[derive(Debug)]
pub struct Reporter {
    budget: Budget,
    told: HashMap<IpAddr, Instant>,
    waiting: VecDeque<Report>,
    dropped: u64,
}

impl Reporter {
    /// A reporter of `per_day` reports a day, with what was kept of its budget.
    pub fn new(per_day: u32, kept: Option<Kept>) -> Self {
        Self {
            budget: Budget::new(per_day, kept),
            told: HashMap::new(),
            waiting: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Takes note of an incident: a source that was banned for an attack is to be told of.
    pub fn note(&mut self, incident: &Incident, now: Instant) {
        let address = incident.client.address;
        let was_told =
            self.told.get(&address).is_some_and(|told| now.saturating_duration_since(*told) < ONCE_IN);
        if incident.act != Act::Ban || was_told || special_purpose().contains(address) {
            return;
        }
        let Some(categories) = categories(incident) else { return };
        if self.waiting.len() >= MAX_WAITING || self.told.len() >= MAX_TOLD {
            self.dropped += 1;
            return;
        }
        self.told.insert(address, now);
        let comment = comment(incident);
        self.waiting.push_back(Report { address, categories, comment, at: incident.at });
    }

    /// Takes up that `address` was told of this long ago.
    pub fn recall(&mut self, address: IpAddr, ago: Duration, now: Instant) {
        if let Some(told) = now.checked_sub(ago).filter(|_| self.told.len() < MAX_TOLD) {
            self.told.insert(address, told);
        }
    }

    /// What has to be on disk before the next report is sent, if anything.
    pub fn to_keep(&mut self, wall_secs: u64) -> Option<Kept> {
        (!self.waiting.is_empty() && self.budget.allows(1.0, wall_secs))
            .then(|| self.budget.to_keep())
            .flatten()
    }

    /// Notes that it is.
    pub fn note_kept(&mut self, kept: Kept) {
        self.budget.note_kept(kept);
    }

    /// The next report to be sent at `wall_secs`, if one may be.
    pub fn next(&mut self, wall_secs: u64) -> Option<Report> {
        let may = !self.waiting.is_empty() && self.budget.allows(1.0, wall_secs) && self.budget.spend();
        if may { self.waiting.pop_front() } else { None }
    }

    /// Nothing more today.
    pub fn exhaust(&mut self, secs: Option<u64>, wall_secs: u64) {
        self.budget.exhaust(secs, wall_secs);
    }

    /// Forgets who was told of long enough ago.
    pub fn forget(&mut self, now: Instant) {
        self.told.retain(|_, told| now.saturating_duration_since(*told) < ONCE_IN);
    }

    /// The budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Reports that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Reports that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// What the source of `incident` was seen doing over time, surest first.
fn behaviour(incident: &Incident) -> impl Iterator<Item = Detector> {
    let terms = incident.assessment.bill.terms.iter().filter(|term| term.kind == risk::Kind::Behaviour);
    terms.filter_map(|term| Detector::ALL.into_iter().find(|detector| detector.name() == term.rule))
}

/// The numbers of what `incident` was, with commas between; none where it is nothing that is told.
fn categories(incident: &Incident) -> Option<String> {
    let found = incident.findings.iter().flat_map(|finding| of_class(finding.class));
    let mut numbers: Vec<u8> = found.chain(behaviour(incident).flat_map(of_detector)).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    (!numbers.is_empty()).then(|| numbers.join(","))
}

/// 3 fraud orders, 4 flood, 18 brute force, 19 bad web bot, 21 attack on a web application.
fn of_detector(detector: Detector) -> &'static [u8] {
    match detector {
        Detector::LoginGuessing | Detector::LoginStuffing | Detector::LoginTarget => &[18, 21],
        Detector::MissingPages
        | Detector::WellKnownPages
        | Detector::Enumeration
        | Detector::SitesProbing => &[19, 21],
        Detector::ValueGuessing => &[3, 18],
        Detector::Flood => &[4],
    }
}

/// 15 hacking, 16 SQL injection, 19 bad web bot, 21 attack on a web application.
fn of_class(class: Class) -> &'static [u8] {
    match class {
        Class::Sqli => &[16, 21],
        Class::Scanner | Class::Probe => &[19, 21],
        Class::Xss
        | Class::PathTraversal
        | Class::CommandInjection
        | Class::LookupInjection
        | Class::Ssrf
        | Class::TemplateInjection
        | Class::Xxe
        | Class::NosqlInjection
        | Class::LdapInjection
        | Class::ResponseSplitting
        | Class::PrototypePollution
        | Class::Deserialization
        | Class::CodeInjection
        | Class::RemoteFile
        | Class::MailInjection
        | Class::WebShell => &[15, 21],
        Class::OpenRedirect | Class::SessionFixation => &[21],
        // An operator's own wishes are nobody's offence.
        Class::Policy => &[],
    }
}

/// What happened, without a byte of the request: rules of the built-in kind and detectors, by their names.
fn comment(incident: &Incident) -> String {
    let is_ours = |rule: &str| {
        rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte))
    };
    let found = incident.findings.iter().filter(|finding| finding.class != Class::Policy);
    let mut rules: Vec<&str> = Vec::new();
    rules.extend(found.map(|finding| &*finding.rule).filter(|rule| is_ours(rule)));
    rules.dedup();
    for detector in behaviour(incident) {
        rules.push(detector.name());
    }
    rules.truncate(MAX_RULES);
    format!("Attack on a web application over HTTP, refused by SkyShield: {}", rules.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::engine::incident::{Assessment, Client, Door, IncidentId};
    use crate::engine::risk::{Bill, Evidence};
    use crate::inspect::{Confidence, Finding, Place};

    const MIDNIGHT: u64 = 20_000 * 86_400;

    fn incident(address: &str, act: Act, classes: &[(&'static str, Class)]) -> Incident {
        Incident {
            id: IncidentId::new(clock::wall(), 1),
            at: clock::wall(),
            client: Client { address: address.parse().unwrap(), by_proxy: false },
            door: Door::Gateway,
            act,
            route: "default".into(),
            assessment: Assessment::default(),
            findings: classes
                .iter()
                .map(|(rule, class)| Finding {
                    rule: (*rule).into(),
                    class: *class,
                    place: Place::Query("token".to_owned()),
                    confidence: Confidence::new(0.9),
                    matched: "secret-cookie".to_owned(),
                })
                .collect(),
            method: "GET".to_owned(),
            host: "internal.example".to_owned(),
            target: "/?token=secret-cookie".to_owned(),
            traits: crate::engine::indicators::Traits::default(),
            complete_at: clock::now(),
        }
    }

    /// Sends all that may be sent.
    fn sent(reporter: &mut Reporter, wall: u64) -> Vec<Report> {
        let mut sent = Vec::new();
        loop {
            if let Some(kept) = reporter.to_keep(wall) {
                reporter.note_kept(kept);
            }
            match reporter.next(wall) {
                Some(report) => sent.push(report),
                None => return sent,
            }
        }
    }

    #[test]
    fn a_banned_attacker_is_told_of_once_a_day_and_without_private_data() {
        let (mut reporter, now) = (Reporter::new(10, None), clock::now());
        let attack = [("sqli.union-select", Class::Sqli), ("xss.tag", Class::Xss)];
        for _ in 0..5 {
            reporter.note(&incident("45.1.2.3", Act::Ban, &attack), now);
        }
        reporter.note(&incident("45.1.2.4", Act::Refuse, &attack), now);
        reporter.note(&incident("10.0.0.1", Act::Ban, &attack), now);
        reporter.note(&incident("45.1.2.5", Act::Ban, &[("own rule", Class::Policy)]), now);
        let told = sent(&mut reporter, MIDNIGHT);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].address.to_string().as_str(), told[0].categories.as_str()),
            ("45.1.2.3", "15,16,21")
        );
        assert!(told[0].comment.ends_with("sqli.union-select, xss.tag"));
        for private in ["secret-cookie", "internal.example", "token"] {
            assert!(!told[0].comment.contains(private), "{}", told[0].comment);
        }
        reporter.note(&incident("45.1.2.3", Act::Ban, &attack), now + Duration::from_hours(23));
        assert!(sent(&mut reporter, MIDNIGHT).is_empty());
        reporter.forget(now + ONCE_IN);
        reporter.note(&incident("45.1.2.3", Act::Ban, &attack), now + ONCE_IN);
        assert_eq!(sent(&mut reporter, MIDNIGHT + 86_400).len(), 1);
    }

    #[test]
    fn no_more_is_told_in_a_day_than_the_budget_says() {
        let (mut reporter, now) = (Reporter::new(10, None), clock::now());
        for n in 0..300_u32 {
            let address = std::net::Ipv4Addr::from_bits(0x2d00_0000 + n).to_string();
            reporter.note(&incident(&address, Act::Ban, &[("xss.tag", Class::Xss)]), now);
        }
        assert_eq!(reporter.dropped(), 300 - MAX_WAITING as u64);
        assert_eq!(sent(&mut reporter, MIDNIGHT).len(), 10);
        assert_eq!(sent(&mut reporter, MIDNIGHT + 86_400).len(), 10);
    }

    #[test]
    fn every_class_and_every_detector_has_its_categories() {
        for (class, numbers) in [
            (Class::Sqli, "16,21"),
            (Class::Scanner, "19,21"),
            (Class::CommandInjection, "15,21"),
            (Class::OpenRedirect, "21"),
        ] {
            let found = incident("45.1.2.3", Act::Ban, &[("a.b", class)]);
            assert_eq!(categories(&found).as_deref(), Some(numbers));
        }
        assert_eq!(categories(&incident("45.1.2.3", Act::Ban, &[])), None);
        for (detector, numbers) in [
            (Detector::LoginStuffing, "18,21"),
            (Detector::MissingPages, "19,21"),
            (Detector::ValueGuessing, "3,18"),
            (Detector::Flood, "4"),
        ] {
            let mut seen = incident("45.1.2.3", Act::Ban, &[]);
            seen.assessment.bill = Bill::of(vec![Evidence {
                kind: risk::Kind::Behaviour,
                rule: detector.name().into(),
                family: detector.name().into(),
                place: None,
                matched: "anna@shop.example".to_owned(),
                confidence: 1.0,
                weight: 1.0,
            }]);
            assert_eq!(categories(&seen).as_deref(), Some(numbers));
            assert!(comment(&seen).ends_with(detector.name()), "{}", comment(&seen));
        }
    }
}
