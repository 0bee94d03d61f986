//! The `[alerts]` section: what is told, to whom, and how often at the most.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::defaults;

/// Rules of one's own.
const MAX_RULES: usize = 1000;

/// What is told, to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of rules, built in or own, that are not judged.
    pub disable: Vec<String>,
    /// Rules beside the ones that are built in; one of the same name takes its place.
    pub rules: Vec<RuleConfig>,
    /// How long a first alert of a group waits for others, in seconds.
    pub group_wait_secs: u64,
    /// How long news of a group wait for others after that, in seconds.
    pub group_interval_secs: u64,
    /// After how long what still fires is told again, in seconds.
    pub repeat_secs: u64,
    /// Messages to each receiver in an hour, at the most; the rest is told of in a digest, one of them.
    pub max_per_hour: usize,
    /// When only what is critical is told at once.
    pub quiet: Option<Quiet>,
    /// Mail.
    pub email: Option<MailConfig>,
    /// Webhooks.
    pub webhooks: Vec<WebhookConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disable: Vec::new(),
            rules: Vec::new(),
            group_wait_secs: 30,
            group_interval_secs: 300,
            repeat_secs: 4 * 3600,
            max_per_hour: 12,
            quiet: None,
            email: None,
            webhooks: Vec::new(),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it today.
    #[default]
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one of this name; a warning where there is none.
    pub fn named(name: &str) -> Self {
        [Self::Info, Self::Critical].into_iter().find(|known| known.name() == name).unwrap_or_default()
    }
}

/// A rule: which reading, beyond what, for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name.
    pub name: String,
    /// The reading: one of `/api/v1/monitoring/metrics/`, or a series of the metrics page (a counter is read
    /// as its growth a second).
    pub metric: String,
    /// Labels that it must have.
    pub labels: BTreeMap<String, String>,
    /// It fires above this.
    pub above: Option<f64>,
    /// Or below this.
    pub below: Option<f64>,
    /// It ends beyond this on the other side: less than `above`, more than `below`. Default: the same.
    pub clear: Option<f64>,
    /// The reading is a moment in seconds since 1970, and what is judged is how long ago it was.
    pub age: bool,
    /// How long it must be so before it fires, in seconds.
    pub hold_secs: u64,
    /// How long it must be well before it ends, in seconds.
    pub clear_secs: u64,
    /// How bad it is.
    pub severity: Severity,
    /// What it says to people.
    pub summary: String,
}

/// Every day from a time to a time, in UTC: `22:00` to `07:00`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// When it begins.
    pub from: String,
    /// When it ends.
    pub to: String,
}

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By STARTTLS, or nothing is sent.
    #[default]
    Starttls,
    /// From the first byte.
    Wrapped,
    /// Not at all: mail and password cross the network in the clear.
    None,
}

/// The mail server, and whom mail goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server's host name.
    pub server: String,
    /// Its port.
    #[serde(default = "submission")]
    pub port: u16,
    /// How the connection is secured.
    #[serde(default)]
    pub tls: Tls,
    /// Certificates (PEM) to trust beside those that everyone does.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who logs in.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Whom mail is from.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<String>,
}

const fn submission() -> u16 {
    587
}

/// How a webhook is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Everything as JSON.
    #[default]
    Generic,
    /// What Slack, Mattermost and Rocket.Chat take.
    Slack,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its name: a label of metrics.
    pub name: String,
    /// The file with its address: who knows that may write there.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Or the address itself.
    #[serde(default)]
    pub url: Option<String>,
    /// How it is spoken to.
    #[serde(default)]
    pub format: WebhookFormat,
    /// The file with the secret that messages are signed with.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

impl Config {
    /// Every rule that is judged: the own ones, and the built-in ones that none of them replaces.
    pub fn all_rules(&self) -> Vec<RuleConfig> {
        let built_in = defaults::rules().into_iter();
        let built_in = built_in.filter(|rule| self.rules.iter().all(|own| own.name != rule.name));
        let all = built_in.chain(self.rules.iter().cloned());
        all.filter(|rule| !self.disable.contains(&rule.name)).collect()
    }
}

