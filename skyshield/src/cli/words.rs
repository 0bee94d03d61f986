//! The words of the commands about decisions and configurations.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
