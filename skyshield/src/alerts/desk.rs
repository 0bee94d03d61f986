//! From alerts to messages: grouped, told once, repeated seldom, held at night, never more than so many
//! an hour. Pure: time comes in, notices go out.

mod erase;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::config::{Config, Severity};
use super::judge::Alert;
use super::message::{Line, Notice, What};

const HOUR_MS: i64 = 3_600_000;
/// Lines of one message; the rest is a number.
const MAX_LINES: usize = 50;
/// Names of alerts that a digest gives of each rule.
const NAMES_OF_RULE: usize = 20;

/// The desk.
#[derive(Debug)]
pub(super) struct Desk {
    wait_ms: i64,
    interval_ms: i64,
    repeat_ms: i64,
    max_per_hour: usize,
    quiet: Option<(u32, u32)>,
    groups: BTreeMap<String, Group>,
    /// When messages went out in the last hour.
    sent: VecDeque<i64>,
    held: BTreeMap<String, Held>,
    held_since: Option<i64>,
}

/// Alerts of one rule.
#[derive(Debug, Default)]
struct Group {
    firing: BTreeMap<String, Alert>,
    /// Which of them nobody was told of yet.
    news: BTreeSet<String>,
    /// What has ended since, of what somebody was told of.
    ended: Vec<Alert>,
    /// What ended beyond the lines of a message.
    ended_more: usize,
    due_ms: Option<i64>,
    sent_ms: Option<i64>,
}

/// What was not told of a rule.
#[derive(Debug, Default)]
struct Held {
    severity: Option<Severity>,
    summary: String,
    names: BTreeSet<String>,
    firing: usize,
    ended: usize,
}