/// What is wrong with `config`, if anything: the key and how to mend it.
pub fn problem(config: &Config) -> Option<(&'static str, String)> {
    if config.rules.len() > MAX_RULES {
        return Some(("alerts.rules", format!("{} rules; {MAX_RULES} are the most", config.rules.len())));
    }
    if let Some(what) = config.rules.iter().find_map(RuleConfig::problem) {
        return Some(("alerts.rules", what));
    }
    let known = |name: &String| {
        config.rules.iter().any(|rule| rule.name == *name)
            || defaults::rules().iter().any(|rule| rule.name == *name)
    };
    if let Some(stray) = config.disable.iter().find(|name| !known(name)) {
        return Some(("alerts.disable", format!("there is no rule `{}`", stray.escape_debug())));
    }
    if config.max_per_hour < 2 {
        return Some(("alerts.max_per_hour", "2 are the fewest: one message and the digest".to_owned()));
    }
    if let Some(quiet) = &config.quiet
        && quiet.minutes().is_none()
    {
        return Some(("alerts.quiet", "`from` and `to` are times of the day such as 22:00".to_owned()));
    }
    if let Some(mail) = &config.email {
        if mail.to.is_empty() || mail.to.len() > 50 {
            return Some(("alerts.email", "`to` names 1 to 50 addresses".to_owned()));
        }
        let stray = mail
            .to
            .iter()
            .chain([&mail.from])
            .find(|address| address.parse::<lettre::message::Mailbox>().is_err());
        if let Some(stray) = stray {
            return Some(("alerts.email", format!("`{}` is no mail address", stray.escape_debug())));
        }
        if mail.user.is_some() != mail.password_file.is_some() {
            return Some(("alerts.email", "`user` and `password_file` go together".to_owned()));
        }
    }
    config.webhooks.iter().enumerate().find_map(|(at, webhook)| {
        let is_again = config.webhooks.iter().take(at).any(|other| other.name == webhook.name);
        let what = match webhook {
            _ if is_again || webhook.name.is_empty() || webhook.name == "email" => {
                "each webhook needs a name of its own, and none is `email`".to_owned()
            }
            _ if config.webhooks.len() > 8 => "8 webhooks are the most".to_owned(),
            WebhookConfig { url: Some(_), url_file: Some(_), .. }
            | WebhookConfig { url: None, url_file: None, .. } => {
                format!("`{}` needs either `url` or `url_file`", webhook.name)
            }
            _ => return None,
        };
        Some(("alerts.webhooks", what))
    })
}

impl RuleConfig {
    fn problem(&self) -> Option<String> {
        let name = self.name.escape_debug();
        if self.name.is_empty() || self.name.len() > 64 || self.metric.is_empty() {
            return Some(format!("`{name}`: a rule needs a `name` of up to 64 bytes and a `metric`"));
        }
        let clears = match (self.above, self.below) {
            (Some(above), None) => self.clear.is_none_or(|clear| clear <= above),
            (None, Some(below)) => self.clear.is_none_or(|clear| clear >= below),
            _ => return Some(format!("`{name}` needs either `above` or `below`")),
        };
        (!clears).then(|| format!("`{name}`: `clear` lies on the wrong side, and the alert would never end"))
    }
}

impl Quiet {
    /// Both times in minutes of the day.
    pub(super) fn minutes(&self) -> Option<(u32, u32)> {
        let minutes = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        Some((minutes(&self.from)?, minutes(&self.to)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        problem(&toml::from_str(text).unwrap()).map(|(key, what)| format!("{key}: {what}"))
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("disable = [\"host_cpus\"]\n", "alerts.disable: there is no rule `host_cpus`"),
            ("[[rules]]\nname = \"x\"\nmetric = \"m\"\n", "alerts.rules: `x` needs either"),
            (
                "[[rules]]\nname = \"x\"\nmetric = \"m\"\nabove = 1\nclear = 2\n",
                "alerts.rules: `x`: `clear` lies on the wrong side",
            ),
            ("quiet = { from = \"22:00\", to = \"25:00\" }\n", "alerts.quiet: `from` and `to`"),
            (
                "[email]\nserver = \"s\"\nfrom = \"a@b.example\"\nto = [\"ops\"]\n",
                "alerts.email: `ops` is no mail address",
            ),
            ("[[webhooks]]\nname = \"w\"\n", "alerts.webhooks: `w` needs either `url` or `url_file`"),
        ] {
            let told = told(text).unwrap_or_default();
            assert!(told.starts_with(says), "{text}\n  told {told}\n  not  {says}");
        }
        assert_eq!(told(""), None);
    }

    #[test]
    fn an_own_rule_takes_the_place_of_one_that_is_built_in() {
        let config: Config = toml::from_str(
            "disable = [\"host_memory\"]\n[[rules]]\nname = \"host_cpu\"\nmetric = \"host_cpu_busy_ratio\"\nabove = 0.5\n",
        )
        .unwrap();
        let rules = config.all_rules();
        let cpu: Vec<_> = rules.iter().filter(|rule| rule.name == "host_cpu").collect();
        assert_eq!((cpu.len(), cpu[0].above), (1, Some(0.5)));
        assert!(rules.iter().all(|rule| rule.name != "host_memory"));
        assert_eq!(rules.len(), defaults::rules().len() - 1);
    }
}
