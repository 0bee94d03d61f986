//! A message as people read it: a subject, text, HTML; and as programs do.

use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::Severity;
use super::judge::Alert;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Something began.
    Firing,
    /// It goes on.
    Repeated,
    /// All of it has ended.
    Resolved,
    /// What was not told at once.
    Digest,
    /// Somebody wants to see whether messages arrive.
    Test,
}

/// One alert in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The rule.
    pub rule: String,
    /// Of which of several.
    pub which: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it says.
    pub summary: String,
    /// The value that was seen last.
    pub value: Option<f64>,
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about.
    pub what: What,
    /// The rule.
    pub rule: String,
    /// How bad the worst is.
    pub severity: Severity,
    /// Its alerts.
    pub lines: Vec<Line>,
    /// How many fire.
    pub firing: usize,
    /// How many have ended.
    pub ended: usize,
    /// How many are not among the lines.
    pub more: usize,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Line {
    pub(super) fn of(alert: &Alert) -> Self {
        Self {
            rule: alert.rule.clone(),
            which: alert.which.clone(),
            severity: alert.severity,
            summary: alert.summary.clone(),
            value: Some(alert.value),
            since_ms: alert.started_at_ms,
            ended_ms: alert.resolved_at_ms,
        }
    }
}

const TEXT: &str = "{{ subject }}\n\n{% for line in lines %}* {{ line.state }} {{ line.summary }}\
{% if line.which %} ({{ line.which }}){% endif %}{% if line.value %}: {{ line.value }}{% endif %}\n\
  rule {{ line.rule }}, {{ line.severity }}, since {{ line.since }}{% if line.ended %}, until {{ line.ended }}{% endif %}\n\
{% endfor %}{% if more %}\nand {{ more }} more\n{% endif %}\n-- \nSkyShield on {{ host }}\n";

const HTML: &str = "<!doctype html><html><body style=\"font-family:sans-serif\"><h2>{{ subject }}</h2><table cellpadding=\"4\">\
{% for line in lines %}<tr><td><b>{{ line.state }}</b></td><td>{{ line.summary }}{% if line.which %} ({{ line.which }}){% endif %}</td>\
<td>{{ line.value }}</td><td>{{ line.rule }}</td><td>{{ line.severity }}</td><td>{{ line.since }}</td><td>{{ line.ended }}</td></tr>\
{% endfor %}</table>{% if more %}<p>and {{ more }} more</p>{% endif %}<p>SkyShield on {{ host }}</p></body></html>\n";

impl Notice {
    /// One that only shows that messages arrive.
    pub fn test(at_ms: i64) -> Self {
        let line = Line {
            rule: "test".to_owned(),
            which: String::new(),
            severity: Severity::Info,
            summary: "this is a test; nothing is wrong".to_owned(),
            value: None,
            since_ms: at_ms,
            ended_ms: None,
        };
        let (what, rule, severity) = (What::Test, "test".to_owned(), Severity::Info);
        Self { what, rule, severity, lines: vec![line], firing: 0, ended: 0, more: 0, at_ms }
    }

    /// The subject.
    pub fn subject(&self) -> String {
        let summary = self.lines.first().map_or("", |line| line.summary.as_str());
        let severity = self.severity.name();
        let counts = match (self.firing, self.ended) {
            (firing, 0) => format!("{firing} firing"),
            (firing, ended) => format!("{firing} firing, {ended} ended"),
        };
        match self.what {
            What::Firing => format!("[{severity}] {}: {summary} ({counts})", self.rule),
            What::Repeated => format!("[{severity}, still] {}: {summary} ({counts})", self.rule),
            What::Resolved => format!("[resolved] {}: {summary}", self.rule),
            What::Digest => {
                format!("[digest] {} began, {} ended, of {} rules", self.firing, self.ended, self.lines.len())
            }
            What::Test => "[test] messages of this SkyShield arrive".to_owned(),
        }
    }

    /// As text and as HTML, both from templates; values are escaped in the latter.
    pub fn bodies(&self, host: &str) -> Result<(String, String), minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_fuel(Some(1_000_000));
        // The ending decides what is escaped.
        templates.add_template("mail.txt", TEXT)?;
        templates.add_template("mail.html", HTML)?;
        let lines: Vec<_> = self.lines.iter().map(|line| line.shown(self.what)).collect();
        let values = context! {
            subject => self.subject(),
            lines => minijinja::Value::from(minijinja::value::Serde(&lines)),
            more => self.more,
            host => host,
        };
        Ok((
            templates.get_template("mail.txt")?.render(&values)?,
            templates.get_template("mail.html")?.render(&values)?,
        ))
    }

    /// As JSON, whole.
    pub fn generic(&self, host: &str) -> Value {
        let lines: Vec<_> = self.lines.iter().map(|line| line.shown(self.what)).collect();
        json!({
            "version": 1,
            "kind": self.what,
            "host": host,
            "subject": self.subject(),
            "rule": self.rule,
            "severity": self.severity,
            "firing": self.firing,
            "ended": self.ended,
            "more": self.more,
            "alerts": lines,
        })
    }

    /// As Slack takes it.
    pub fn slack(&self, host: &str) -> Value {
        // What Slack reads as markup, in the only three characters that it asks to be escaped.
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut text = format!("*{}* on {}", escape(&self.subject()), escape(host));
        for line in self.lines.iter().take(20) {
            let which = if line.which.is_empty() { String::new() } else { format!(" ({})", line.which) };
            text.push_str("\n• ");
            text.push_str(&escape(&format!("{}{which}", line.summary)));
        }
        json!({ "text": text })
    }
}

impl Line {
    fn shown(&self, what: What) -> Value {
        let moment =
            |ms: i64| jiff::Timestamp::from_millisecond(ms).map(|at| format!("{at:.0}")).unwrap_or_default();
        let state = match (what, self.ended_ms) {
            (What::Test, _) => "test:",
            (What::Digest, _) => "held:",
            (_, Some(_)) => "ended:",
            (_, None) => "firing:",
        };
        json!({
            "state": state.trim_end_matches(':'),
            "rule": self.rule,
            "which": self.which,
            "severity": self.severity,
            "summary": self.summary,
            "value": self.value,
            "since": moment(self.since_ms),
            "ended": self.ended_ms.map(moment),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_wrote_is_text_in_every_form() {
        let mut notice = Notice::test(1_800_000_000_000);
        notice.what = What::Firing;
        notice.lines[0].which = "site=<script>alert(1)</script>".to_owned();
        let (text, html) = notice.bodies("web1").unwrap();
        assert!(text.contains("site=<script>") && text.contains("since 2027-01-15T08:00:00Z"), "{text}");
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
        let slack = notice.slack("web1").to_string();
        assert!(slack.contains("&lt;script&gt;") && !slack.contains("<script>"), "{slack}");
        assert_eq!(notice.generic("web1")["alerts"][0]["which"], "site=<script>alert(1)</script>");
    }
}