impl Desk {
    pub(super) fn new(config: &Config) -> Self {
        let ms = |secs: u64| i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX / 4);
        Self {
            wait_ms: ms(config.group_wait_secs),
            interval_ms: ms(config.group_interval_secs),
            repeat_ms: ms(config.repeat_secs.max(60)),
            max_per_hour: config.max_per_hour.max(2),
            quiet: config.quiet.as_ref().and_then(super::config::Quiet::minutes),
            groups: BTreeMap::new(),
            sent: VecDeque::new(),
            held: BTreeMap::new(),
            held_since: None,
        }
    }

    /// Takes up an alert that fired before a restart; `told_ms` is when somebody was told of it.
    pub(super) fn restore(&mut self, alert: Alert, told_ms: Option<i64>, now_ms: i64) {
        let group = self.groups.entry(alert.rule.clone()).or_default();
        if let Some(at) = told_ms {
            group.sent_ms = Some(group.sent_ms.map_or(at, |before| before.max(at)));
        } else {
            group.news.insert(alert.id.clone());
            group.due_ms.get_or_insert(now_ms + self.wait_ms);
        }
        group.firing.insert(alert.id.clone(), alert);
    }

    /// Takes in what has begun or ended.
    pub(super) fn take(&mut self, alert: Alert, now_ms: i64) {
        let group = self.groups.entry(alert.rule.clone()).or_default();
        if alert.resolved_at_ms.is_none() {
            group.news.insert(alert.id.clone());
            group.firing.insert(alert.id.clone(), alert);
        } else {
            group.firing.remove(&alert.id);
            // Of what nobody was told that it began, nobody is told that it ended.
            if group.news.remove(&alert.id) {
                if group.news.is_empty() && group.ended.is_empty() {
                    group.due_ms = None;
                }
                return;
            }
            if group.ended.len() < MAX_LINES {
                group.ended.push(alert);
            } else {
                group.ended_more += 1;
            }
        }
        let soonest = match group.sent_ms {
            Some(sent) if !group.firing.is_empty() || !group.ended.is_empty() => {
                (sent + self.interval_ms).max(now_ms)
            }
            _ => now_ms + self.wait_ms,
        };
        group.due_ms = Some(group.due_ms.map_or(soonest, |due| due.min(soonest)));
    }

    /// Nobody is told that this alert has ended, unless nobody was told yet that it began.
    pub(super) fn forget(&mut self, alert: &Alert) {
        let Some(group) = self.groups.get_mut(&alert.rule) else { return };
        group.firing.remove(&alert.id);
        if group.news.remove(&alert.id) {
            if group.ended.len() < MAX_LINES {
                group.ended.push(alert.clone());
            } else {
                group.ended_more += 1;
            }
        }
    }

    /// What is to be sent now, and the ids of alerts that are told of by it.
    pub(super) fn due(&mut self, now_ms: i64) -> Vec<(Notice, Vec<String>)> {
        while self.sent.front().is_some_and(|&at| at <= now_ms - HOUR_MS) {
            self.sent.pop_front();
        }
        let is_quiet = self.is_quiet(now_ms);
        let mut notices = Vec::new();
        for (rule, group) in &mut self.groups {
            // Of what is held the digest tells.
            let repeats = !self.held.contains_key(rule)
                && group
                    .sent_ms
                    .is_some_and(|sent| !group.firing.is_empty() && sent + self.repeat_ms <= now_ms);
            if !repeats && group.due_ms.is_none_or(|due| due > now_ms) {
                continue;
            }
            let severity = group.severity();
            group.due_ms = None;
            group.sent_ms = Some(now_ms);
            // One of the hour's messages is the digest's.
            let is_full = self.sent.len() + 1 >= self.max_per_hour;
            if is_full || is_quiet && severity < Severity::Critical {
                self.held_since.get_or_insert(now_ms);
                self.held.entry(rule.clone()).or_default().add(group, severity);
                group.told();
                continue;
            }
            notices.push((group.notice(rule, severity, repeats), group.firing.keys().cloned().collect()));
            group.told();
            self.sent.push_back(now_ms);
        }
        self.groups.retain(|_, group| !group.firing.is_empty() || group.due_ms.is_some());
        notices.extend(self.digest(is_quiet, now_ms).map(|digest| (digest, Vec::new())));
        notices
    }

    /// What was held, once the night is over, or it has waited as long as news of a group do.
    fn digest(&mut self, is_quiet: bool, now_ms: i64) -> Option<Notice> {
        let since = self.held_since?;
        let is_due = !is_quiet
            && (self.sent.len() + 1 < self.max_per_hour
                || since + self.interval_ms <= now_ms
                || self.quiet.is_some());
        if !is_due || self.sent.len() >= self.max_per_hour {
            return None;
        }
        self.held_since = None;
        self.sent.push_back(now_ms);
        let held = std::mem::take(&mut self.held);
        for (_, group) in self.groups.iter_mut().filter(|(rule, _)| held.contains_key(*rule)) {
            group.sent_ms = Some(now_ms);
        }
        let severity = held.values().filter_map(|held| held.severity).max().unwrap_or_default();
        let (firing, ended) =
            held.values().fold((0, 0), |sum, held| (sum.0 + held.firing, sum.1 + held.ended));
        let lines = held.into_iter().map(|(rule, held)| {
            let more = held.firing.saturating_sub(held.names.len());
            let mut which: Vec<_> = held.names.into_iter().filter(|name| !name.is_empty()).collect();
            if more > 0 {
                which.push(format!("and {more} more"));
            }
            Line {
                rule,
                which: which.join("; "),
                severity: held.severity.unwrap_or_default(),
                summary: format!("{}: {} began, {} ended", held.summary, held.firing, held.ended),
                value: None,
                since_ms: since,
                ended_ms: None,
            }
        });
        // Every rule is named: there are no more of them than the configuration has.
        let lines = lines.collect();
        Some(Notice {
            what: What::Digest,
            rule: "digest".to_owned(),
            severity,
            lines,
            firing,
            ended,
            more: 0,
            at_ms: now_ms,
        })
    }

    fn is_quiet(&self, now_ms: i64) -> bool {
        let Some((from, to)) = self.quiet else { return false };
        let minute = u32::try_from(now_ms.div_euclid(60_000).rem_euclid(1440)).unwrap_or(0);
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

impl Group {
    fn severity(&self) -> Severity {
        self.firing.values().chain(&self.ended).map(|alert| alert.severity).max().unwrap_or_default()
    }

    fn told(&mut self) {
        self.news.clear();
        self.ended.clear();
        self.ended_more = 0;
    }

    fn notice(&self, rule: &str, severity: Severity, repeats: bool) -> Notice {
        // News first: what is known already is what a reader skips.
        let (news, known): (Vec<_>, Vec<_>) =
            self.firing.values().partition(|alert| self.news.contains(&alert.id));
        let all = news.into_iter().chain(known).chain(&self.ended);
        let (firing, ended) = (self.firing.len(), self.ended.len() + self.ended_more);
        let lines: Vec<_> = all.take(MAX_LINES).map(Line::of).collect();
        let what = match (firing, repeats && self.news.is_empty() && self.ended.is_empty()) {
            (0, _) => What::Resolved,
            (_, true) => What::Repeated,
            (_, false) => What::Firing,
        };
        let more = (firing + ended).saturating_sub(lines.len());
        let at_ms = self.sent_ms.unwrap_or_default();
        Notice { what, rule: rule.to_owned(), severity, lines, firing, ended, more, at_ms }
    }
}

impl Held {
    fn add(&mut self, group: &Group, severity: Severity) {
        self.severity = self.severity.max(Some(severity));
        let alerts = group.firing.values().filter(|alert| group.news.contains(&alert.id));
        for alert in alerts {
            self.firing += 1;
            if self.names.len() < NAMES_OF_RULE {
                self.names.insert(alert.which.clone());
            }
        }
        self.ended += group.ended.len() + group.ended_more;
        if let Some(alert) = group.firing.values().next().or(group.ended.first()) {
            self.summary.clone_from(&alert.summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(rule: &str, which: &str, severity: Severity) -> Alert {
        Alert {
            id: format!("{rule}/{which}"),
            rule: rule.to_owned(),
            which: which.to_owned(),
            severity,
            summary: "something is wrong".to_owned(),
            value: 1.0,
            started_at_ms: 0,
            resolved_at_ms: None,
        }
    }

    fn ended(alert: &Alert, secs: i64) -> Alert {
        Alert { resolved_at_ms: Some(secs * 1000), ..alert.clone() }
    }

    /// What goes out at this second.
    fn told(desk: &mut Desk, secs: i64) -> Vec<String> {
        desk.due(secs * 1000).into_iter().map(|(notice, _)| notice.subject()).collect()
    }

    #[test]
    fn alerts_of_a_rule_are_one_message_and_so_is_their_end() {
        let mut desk = Desk::new(&Config::default());
        let (a, b) = (alert("disk", "/", Severity::Warning), alert("disk", "/var", Severity::Warning));
        desk.take(a.clone(), 0);
        desk.take(b.clone(), 10_000);
        assert!(told(&mut desk, 29).is_empty());
        assert_eq!(told(&mut desk, 30), ["[warning] disk: something is wrong (2 firing)"]);
        assert!(told(&mut desk, 400).is_empty(), "told once");
        desk.take(ended(&a, 410), 410_000);
        assert_eq!(told(&mut desk, 410), ["[warning] disk: something is wrong (1 firing, 1 ended)"]);
        desk.take(ended(&b, 420), 420_000);
        assert!(told(&mut desk, 420).is_empty(), "news of a group wait for each other");
        assert_eq!(told(&mut desk, 710), ["[resolved] disk: something is wrong"]);
    }

    #[test]
    fn what_ends_before_it_was_told_is_not_told() {
        let mut desk = Desk::new(&Config::default());
        let a = alert("disk", "/", Severity::Warning);
        desk.take(a.clone(), 0);
        desk.take(ended(&a, 10), 10_000);
        assert!(told(&mut desk, 100).is_empty());
    }

    #[test]
    fn what_only_happened_is_told_once_and_its_end_is_not() {
        let mut desk = Desk::new(&Config::default());
        let a = alert("response/tell", "source=192.0.2.1", Severity::Warning);
        desk.take(a.clone(), 0);
        assert_eq!(told(&mut desk, 30), ["[warning] response/tell: something is wrong (1 firing)"]);
        desk.forget(&ended(&a, 1000));
        assert!(told(&mut desk, 5 * 3600).is_empty());
        // What nobody was told of yet is told all the same.
        desk.take(a.clone(), 20_000_000);
        desk.forget(&ended(&a, 20_001));
        assert_eq!(told(&mut desk, 20_030), ["[resolved] response/tell: something is wrong"]);
    }

    #[test]
    fn what_goes_on_is_told_again_after_the_repeat_interval_and_not_before() {
        let mut desk = Desk::new(&Config::default());
        desk.take(alert("disk", "/", Severity::Warning), 0);
        assert_eq!(told(&mut desk, 30).len(), 1);
        assert!(told(&mut desk, 4 * 3600).is_empty());
        assert_eq!(told(&mut desk, 4 * 3600 + 30), ["[warning, still] disk: something is wrong (1 firing)"]);
        // And a restart does not make it news.
        let mut next = Desk::new(&Config::default());
        next.restore(alert("disk", "/", Severity::Warning), Some(14_430_000), 14_500_000);
        assert!(told(&mut next, 14_600).is_empty());
    }

    #[test]
    fn at_night_only_what_is_critical_is_told_and_the_rest_in_the_morning() {
        let config = Config {
            quiet: Some(super::super::Quiet { from: "22:00".into(), to: "07:00".into() }),
            ..Config::default()
        };
        let mut desk = Desk::new(&config);
        let night = 23 * 3600;
        desk.take(alert("disk", "/", Severity::Warning), night * 1000);
        desk.take(alert("shield", "eth0", Severity::Critical), night * 1000);
        assert_eq!(told(&mut desk, night + 30), ["[critical] shield: something is wrong (1 firing)"]);
        assert!(told(&mut desk, 24 * 3600 + 3600).is_empty());
        assert_eq!(
            told(&mut desk, 24 * 3600 + 7 * 3600),
            [
                "[critical, still] shield: something is wrong (1 firing)",
                "[digest] 1 began, 0 ended, of 1 rules"
            ]
        );
    }

    #[test]
    fn a_storm_sends_no_more_than_it_may_and_the_digest_names_the_rest() {
        let mut desk = Desk::new(&Config::default());
        for at in 0..10_000 {
            desk.take(alert(&format!("rule{:03}", at % 500), &format!("of={at}"), Severity::Warning), 0);
        }
        let mut sent = Vec::new();
        let mut digests = Vec::new();
        for secs in 0..7200 {
            for (notice, _) in desk.due(secs * 1000) {
                sent.push((secs, notice.rule.clone()));
                if notice.what == What::Digest {
                    digests.push(notice);
                }
            }
        }
        for (secs, _) in &sent {
            let in_hour = sent.iter().filter(|(other, _)| (*secs..secs + 3600).contains(other)).count();
            assert!(in_hour <= 12, "{in_hour} in an hour");
        }
        let told: BTreeSet<_> =
            sent.iter().map(|(_, rule)| rule.clone()).filter(|rule| rule != "digest").collect();
        let in_digest: BTreeSet<_> =
            digests.iter().flat_map(|digest| &digest.lines).map(|line| line.rule.clone()).collect();
        assert_eq!(told.len(), 11);
        assert_eq!(told.len() + in_digest.len(), 500, "each rule is in a message or in the digest");
        assert_eq!(digests.iter().map(|digest| digest.firing).sum::<usize>(), 489 * 20);
    }
}
