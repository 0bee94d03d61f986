//! `skyshield bypass`: everything passes in the kernel for a while; also with the daemon dead.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::client::ask;
use super::commands::{load, with_causes};
use super::{Failure, Overrides, network, show};
use crate::dataplane::{LONGEST_BYPASS, OpenError, Pinned};
use crate::engine::ttl::{Ttl, ttl};

const PATH: &str = "/api/v1/kernel/bypass";

#[derive(Debug, Subcommand)]
pub(super) enum Bypass {
    /// Drop nothing in the kernel, and count it; it ends by itself, and with a restart
    On {
        /// For how long: 30s, 10m, 4h; 24h is the longest
        #[arg(long, default_value = "10m")]
        ttl: String,
        /// Why, for those who read it later in the audit log; with the daemon dead there is none
        #[arg(long)]
        reason: Option<String>,
    },
    /// Have bans, rules and rates hold again at once
    Off,
}

pub(super) fn obey(path: Option<&Path>, socket: &Path, command: &Bypass, json: bool) -> Result<(), Failure> {
    let (span, answer) = match command {
        Bypass::On { ttl, reason } => {
            let span = span(ttl)?;
            let body = json!({ "ttl": ttl, "reason": reason });
            (Some(span), ask(socket, Method::PUT, PATH, Some(&body)))
        }
        Bypass::Off => (None, ask(socket, Method::DELETE, PATH, None)),
    };
    let now = match answer {
        // What a dead daemon has left on this host: of another host's nothing can be reached.
        Err(Failure::Unreachable(what)) if network::Place::named()?.is_none() => {
            without_daemon(path, span, what)?
        }
        answer => answer?,
    };
    show::bypass(&now, json);
    Ok(())
}

fn span(text: &str) -> Result<Duration, Failure> {
    match ttl(text) {
        Ok(Ttl::For(span)) if span <= LONGEST_BYPASS => Ok(span),
        Ok(_) => Err(Failure::Usage("--ttl: 24h is the longest".to_owned())),
        Err(what) => Err(Failure::Usage(format!("--ttl: {what}"))),
    }
}

/// Writes it where the program reads it; `unreachable` says why the daemon was not asked.
fn without_daemon(
    path: Option<&Path>,
    span: Option<Duration>,
    unreachable: String,
) -> Result<Value, Failure> {
    let pin_dir = load(path, &Overrides::default())?.dataplane.pin_dir;
    let nor = |error: OpenError| {
        Failure::Unreachable(format!(
            "{unreachable} Nor can it be written into the kernel: {}",
            with_causes(&error)
        ))
    };
    let Some(pinned) = Pinned::open(&pin_dir).map_err(nor)? else {
        return Err(Failure::Unreachable(unreachable));
    };
    pinned.bypass(span).map_err(nor)?;
    let seconds_left = span.unwrap_or_default().as_secs();
    Ok(json!({ "bypassed": span.is_some(), "seconds_left": seconds_left, "audited": false }))
}
