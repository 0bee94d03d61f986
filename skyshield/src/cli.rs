//! The operator's commands. All but `run`, `check`, `detach` and a dead daemon's `status` and `bypass` go over the admin API.

mod alerts;
mod allow;
mod bypass;
mod client;
mod commands;
mod doctor;
mod knowledge;
mod lists;
mod manual;
mod network;
mod people;
mod replay;
mod rules;
mod show;
mod top;
mod trial;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use words::{Allowed, Apply, Decisions, Exceptions, Import, Incidents, Limit, Lists, NewException};

use crate::engine::ruling::Subject;
use crate::engine::source::Source;
use crate::forward_auth::Format;

/// Guards a Linux web host from the wire to the request.
#[derive(Debug, Parser)]
#[command(name = "skyshield", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration [default: /etc/skyshield/skyshield.toml, where it exists]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// The daemon's admin socket [default: the one in the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Guard this host until told to stop
    Run(Run),
    /// Read the configuration, say what is wrong with it, change nothing
    Check(Overrides),
    /// Have the daemon read its configuration again; what is wrong in it changes nothing
    Reload,
    /// Put a configuration on trial: it is rolled back unless confirmed over a new connection
    Apply(Apply),
    /// Keep the configuration that is on trial; from a connection younger than the trial
    Confirm {
        /// Go back to the one before it instead, at once
        #[arg(long)]
        roll_back: bool,
    },
    /// Look for what keeps this host from being guarded well, and say how to mend it
    Doctor,
    /// Have the daemon hand over to its program as it is on the disk now, with no request refused
    Upgrade,
    /// Say how the daemon and the kernel are; also with the daemon dead
    Status,
    /// Say what the kernel side has seen: packets by reason, what rules and places have met, who sends most
    Kernel,
    /// Have everything pass in the kernel for a while, and be counted; also with the daemon dead
    #[command(subcommand)]
    Bypass(bypass::Bypass),
    /// Ban an address or a prefix in the kernel; a network, a country or a user at the doors
    Ban(Ban),
    /// Let somebody send so many requests a minute, and no more
    Limit(Limit),
    /// Take a ban, a limit or an allowance back
    Lift {
        /// Whom it is about, or the decision's number with a #: `203.0.113.7`, `asn:64500`, `#12`
        target: String,
        /// Only one of this kind: ban, limit, allow
        #[arg(long)]
        kind: Option<String>,
    },
    /// Let an address, a prefix or a DNS name through, whatever it does; bans of it end at once
    #[command(subcommand)]
    Allow(AllowCommand),
    /// Say what is logged, or have more or less logged until the configuration is read again
    LogLevel {
        /// From here on: `debug`, or by room: `info,gateway=debug`
        level: Option<String>,
    },
    /// List alerts, or see whether anybody would hear of one
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// List what is in force; bring in and write out lists of it
    Decisions(Decisions),
    /// List what was refused, newest first, or show one incident whole
    Incidents(Incidents),
    /// Say what a score is made of, what would have passed, and what an exception for it would let in
    Explain {
        /// The incident's id, the number on another answer of the last hour, or an address
        what: String,
    },
    /// Make, list and remove exceptions: what is let through although a rule speaks against it
    #[command(subcommand)]
    Exceptions(Exceptions),
    /// Make, list and revoke the tokens that operators come in with by the network
    #[command(subcommand)]
    Tokens(Tokens),
    /// Say who changed what, when and why, newest first
    Audit(Audit),
    /// List and fetch the block lists of others
    #[command(subcommand)]
    Feeds(knowledge::FeedsCommand),
    /// Say what others say of a source, and how the providers are
    #[command(subcommand)]
    Reputation(knowledge::ReputationCommand),
    /// List what attacks have had in common, by kind and value; also as STIX
    Threats(knowledge::Threats),
    /// Say what is going on, again and again
    Top(top::Top),
    /// Write a whole list to standard output, for analysis
    Export(Export),
    /// Let people log in, list them, make their one-time codes
    #[command(subcommand)]
    Operators(people::Operators),
    /// Erase an address or a person; say what is kept of whom
    #[command(subcommand)]
    Privacy(people::Privacy),
    /// Write what a shell needs to complete commands
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual: the first page to standard output, or all pages into a folder
    Man {
        /// The folder
        folder: Option<PathBuf>,
    },
    /// Put known attacks and honest requests through the configuration in force; nobody notices
    Rehearse {
        /// Go by the configuration's file, and leave a running daemon alone
        #[arg(long)]
        offline: bool,
    },
    /// Say what would have become of recorded requests: refused, limited, banned, and why; no daemon is needed
    Replay(Replay),
    /// List, explain and test the rules of inspection
    #[command(subcommand)]
    Rules(Rules),
    /// Take the program and all that is in force out of the kernel; the daemon must be stopped
    Detach,
}

#[derive(Debug, Args)]
struct Export {
    /// What: incidents, decisions, exceptions, audit; or a list's path below /api/v1
    what: String,
    /// In what form: csv, ndjson, json
    #[arg(long, default_value = "ndjson")]
    format: String,
    /// A filter of the list's, such as `act=ban` or `since=2026-11-28T00:00:00Z`; may be given more than once
    #[arg(long = "where", value_name = "NAME=VALUE")]
    filters: Vec<String>,
}

