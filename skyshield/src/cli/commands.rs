//! What each command does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::client::{ask, ask_text, detail_of, encoded, stream};
use super::{
    Arguments, Audit, AuditCommand, Ban, Command, Decisions, Exceptions, Export, Failure, Incidents,
    NewException, Overrides, Replay, Run, Tokens,
};
use super::{
    alerts, allow, bypass, doctor, knowledge, lists, manual, people, replay, rules, show, top, trial,
};
use crate::app::{self, KernelSide, Start};
use crate::config::{self, Config};
use crate::dataplane::Pinned;
use crate::engine::ruling::Subject;
use crate::exceptions::Set;
use crate::rehearsal;
use crate::telemetry;
use crate::verdict::Settings;

/// Rows that one request asks for; more are fetched page by page.
const PAGE: usize = 1000;

pub(super) fn obey(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { config, json, socket, command } = arguments;
    let config = config.as_deref();
    let place = || match &socket {
        Some(socket) => Ok(socket.clone()),
        None => load(config, &Overrides::default()).map(|config| config.api.socket),
    };
    match command {
        Command::Run(run) => self::run(config, run),
        Command::Check(overrides) => check(config, &overrides, json),
        Command::Reload => {
            let answer = ask(&place()?, Method::POST, "/api/v1/reload", None)?;
            show::reloaded(&answer, json);
            Ok(())
        }
        Command::Apply(apply) => trial::apply(&place()?, &apply, json),
        Command::Confirm { roll_back } => trial::end(&place()?, roll_back, json),
        Command::Doctor => doctor::obey(config, &place()?, json),
        Command::Upgrade => {
            let answer = ask(&place()?, Method::POST, "/api/v1/upgrade", None)?;
            show::upgraded(&answer, json);
            Ok(())
        }
        Command::Status => status(config, &place()?, json),
        Command::Kernel => kernel(&place()?, json),
        Command::Bypass(command) => bypass::obey(config, &place()?, &command, json),
        Command::Detach => detach(config, json),
        Command::Ban(ban) => {
            let answer = ask(&place()?, Method::POST, "/api/v1/decisions", Some(&ban_body(&ban)))?;
            show::banned(&answer, json);
            Ok(())
        }
        Command::Limit(limit) => {
            let body = json!({
                "subject": limit.subject.to_string(), "kind": "limit", "ttl": limit.ttl,
                "requests_per_min": limit.requests_per_min, "reason": limit.reason, "comment": limit.comment,
            });
            show::banned(&ask(&place()?, Method::POST, "/api/v1/decisions", Some(&body))?, json);
            Ok(())
        }
        Command::LogLevel { level } => alerts::log_level(&place()?, level.as_deref(), json),
        Command::Alerts(command) => alerts::obey(&place()?, &command, json),
        Command::Allow(command) => allow::obey(&place()?, command, json),
        Command::Lift { target, kind } => {
            let answer = ask(&place()?, Method::DELETE, &lift_path(&target, kind.as_deref())?, None)?;
            show::lifted(&answer, json);
            Ok(())
        }
        Command::Decisions(Decisions { lists: Some(lists), .. }) => lists::obey(&place()?, lists, json),
        Command::Decisions(Decisions { lists: None, source, limit }) => {
            let filter = source.map(|source| format!("&source={}", encoded(&source.to_string())));
            let rows =
                pages(&place()?, "/api/v1/decisions", filter.as_deref().unwrap_or_default(), limit as usize)?;
            show::decisions(&rows, json);
            Ok(())
        }
        Command::Incidents(Incidents { id: Some(id), .. }) => {
            let answer = ask(&place()?, Method::GET, &format!("/api/v1/incidents/{}", encoded(&id)), None)?;
            show::incident(&answer, json);
            Ok(())
        }
        Command::Incidents(incidents) => {
            let limit = incidents.limit as usize;
            let rows = pages(&place()?, "/api/v1/incidents", &incidents.filter(), limit)?;
            show::incidents(&rows, json);
            Ok(())
        }
        Command::Explain { what } => {
            let answer = ask(&place()?, Method::GET, &format!("/api/v1/explain/{}", encoded(&what)), None)?;
            show::explained(&answer, json);
            Ok(())
        }
        Command::Feeds(command) => knowledge::feeds(&place()?, command, json),
        Command::Reputation(command) => knowledge::reputation(&place()?, &command, json),
        Command::Threats(threats) => knowledge::threats(&place()?, &threats, json),
        Command::Exceptions(exceptions) => self::exceptions(&place()?, exceptions, json),
        Command::Rehearse { offline } => rehearse(config, if offline { None } else { Some(place()?) }, json),
        Command::Replay(Replay { against: Some(span), .. }) => {
            let path = format!("/api/v1/history?within={}", encoded(&span));
            let kept = ask(&place()?, Method::GET, &path, None)?;
            replay::against(&load(config, &Overrides::default())?, kept, json)
        }
        Command::Replay(replay) => {
            let exceptions = replay::exceptions(&place()?)?;
            replay::obey(&load(config, &Overrides::default())?, exceptions, &replay, json)
        }
        Command::Rules(rules) => rules::obey(&load(config, &Overrides::default())?, &rules, json),
        Command::Tokens(tokens) => self::tokens(&place()?, tokens, json),
        Command::Audit(audit) => self::audit(&place()?, &audit, json),
        Command::Top(top) => top::obey(&place()?, &top, json),
        Command::Export(export) => self::export(&place()?, &export),
        Command::Operators(command) => people::operators(&place()?, command, json),
        Command::Privacy(command) => people::privacy(&place()?, command, json),
        Command::Completions { shell } => {
            manual::completions(shell);
            Ok(())
        }
        Command::Man { folder } => manual::pages(folder.as_deref()),
    }
}

