//! `/api/v1/operators`: the people who may log in.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use super::page::Page;
use super::password::{LENGTHS, enrol};
use super::problem::{Name, Problem};
use super::role::Role;
use super::time::rfc3339;
use super::writes::Change;
use crate::clock;
use crate::control::{millis, moment};
use crate::store::{OperatorRow, Reader, Record};

/// People at the most.
const MAX_OPERATORS: usize = 1000;
/// A name, in characters at the most.
const MAX_NAME: usize = 64;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperatorBody {
    name: String,
    role: String,
    /// Whether they log in with a one-time code beside the password.
    has_codes: bool,
    made_at: String,
}

impl From<OperatorRow> for OperatorBody {
    fn from(row: OperatorRow) -> Self {
        let OperatorRow { name, role, totp, made_at_ms, .. } = row;
        Self { name, role, has_codes: totp.is_some(), made_at: rfc3339(moment(made_at_ms)) }
    }
}

/// The people who may log in, all on one page.
#[utoipa::path(get, path = "/api/v1/operators", tag = "access", responses((status = 200, body = Page<OperatorBody>)))]
pub(super) async fn list(State(reader): State<Reader>) -> Result<Json<Page<OperatorBody>>, Problem> {
    let rows = super::read(move || reader.operators()).await?;
    Ok(Page::whole(rows.into_iter().map(OperatorBody::from).collect()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOperator {
    /// 1 to 64 letters, digits, and `.@_-`.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    role: Role,
    #[schema(min_length = 12, max_length = 128)]
    password: String,
}

/// Lets somebody log in, or gives them another password and role; their sessions end, their codes stay.
#[utoipa::path(
    post,
    path = "/api/v1/operators",
    tag = "access",
    request_body = NewOperator,
    responses((status = 201, body = OperatorBody), (status = 507, description = "There are too many"))
)]
pub(super) async fn add(
    State(api): State<Api>,
    body: Result<Json<NewOperator>, JsonRejection>,
) -> Result<(StatusCode, Extension<Change>, Json<OperatorBody>), Problem> {
    let Json(new) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let is_of_a_name = |letter: char| letter.is_alphanumeric() || ".@_-".contains(letter);
    if !(1..=MAX_NAME).contains(&new.name.chars().count()) || !new.name.chars().all(is_of_a_name) {
        return Err(Problem::bad_request(format!("name: 1 to {MAX_NAME} letters, digits, and .@_-")));
    }
    if !LENGTHS.contains(&new.password.chars().count()) {
        let what = format!("password: {} to {} characters", LENGTHS.start(), LENGTHS.end());
        return Err(Problem::bad_request(what));
    }
    let reader = api.reader.clone();
    let known = super::read(move || reader.operators()).await?;
    let before = known.iter().find(|row| row.name == new.name).cloned();
    if before.is_none() && known.len() >= MAX_OPERATORS {
        let what = format!("there are {MAX_OPERATORS} operators already; remove some");
        return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, what));
    }
    let row = OperatorRow {
        password: api.own.passwords.hash(new.password).await?,
        name: new.name,
        role: new.role.name().to_owned(),
        totp: before.as_ref().and_then(|before| before.totp.clone()),
        totp_step: before.as_ref().map_or(0, |before| before.totp_step),
        made_at_ms: before.as_ref().map_or_else(|| millis(clock::wall()), |before| before.made_at_ms),
    };
    api.store.commit(Record::Operator(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    api.own.sessions.end_all(&row.name);
    let told = |row: OperatorRow| serde_json::to_value(OperatorBody::from(row)).unwrap_or_default();
    let change = Change {
        before: before.map(told).unwrap_or_default(),
        after: told(row.clone()),
        ..Change::default()
    };
    Ok((StatusCode::CREATED, Extension(change), Json(row.into())))
}

/// Lets somebody log in no more; their sessions end.
#[utoipa::path(delete, path = "/api/v1/operators/{name}", tag = "access", params(("name" = String, Path)), responses((status = 200, body = OperatorBody)))]
pub(super) async fn remove(State(api): State<Api>, Name(name): Name) -> Result<Json<OperatorBody>, Problem> {
    let row = known(&api, &name).await?;
    let removed = Record::OperatorRemoved { name: row.name.clone() };
    api.store.commit(removed).await.map_err(|error| Problem::internal(&error))?;
    api.own.sessions.end_all(&row.name);
    Ok(Json(row.into()))
}

/// The secret of an operator's codes; shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolled {
    name: String,
    /// For the app, as text or as a QR code: `otpauth://totp/…`.
    url: String,
}

/// Makes one-time codes for somebody: from here on they log in with a code beside the password. The answer is the only
/// place where their secret is shown; codes of an earlier one are good no more.
#[utoipa::path(post, path = "/api/v1/operators/{name}/totp", tag = "access", params(("name" = String, Path)), responses((status = 201, body = Enrolled)))]
pub(super) async fn make_codes(
    State(api): State<Api>,
    Name(name): Name,
) -> Result<(StatusCode, Extension<Change>, Json<Enrolled>), Problem> {
    let mut row = known(&api, &name).await?;
    let had_codes = row.totp.is_some();
    let (secret, url) = enrol(&row.name)?;
    row.totp = Some(secret);
    api.store.commit(Record::Operator(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    api.own.sessions.end_all(&row.name);
    let change = Change {
        before: json!({ "name": row.name, "has_codes": had_codes }),
        after: json!({ "name": row.name, "has_codes": true }),
        ..Change::default()
    };
    Ok((StatusCode::CREATED, Extension(change), Json(Enrolled { name: row.name, url })))
}

/// Takes somebody's one-time codes back: from here on the password is enough.
#[utoipa::path(delete, path = "/api/v1/operators/{name}/totp", tag = "access", params(("name" = String, Path)), responses((status = 200, body = OperatorBody)))]
pub(super) async fn take_codes(
    State(api): State<Api>,
    Name(name): Name,
) -> Result<Json<OperatorBody>, Problem> {
    let mut row = known(&api, &name).await?;
    row.totp = None;
    api.store.commit(Record::Operator(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    api.own.sessions.end_all(&row.name);
    Ok(Json(row.into()))
}

async fn known(api: &Api, name: &str) -> Result<OperatorRow, Problem> {
    let (reader, wanted) = (api.reader.clone(), name.to_owned());
    super::read(move || reader.operator(&wanted)).await?.ok_or_else(|| Problem::no_such("operator", name))
}