#[derive(Debug, Args)]
struct Audit {
    /// How many at the most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(subcommand)]
    command: Option<AuditCommand>,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Look through the whole log: was a line changed, removed or inserted?
    Verify,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    overrides: Overrides,
    /// Do without the kernel side: ban at the doors only
    #[arg(long)]
    no_kernel: bool,
    /// Take everything over from the daemon that has started this one
    #[arg(long, hide = true)]
    successor: bool,
}

/// What may be said on the command line instead of in the configuration.
#[derive(Debug, Default, Args)]
struct Overrides {
    /// An interface to guard; may be given more than once
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
    /// An address to listen on; may be given more than once
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Where honest requests go
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,
}

#[derive(Debug, Args)]
struct Replay {
    /// Access logs (combined, or lines of JSON), HAR, pcap, or lines of JSON with whole requests; plain or
    /// packed (.gz): {"id", "label": "attack" or "legit", "category", "raw": base64}
    #[arg(required_unless_present = "against")]
    files: Vec<PathBuf>,
    /// Instead of files: what happened within this long, 24h, before the configuration that --config names
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["files", "split"])]
    against: Option<String>,
    /// Count the attacks in two halves by families too, and the one half by the rules that the other needs
    #[arg(long)]
    split: bool,
    /// The files are access logs in this format, counted by status: json, combined, traefik, envoy, haproxy.
    /// A log has no headers and no bodies
    #[arg(long, value_name = "FORMAT", conflicts_with = "split", value_parser = replay::format)]
    log: Option<Format>,
    /// Leave bodies out, as proxies do that send none with their questions
    #[arg(long)]
    without_bodies: bool,
}

#[derive(Debug, Args)]
struct Ban {
    /// Whom: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/48`, `asn:64500`, `country:NL`, `user:alice`
    source: Subject,
    /// For how long: 30m, 4h, 7d, forever
    #[arg(long, default_value = "4h")]
    ttl: String,
    /// Why, for those who read it later
    #[arg(long)]
    reason: Option<String>,
    /// What is to be noted beside it
    #[arg(long)]
    comment: Option<String>,
    /// Ban even a prefix that is a share of the whole internet
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    /// List what fires
    List {
        /// What has ended, too
        #[arg(long)]
        all: bool,
        /// How many at the most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Send a test to everyone who is told of alerts
    Test,
}

#[derive(Debug, Subcommand)]
enum AllowCommand {
    /// Let a source through
    Add {
        /// Whom: `203.0.113.7`, `2001:db8::/48`, `home.example.org`, `asn:64500`, `country:NL`, `user:alice`
        whom: Allowed,
        /// For how long: 30m, 4h, 7d, forever
        #[arg(long, default_value = "forever")]
        ttl: String,
        /// Why, for those who read it later
        #[arg(long)]
        comment: Option<String>,
        /// Let through even a prefix that is a share of the whole internet
        #[arg(long)]
        force: bool,
    },
    /// List the entries
    List,
    /// Take an entry back
    Remove {
        /// Whom it is for, or its number with a #: `home.example.org`, `#3`
        target: String,
    },
    /// Say whether an address or a prefix is protected from bans, and why
    Check {
        /// The address or the prefix
        source: Source,
    },
}

#[derive(Debug, Subcommand)]
enum Rules {
    /// List the rules
    List,
    /// Say what a rule looks for, with an example
    Explain {
        /// The rule's id: `sqli.union-select`
        rule: String,
    },
    /// Say what the rules find in each line of a file, each taken as the value of a parameter
    Test {
        /// The file; - is standard input
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Tokens {
    /// Make a token; it is shown this once
    Add {
        /// Who or what will use it
        name: String,
        /// For how long: 30d, forever
        #[arg(long, default_value = "forever")]
        ttl: String,
        /// What it is trusted with: viewer, operator, admin
        #[arg(long, default_value = "viewer")]
        role: String,
        /// What of that it may do, such as `events:read`; may be given more than once [default: all of it]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// An address or a prefix it is good from; may be given more than once [default: everywhere]
        #[arg(long = "network", value_name = "NETWORK")]
        networks: Vec<Source>,
    },
    /// List the tokens
    List,
    /// Revoke a token
    Revoke {
        /// The token's id: the first part after sky_
        id: String,
    },
}

/// How a command ended; the exit codes are part of the interface.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Refused, or not found.
    #[error("{0}")]
    Refused(String),
    /// The command's own answer has said so.
    #[error("no")]
    Told,
    /// The words of the command are off.
    #[error("{0}")]
    Usage(String),
    /// The daemon does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The same, and the command's own answer has said so.
    #[error("the daemon does not answer")]
    ToldUnreachable,
}

impl Failure {
    fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) | Self::ToldUnreachable => 3,
        })
    }
}

/// Carries out the command, says what came of it, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match commands::obey(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            show::failure(&failure, json);
            failure.code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }
}