pub(super) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Failure> {
    let mut config = config::load(path).map_err(|error| Failure::Usage(with_causes(&error)))?;
    if let [first, others @ ..] = overrides.interface.as_slice() {
        config.dataplane.interface = Some(first.clone());
        config.dataplane.interfaces = others.to_vec();
    }
    if !overrides.listen.is_empty() {
        config.gateway.listen.clone_from(&overrides.listen);
    }
    if let Some(upstream) = &overrides.upstream {
        config.gateway.upstream =
            upstream.parse().map_err(|error| Failure::Usage(format!("--upstream: {error}")))?;
    }
    match config.problem() {
        Some((key, what)) => Err(Failure::Usage(format!("{key}: {what}"))),
        None => Ok(config),
    }
}

fn run(path: Option<&Path>, run: Run) -> Result<(), Failure> {
    let config = load(path, &run.overrides)?;
    let failed = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
    // Before any other thread: each of them reports to what was there when it began.
    let sentry = telemetry::init_sentry(&config.sentry);
    let logs = telemetry::init_logs(&config.log).map_err(|error| failed(error.into()))?;
    let path = path.map(Path::to_owned);
    let place = path.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_PATH));
    let again = move |file: Option<&Path>| {
        load(file.or(path.as_deref()), &run.overrides).map_err(|failure| failure.to_string())
    };
    let kernel_side = if run.no_kernel { KernelSide::Off } else { KernelSide::On };
    let runtime = app::runtime().map_err(|error| failed(error.into()))?;
    let is_successor = run.successor;
    let (logs, sentry) = (&logs, &sentry);
    let load: app::Load = Arc::new(again);
    let start = Start { config, kernel_side, load, place, logs, sentry, is_successor };
    let outcome = runtime.block_on(app::run(start));
    // What is left is a look-up or two that nobody waits for.
    runtime.shutdown_background();
    outcome.map_err(failed)
}

fn check(path: Option<&Path>, overrides: &Overrides, json: bool) -> Result<(), Failure> {
    let config = load(path, overrides)?;
    let problems = config.file_problems();
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\n")));
    }
    show::checked(&config, path, json);
    Ok(())
}

fn status(path: Option<&Path>, socket: &Path, json: bool) -> Result<(), Failure> {
    let health = ask(socket, Method::GET, "/api/v1/monitoring/health/", None);
    let pin_dir = load(path, &Overrides::default())?.dataplane.pin_dir;
    let remains = match Pinned::open(&pin_dir) {
        Ok(Some(pinned)) => Some(pinned.remains().map_err(|error| Failure::Refused(with_causes(&error)))?),
        Ok(None) => None,
        Err(error) => return Err(Failure::Refused(with_causes(&error))),
    };
    show::status(&health, remains.as_ref(), json);
    match health {
        Ok(_) => Ok(()),
        Err(Failure::Unreachable(_)) => Err(Failure::ToldUnreachable),
        Err(failure) => Err(failure),
    }
}

fn kernel(socket: &Path, json: bool) -> Result<(), Failure> {
    show::kernel(&ask(socket, Method::GET, "/api/v1/kernel", None)?, json);
    Ok(())
}

fn detach(path: Option<&Path>, json: bool) -> Result<(), Failure> {
    let pin_dir = load(path, &Overrides::default())?.dataplane.pin_dir;
    let refused = |error: crate::dataplane::OpenError| Failure::Refused(with_causes(&error));
    let detached = match Pinned::open(&pin_dir).map_err(refused)? {
        Some(pinned) => pinned.detach().map_err(refused)?,
        None => return Err(Failure::Refused(format!("nothing of SkyShield's is in {}", pin_dir.display()))),
    };
    show::detached(&detached, json);
    Ok(())
}

fn ban_body(ban: &Ban) -> Value {
    json!({
        "subject": ban.source.to_string(), "ttl": ban.ttl, "reason": ban.reason, "comment": ban.comment,
        "force": ban.force,
    })
}

