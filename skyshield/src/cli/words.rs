//! The words of the commands about decisions and configurations.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::client::encoded;
use crate::engine::allow::Whom;
use crate::engine::ruling::Subject;
use crate::engine::source::Source;
use crate::exchange::Format;

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The configuration to try; it takes the place of the one in force once it is confirmed
    pub(super) file: PathBuf,
    /// For how long it waits for its confirmation: 30s, 5m
    #[arg(long, default_value = "60s")]
    pub(super) confirm: String,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Decisions {
    #[command(subcommand)]
    pub(super) lists: Option<Lists>,
    /// Only those about exactly this source
    pub(super) source: Option<Source>,
    /// How many at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct Incidents {
    /// The incident's id, as on the refusal page; what follows is for the list
    pub(super) id: Option<String>,
    /// How many at the most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
    /// Only those of this address
    #[arg(long, conflicts_with = "id")]
    address: Option<String>,
    /// Only those in which this rule has found something
    #[arg(long, conflicts_with = "id")]
    rule: Option<String>,
    /// Only requests for this host
    #[arg(long, conflicts_with = "id")]
    host: Option<String>,
    /// Only those of which this became
    #[arg(long, conflicts_with = "id", value_parser = ["ban", "refuse", "flag", "observe"])]
    act: Option<String>,
    /// Only those that came through this door
    #[arg(long, conflicts_with = "id", value_parser = ["gateway", "forward_auth", "tap"])]
    door: Option<String>,
    /// Only those that this route took
    #[arg(long, conflicts_with = "id")]
    route: Option<String>,
    /// Only those of at least this score, 0 to 1
    #[arg(long, conflicts_with = "id")]
    min_score: Option<f64>,
    /// Only those since then: 2026-11-28T00:00:00Z
    #[arg(long, conflicts_with = "id", value_name = "TIME")]
    since: Option<String>,
    /// Only those before then
    #[arg(long, conflicts_with = "id", value_name = "TIME")]
    until: Option<String>,
}

impl Incidents {
    /// The rest of the query that asks for them.
    pub(super) fn filter(&self) -> String {
        let min_score = self.min_score.map(|score| score.to_string());
        let named = [
            ("address", &self.address),
            ("rule", &self.rule),
            ("host", &self.host),
            ("act", &self.act),
            ("door", &self.door),
            ("route", &self.route),
            ("min_score", &min_score),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let said = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        said.fold(String::new(), |query, (name, value)| format!("{query}&{name}={}", encoded(value)))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Lists {
    /// Bring in a list: all of it, or nothing where a line is wrong
    Import(Import),
    /// Write all that is in force as one text
    Export {
        /// json, csv, plain, fail2ban or cscli
        #[arg(long, default_value = "json")]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file; - is standard input
    pub(super) file: PathBuf,
    /// plain, csv, json, fail2ban or cscli [default: what it looks like]
    #[arg(long)]
    pub(super) format: Option<Format>,
    /// Only say what would come of it
    #[arg(long)]
    pub(super) dry_run: bool,
    /// For how long, where a line does not say: 30m, 4h, 7d, forever
    #[arg(long, default_value = "4h")]
    pub(super) ttl: String,
    /// Why, where a line does not say
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// End each up to a tenth of its time earlier, so that not all end together
    #[arg(long)]
    pub(super) jitter: bool,
    /// Ban even prefixes that are a share of the whole internet
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Limit {
    /// An address, a prefix, a network, a country or a user
    pub(super) subject: Subject,
    /// Requests a minute: of each source by itself, of a user all together
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) requests_per_min: u32,
    /// For how long: 30m, 4h, 7d, forever
    #[arg(long, default_value = "4h")]
    pub(super) ttl: String,
    /// Why, for those who read it later
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// What is to be noted beside it
    #[arg(long)]
    pub(super) comment: Option<String>,
}

/// Who is let through: on the allow list, or by a ruling at the doors.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    Listed(Whom),
    Ruled(Subject),
}

impl std::str::FromStr for Allowed {
    type Err = crate::engine::allow::NotWhom;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(subject @ (Subject::Asn(_) | Subject::Country(_) | Subject::User(_))) => {
                Ok(Self::Ruled(subject))
            }
            Ok(Subject::Source(_)) | Err(_) => text.parse().map(Self::Listed),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Exceptions {
    /// Make an exception; what is left out is all
    Add(NewException),
    /// List the exceptions in force
    List,
    /// Remove an exception
    Remove {
        /// The exception's id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewException {
    /// A rule that is not to count, `sqli.union-select` or `sqli.*`; may be given more than once
    #[arg(long = "rule", required = true, value_name = "RULE")]
    pub(super) rules: Vec<String>,
    /// Where in the request: path, query:NAME, header:NAME, body:NAME
    #[arg(long)]
    pub(super) place: Option<String>,
    /// The host asked for: a name, or `*.` and a name
    #[arg(long)]
    pub(super) host: Option<String>,
    /// A route's name, or a pattern of paths that begins with `/`
    #[arg(long)]
    pub(super) route: Option<String>,
    /// Whose requests: an address or a prefix
    #[arg(long)]
    pub(super) source: Option<Source>,
    /// For how long: 12h, 7d, forever
    #[arg(long, default_value = "7d")]
    pub(super) ttl: String,
    /// Why, for those who read it later
    #[arg(long)]
    pub(super) comment: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Said {
        #[command(flatten)]
        incidents: Incidents,
    }

    #[test]
    fn every_filter_is_asked_for_as_it_was_said() {
        let said = Said::parse_from([
            "incidents",
            "--address",
            "2001:db8::1",
            "--rule",
            "sqli.union-select",
            "--host",
            "a&b",
            "--act",
            "ban",
            "--door",
            "gateway",
            "--route",
            "wiki",
            "--min-score",
            "0.9",
            "--since",
            "2026-11-28T00:00:00Z",
            "--until",
            "2026-11-29T00:00:00Z",
        ]);
        assert_eq!(
            said.incidents.filter(),
            "&address=2001%3Adb8%3A%3A1&rule=sqli.union-select&host=a%26b&act=ban&door=gateway&route=wiki&min_score=0.9\
             &since=2026-11-28T00%3A00%3A00Z&until=2026-11-29T00%3A00%3A00Z"
        );
        assert_eq!(Said::parse_from(["incidents"]).incidents.filter(), "");
        assert!(Said::try_parse_from(["incidents", "01K", "--act", "ban"]).is_err(), "one has no filter");
        for unknown in ["--act", "--door"] {
            assert!(Said::try_parse_from(["incidents", unknown, "nonsense"]).is_err(), "{unknown}");
        }
    }
}
