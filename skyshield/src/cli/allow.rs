//! `skyshield allow`: whom no decision may cut off.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use super::client::{ask, encoded};
use super::{AllowCommand, Allowed, Failure, show};
use crate::engine::allow::Whom;
use crate::engine::source::Source;

const PATH: &str = "/api/v1/allowlist";

pub(super) fn obey(socket: &Path, command: AllowCommand, json: bool) -> Result<(), Failure> {
    match command {
        AllowCommand::Add { whom, ttl, comment, force } => {
            let whom = match whom {
                Allowed::Listed(whom) => whom.to_string(),
                Allowed::Ruled(subject) => {
                    let subject = subject.to_string();
                    let body = json!({ "subject": subject, "kind": "allow", "ttl": ttl, "comment": comment });
                    show::banned(&ask(socket, Method::POST, "/api/v1/decisions", Some(&body))?, json);
                    return Ok(());
                }
            };
            let body = json!({ "whom": whom, "ttl": ttl, "comment": comment, "force": force });
            show::allowed(&ask(socket, Method::POST, PATH, Some(&body))?, json);
        }
        AllowCommand::List => show::allows(&items(&ask(socket, Method::GET, PATH, None)?, "items"), json),
        AllowCommand::Remove { target } => {
            show::disallowed(&ask(socket, Method::DELETE, &path_of(&target)?, None)?, json);
        }
        AllowCommand::Check { source } => {
            let answer = ask(socket, Method::GET, PATH, None)?;
            let why: Vec<_> =
                items(&answer, "protected").into_iter().filter(|row| covers(row, source)).collect();
            show::protected(source, &why, json);
            if why.is_empty() {
                return Err(Failure::Told);
            }
        }
    }
    Ok(())
}

fn items(answer: &Value, of: &str) -> Vec<Value> {
    answer.get(of).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn covers(row: &Value, source: Source) -> bool {
    let protected = row.get("source").and_then(Value::as_str).and_then(|text| text.parse::<Source>().ok());
    protected.is_some_and(|protected| protected.covers(source))
}

fn path_of(target: &str) -> Result<String, Failure> {
    if let Some(id) = target.strip_prefix('#') {
        return Ok(format!("{PATH}/{}", encoded(id)));
    }
    let whom: Whom = target.parse().map_err(|error| Failure::Usage(format!("{error}, or #NUMBER")))?;
    Ok(format!("{PATH}?whom={}", encoded(&whom.to_string())))
}