fn lift_path(target: &str, kind: Option<&str>) -> Result<String, Failure> {
    if let Some(id) = target.strip_prefix('#') {
        return Ok(format!("/api/v1/decisions/{}", encoded(id)));
    }
    let subject: Subject = target.parse().map_err(|error| Failure::Usage(format!("{error}, or #NUMBER")))?;
    let kind = kind.map(|kind| format!("&kind={}", encoded(kind))).unwrap_or_default();
    Ok(format!("/api/v1/decisions?subject={}{kind}", encoded(&subject.to_string())))
}

/// By the daemon, whose configuration is the live one; by the file's where none answers.
fn rehearse(path: Option<&Path>, socket: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let asked = socket.map(|socket| {
        ask_text(&socket, Method::POST, "/api/v1/rehearsals", ("application/json", "{}".to_owned()))
    });
    let outcome = match asked {
        Some(Ok((true, answer))) => serde_json::from_slice(&answer).unwrap_or_default(),
        Some(Ok((false, answer))) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            return Err(Failure::Refused(detail_of(&answer).to_owned()));
        }
        Some(Err(_)) | None => {
            let config = load(path, &Overrides::default())?;
            let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
            json!(rehearsal::rehearse(&settings, &Set::default(), &config.inspect))
        }
    };
    show::rehearsed(&outcome, json);
    Ok(())
}

fn exceptions(socket: &Path, exceptions: Exceptions, json: bool) -> Result<(), Failure> {
    const PATH: &str = "/api/v1/exceptions";
    match exceptions {
        Exceptions::Add(new) => {
            let NewException { rules, place, host, route, source, ttl, comment } = new;
            let body = json!({
                "rules": rules, "place": place, "host": host, "route": route, "source": source,
                "ttl": ttl, "comment": comment,
            });
            show::exception_made(&ask(socket, Method::POST, PATH, Some(&body))?, json);
        }
        Exceptions::List => {
            let mut all = ask(socket, Method::GET, PATH, None)?;
            show::exceptions(
                &serde_json::from_value::<Vec<Value>>(all["items"].take()).unwrap_or_default(),
                json,
            );
        }
        Exceptions::Remove { id } => {
            let path = format!("{PATH}/{}", encoded(&id));
            show::exception_removed(&ask(socket, Method::DELETE, &path, None)?, json);
        }
    }
    Ok(())
}

fn tokens(socket: &Path, tokens: Tokens, json: bool) -> Result<(), Failure> {
    match tokens {
        Tokens::Add { name, ttl, role, scopes, networks } => {
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let body =
                json!({ "name": name, "ttl": ttl, "role": role, "scopes": scopes, "networks": networks });
            show::token_made(&ask(socket, Method::POST, "/api/v1/tokens", Some(&body))?, json);
        }
        Tokens::List => show::tokens(&pages(socket, "/api/v1/tokens", "", usize::MAX)?, json),
        Tokens::Revoke { id } => {
            let path = format!("/api/v1/tokens/{}", encoded(&id));
            show::token_revoked(&ask(socket, Method::DELETE, &path, None)?, json);
        }
    }
    Ok(())
}

fn export(socket: &Path, export: &Export) -> Result<(), Failure> {
    let filters = export.filters.iter().map(|filter| {
        let (name, value) =
            filter.split_once('=').ok_or_else(|| Failure::Usage(format!("--where {filter}: NAME=VALUE")))?;
        Ok(format!("&{}={}", encoded(name), encoded(value)))
    });
    let filters: String = filters.collect::<Result<_, Failure>>()?;
    let what = export.what.split('/').map(encoded).collect::<Vec<_>>().join("/");
    stream(socket, &format!("/api/v1/{what}?format={}{filters}", encoded(&export.format)))
}

fn audit(socket: &Path, audit: &Audit, json: bool) -> Result<(), Failure> {
    match audit.command {
        None => show::audit(&pages(socket, "/api/v1/audit", "", audit.limit as usize)?, json),
        Some(AuditCommand::Verify) => {
            let answer = ask(socket, Method::GET, "/api/v1/audit/verify", None)?;
            show::audited(&answer, json);
            if answer["whole"] != true {
                return Err(Failure::Told);
            }
        }
    }
    Ok(())
}

/// Up to `limit` items of a list, page by page.
pub(super) fn pages(socket: &Path, path: &str, filter: &str, limit: usize) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    while rows.len() < limit {
        let page = format!("{path}?limit={}{filter}{cursor}", PAGE.min(limit - rows.len()));
        let mut answer = ask(socket, Method::GET, &page, None)?;
        if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
            rows.extend(items);
        }
        match answer.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={}", encoded(next)),
            None => break,
        }
    }
    Ok(rows)
}

/// An error with what lies behind it, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(behind) = cause {
        told.push_str(": ");
        told.push_str(&behind.to_string());
        cause = behind.source();
    }
    told
}
