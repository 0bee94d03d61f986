//! `skyshield alerts` and `skyshield log-level`: what fires, whether anybody would hear of it, what is logged.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use super::client::ask;
use super::commands::pages;
use super::{AlertsCommand, Failure, show};

const PATH: &str = "/api/v1/monitoring/alerts";

const LEVEL: &str = "/api/v1/logs/level";

pub(super) fn log_level(socket: &Path, level: Option<&str>, json: bool) -> Result<(), Failure> {
    let answer = match level {
        Some(level) => ask(socket, Method::PUT, LEVEL, Some(&json!({ "level": level })))?,
        None => ask(socket, Method::GET, LEVEL, None)?,
    };
    show::log_level(&answer, json);
    Ok(())
}

pub(super) fn obey(socket: &Path, command: &AlertsCommand, json: bool) -> Result<(), Failure> {
    match command {
        AlertsCommand::List { all, limit } => {
            let filter = if *all { "" } else { "&state=firing" };
            show::alerts(&pages(socket, PATH, filter, *limit as usize)?, json);
            Ok(())
        }
        AlertsCommand::Test => {
            let answer = ask(socket, Method::POST, &format!("{PATH}/test"), None)?;
            let tried = answer.get("receivers").and_then(Value::as_array).cloned().unwrap_or_default();
            show::alerts_tested(&tried, json);
            if tried.is_empty() {
                let what = "there is nobody to tell; set alerts.email or alerts.webhooks";
                return Err(Failure::Refused(what.to_owned()));
            }
            let is_heard = tried.iter().all(|receiver| receiver["sent"] == true);
            if is_heard { Ok(()) } else { Err(Failure::Told) }
        }
    }
}
