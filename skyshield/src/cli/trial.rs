//! `skyshield apply` and `confirm`: a configuration on trial.

use std::path::Path;

use hyper::Method;
use serde_json::json;

use super::client::ask;
use super::{Apply, Failure, show};

const PATH: &str = "/api/v1/apply";

pub(super) fn apply(socket: &Path, apply: &Apply, json: bool) -> Result<(), Failure> {
    let whole = std::path::absolute(&apply.file)
        .map_err(|error| Failure::Usage(format!("{}: {error}", apply.file.display())))?;
    let body = json!({ "file": whole, "confirm": apply.confirm });
    show::on_trial(&ask(socket, Method::POST, PATH, Some(&body))?, json);
    Ok(())
}

pub(super) fn end(socket: &Path, roll_back: bool, json: bool) -> Result<(), Failure> {
    if roll_back {
        show::rolled_back(&ask(socket, Method::DELETE, PATH, None)?, json);
    } else {
        show::confirmed(&ask(socket, Method::POST, &format!("{PATH}/confirm"), None)?, json);
    }
    Ok(())
}
