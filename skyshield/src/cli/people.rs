//! `skyshield operators` and `skyshield privacy`: who may log in, and who is to be erased.

use std::io::Read as _;
use std::path::Path;

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::client::{ask, encoded};
use super::commands::pages;
use super::{Failure, show};

const OPERATORS: &str = "/api/v1/operators";
/// A password is no longer than this.
const MAX_PASSWORD: u64 = 4096;

#[derive(Debug, Subcommand)]
pub(super) enum Operators {
    /// Let somebody log in, or give them another password and role; the password is read from standard input
    Add {
        /// Their name: letters, digits, and .@_-
        name: String,
        /// What they are trusted with: viewer, operator, admin
        #[arg(long, default_value = "viewer")]
        role: String,
    },
    /// List the people who may log in
    List,
    /// Let somebody log in no more
    Remove {
        /// Their name
        name: String,
    },
    /// Make one-time codes for somebody, beside the password; their secret is shown this once
    Codes {
        /// Their name
        name: String,
        /// Take the codes back instead: the password is enough
        #[arg(long)]
        remove: bool,
    },
}

pub(super) fn operators(socket: &Path, command: Operators, json: bool) -> Result<(), Failure> {
    match command {
        Operators::Add { name, role } => {
            let mut password = String::new();
            let read = std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut password);
            read.map_err(|error| Failure::Usage(format!("the password on standard input: {error}")))?;
            let body =
                json!({ "name": name, "role": role, "password": password.trim_end_matches(['\r', '\n']) });
            show::operator_made(&ask(socket, Method::POST, OPERATORS, Some(&body))?, json);
        }
        Operators::List => show::operators(&pages(socket, OPERATORS, "", usize::MAX)?, json),
        Operators::Remove { name } => {
            let path = format!("{OPERATORS}/{}", encoded(&name));
            show::operator_removed(&ask(socket, Method::DELETE, &path, None)?, json);
        }
        Operators::Codes { name, remove } => {
            let path = format!("{OPERATORS}/{}/totp", encoded(&name));
            if remove {
                show::codes_removed(&ask(socket, Method::DELETE, &path, None)?, json);
            } else {
                show::codes_made(&ask(socket, Method::POST, &path, None)?, json);
            }
        }
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Privacy {
    /// Erase what names an address or a person, in store, logs and exports; says what was done
    Erase {
        /// An address, or another name by which requests or records say who somebody is
        whom: String,
        /// Why, for those who read it later; do not name whom
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say what is kept of people, why, how much and for how long: the record of processing
    Record,
}

pub(super) fn privacy(socket: &Path, command: Privacy, json: bool) -> Result<(), Failure> {
    match command {
        Privacy::Erase { whom, reason } => {
            let body = json!({ "whom": whom, "reason": reason });
            show::erased(&ask(socket, Method::POST, "/api/v1/privacy/erase", Some(&body))?, json);
        }
        Privacy::Record => show::record(&ask(socket, Method::GET, "/api/v1/privacy/record", None)?, json),
    }
    Ok(())
}
