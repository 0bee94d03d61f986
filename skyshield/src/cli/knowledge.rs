//! `skyshield feeds`, `reputation` and `threats`: what is known of sources beyond their requests.

use std::net::IpAddr;
use std::path::Path;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::client::{ask, encoded};
use super::{Failure, show};

#[derive(Debug, Subcommand)]
pub(super) enum FeedsCommand {
    /// List the block lists: what is in force, since when, and what is wrong
    List,
    /// Fetch a list now
    Refresh {
        /// The list's name
        name: String,
    },
    /// Fetch a list now, and take it up although half of it is gone
    Accept {
        /// The list's name
        name: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReputationCommand {
    /// Say what is known of a source: what others say, the lists it is on, where it is
    Show {
        /// The address
        address: IpAddr,
    },
    /// Say how the providers are, and what is left of their budgets
    Budget,
    /// Say how the databases of places are
    Places,
}

#[derive(Debug, Args)]
pub(super) struct Threats {
    /// Only of this kind: address, prefix, asn, `user_agent`, `header_order`, ja4, payload
    #[arg(long)]
    kind: Option<String>,
    /// Only at least this sure, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    min_confidence: f64,
    /// How many at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// As a STIX 2.1 bundle
    #[arg(long)]
    stix: bool,
}

fn items(answer: &Value) -> Vec<Value> {
    answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(super) fn feeds(socket: &Path, command: FeedsCommand, json: bool) -> Result<(), Failure> {
    let (name, accept, reason) = match command {
        FeedsCommand::List => {
            show::feeds(&items(&ask(socket, Method::GET, "/api/v1/feeds", None)?), json);
            return Ok(());
        }
        FeedsCommand::Refresh { name } => (name, false, None),
        FeedsCommand::Accept { name, reason } => (name, true, reason),
    };
    let path = format!("/api/v1/feeds/{}/refresh", encoded(&name));
    let body = json!({ "accept": accept, "reason": reason });
    show::refreshed(&ask(socket, Method::POST, &path, Some(&body))?, json);
    Ok(())
}

pub(super) fn reputation(socket: &Path, command: &ReputationCommand, json: bool) -> Result<(), Failure> {
    match command {
        ReputationCommand::Show { address } => {
            let path = format!("/api/v1/reputation/{}", encoded(&address.to_string()));
            show::known(&ask(socket, Method::GET, &path, None)?, json);
        }
        ReputationCommand::Budget => {
            show::providers(&ask(socket, Method::GET, "/api/v1/reputation", None)?, json);
        }
        ReputationCommand::Places => {
            show::places(&items(&ask(socket, Method::GET, "/api/v1/places", None)?), json);
        }
    }
    Ok(())
}

pub(super) fn threats(socket: &Path, threats: &Threats, json: bool) -> Result<(), Failure> {
    let Threats { kind, min_confidence, limit, stix } = threats;
    let kind = kind.as_ref().map(|kind| format!("&kind={}", encoded(kind))).unwrap_or_default();
    let format = if *stix { "&format=stix" } else { "" };
    let path =
        format!("/api/v1/security/threats?limit={limit}&min_confidence={min_confidence}{kind}{format}");
    let answer = ask(socket, Method::GET, &path, None)?;
    if *stix {
        show::bundle(&answer);
    } else {
        show::threats(&items(&answer), json);
    }
    Ok(())
}
