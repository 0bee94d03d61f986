//! `/api/v1/decisions`: what is in force; banning, limiting, letting through, and lifting.

mod body;
mod lists;

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Operator;
use super::export::{BATCH, Exports, Format};
use super::live::{Live, Made};
use super::page::{Page, limit_of};
use super::problem::{Name, Problem};
use super::time::{Ttl, ttl};
use crate::clock;
use crate::control::{Change, Control, OrderError, RulingTarget, Target, Wanted};
use crate::engine::decision::{Decision, DecisionId, Layer, NewBan, Origin};
use crate::engine::ledger::Banned;
use crate::engine::ruling::{Kind, MAX_RULINGS, NewRuling, Ruling, Subject};
use crate::engine::source::Source;

pub(super) use body::DecisionBody;
pub(super) use lists::*;

/// How long an operator's ban lasts when nothing else is asked for.
const DEFAULT_TTL: &str = "4h";
/// An operator's reason, in characters at the most.
const MAX_REASON: usize = 200;

/// Decisions as they are told, each with what it has met in the kernel.
async fn told(control: &Control, decisions: Vec<Decision>) -> Result<Vec<DecisionBody>, Problem> {
    let sources = decisions.iter().map(|decision| decision.source).collect();
    let (met, now) = (control.met(sources).await?, clock::now());
    let bodies = decisions.into_iter().map(|decision| DecisionBody::new(decision, now));
    // Of very many only the first are asked about.
    let met = met.into_iter().map(Some).chain(std::iter::repeat(None));
    Ok(bodies.zip(met).map(|(body, met)| if let Some(met) = met { body.with(met) } else { body }).collect())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many items at the most: 1 to 1000, 100 where nothing is said.
    limit: Option<u32>,
    /// What the page before gave as `next_cursor`.
    cursor: Option<u64>,
    /// Only the one against exactly this address or prefix.
    #[param(value_type = Option<String>)]
    source: Option<Source>,
    /// The changes after this `revision` instead of what is in force: for programs that mirror the list.
    since: Option<u64>,
    /// The whole list, streamed.
    #[param(inline)]
    format: Option<Format>,
}

/// What is in force, or what has changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Listed {
    Page(DecisionPage),
    Changes(Since),
}

/// A page of what is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DecisionPage {
    items: Vec<DecisionBody>,
    next_cursor: Option<String>,
    /// Where changes go on from: take it from the first page, and ask for `since` once all pages are read. A change may
    /// then be told that is in the pages already; to apply it twice does no harm. Absent where a `format` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// What has changed since a revision, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Since {
    changes: Vec<ChangeBody>,
    /// What to ask for next.
    revision: u64,
    /// Whether there is more to be asked for at once.
    more: bool,
}

/// A change to what is in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionChange)]
pub(super) struct ChangeBody {
    revision: u64,
    /// `made` (or lasts longer), or why it ended: `expired`, `lifted`, `replaced`, `protected`, `no_room`.
    change: String,
    /// The decision's number.
    #[schema(value_type = u64)]
    id: DecisionId,
    /// The decision, where it was made.
    decision: Option<DecisionBody>,
}

impl ChangeBody {
    fn new(made: Made, now: Instant) -> Self {
        let (change, id, decision) = match made.change {
            Change::Made(decision) => ("made", decision.id, Some(DecisionBody::new(*decision, now))),
            Change::Ended(id, cause) => (cause.name(), id, None),
        };
        Self { revision: made.revision, change: change.to_owned(), id, decision }
    }
}

/// What is in force, in the order of its numbers; or what has changed since a revision.
#[utoipa::path(
    get,
    path = "/api/v1/decisions",
    tag = "decisions",
    params(ListQuery),
    responses(
        (status = 200, content((Listed = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 410, description = "The revision is too far behind: read the whole list again")
    )
)]
pub(super) async fn list(
    State(control): State<Control>,
    State(live): State<Live>,
    State(exports): State<Exports>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let (limit, now) = (limit_of(query.limit), clock::now());
    if let Some(since) = query.since {
        let (made, is_all) = live.changes_after(since, limit as usize).map_err(|behind| {
            let what =
                format!("changes up to {} are not kept any more; read the whole list again", behind.oldest);
            Problem::new(StatusCode::GONE, what)
        })?;
        let revision = made.last().map_or(since, |last| last.revision);
        let changes = made.into_iter().map(|made| ChangeBody::new(made, now)).collect();
        return Ok(Json(Listed::Changes(Since { changes, revision, more: !is_all })).into_response());
    }
    // Taken before the list is read: what changes meanwhile is told again.
    let revision = live.revision();
    let asked = if query.format.is_some() { usize::MAX } else { limit as usize + 1 };
    let items = in_force(&control, query.cursor.map(DecisionId), query.source, asked).await?;
    if let Some(format) = query.format {
        let mut items = items.into_iter();
        return exports.stream(("decisions", format), move |_| {
            let batch: Vec<_> = items.by_ref().take(BATCH as usize).collect();
            let next = (batch.len() == BATCH as usize).then(String::new);
            Ok((batch, next))
        });
    }
    let Json(Page { items, next_cursor }) =
        Page::cut(items, limit, |last: &DecisionBody| last.id.to_string());
    let page = DecisionPage { items, next_cursor, revision: Some(revision) };
    Ok(Json(Listed::Page(page)).into_response())
}

/// At the most `limit` decisions of every kind with a number above `after`, in the order of their numbers.
async fn in_force(
    control: &Control,
    after: Option<DecisionId>,
    source: Option<Source>,
    limit: usize,
) -> Result<Vec<DecisionBody>, Problem> {
    let now = clock::now();
    let bans = control.decisions(Wanted { after, source, limit }).await?;
    let rulings = control.rulings(after, if source.is_some() { MAX_RULINGS } else { limit }).await?;
    let is_wanted = |ruling: &Ruling| source.is_none_or(|source| ruling.subject == Subject::Source(source));
    let rulings = rulings.iter().filter(|ruling| is_wanted(ruling));
    let mut items = told(control, bans).await?;
    items.extend(rulings.map(|ruling| DecisionBody::of_ruling(ruling, now)));
    items.sort_by_key(|item| item.id);
    items.truncate(limit);
    Ok(items)
}

/// One decision in force.
#[utoipa::path(get, path = "/api/v1/decisions/{id}", tag = "decisions", params(("id" = u64, Path, description = "Its number")), responses((status = 200, body = DecisionBody)))]
pub(super) async fn show(
    State(control): State<Control>,
    Name(id): Name,
) -> Result<Json<DecisionBody>, Problem> {
    let wanted = decision_id(&id)?;
    let after = wanted.0.checked_sub(1).map(DecisionId);
    let found = in_force(&control, after, None, 1).await?.into_iter().find(|decision| decision.id == wanted);
    found.map(Json).ok_or_else(|| Problem::no_such("decision in force with number", &id))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BanBody {
    /// `ban`, `limit` or `allow`; a ban where nothing is said.
    #[serde(default = "ban_by_default")]
    #[schema(value_type = String)]
    kind: Kind,
    /// Whom: an address, a prefix, `asn:64500`, `country:NL` or `user:alice`. Also as `subject`.
    #[serde(alias = "subject")]
    source: String,
    /// For how long: 30m, 4h, 7d, forever; 4h where nothing is said.
    ttl: Option<String>,
    /// Why, for those who read it later.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// What is to be noted beside it.
    #[schema(max_length = 200)]
    comment: Option<String>,
    /// Of a limit, the requests a minute: of each source by itself, of a user all together.
    #[serde(default)]
    requests_per_min: u32,
    /// Ban even a prefix that is a share of the whole internet.
    #[serde(default)]
    force: bool,
}

fn ban_by_default() -> Kind {
    Kind::Ban
}

/// Bans, limits, or lets through: on disk and in force when this answers.
#[utoipa::path(
    post,
    path = "/api/v1/decisions",
    tag = "decisions",
    request_body = BanBody,
    responses(
        (status = 200, description = "A ban in force was extended, or lasts as long anyway", body = DecisionBody),
        (status = 201, body = DecisionBody),
        (status = 409, description = "A decision of more authority stands"),
        (status = 507, description = "There is no room for another decision")
    )
)]
pub(super) async fn decide(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<BanBody>, JsonRejection>,
) -> Result<(StatusCode, Json<DecisionBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let BanBody { kind, source, ttl: asked, reason, comment, requests_per_min, force } = body;
    let subject: Subject =
        source.parse().map_err(|error| Problem::bad_request(format!("source: {error}")))?;
    let asked = ttl(asked.as_deref().unwrap_or(DEFAULT_TTL));
    let ttl = match asked.map_err(|what| Problem::bad_request(format!("ttl: {what}")))? {
        Ttl::For(duration) => Some(duration),
        Ttl::Forever => None,
    };
    let reason = reason.unwrap_or_else(|| format!("by {}", operator.name));
    within("reason", &reason)?;
    comment.as_deref().map_or(Ok(()), |comment| within("comment", comment))?;
    let comment = comment.filter(|comment| !comment.is_empty()).map(Into::into);
    let (origin, asked_at) = (Origin::Operator, clock::wall());
    let Subject::Source(source) = subject else {
        let new = NewRuling { kind, subject, origin, reason, comment, requests_per_min, ttl, asked_at };
        return rule(&control, &operator, new).await;
    };
    if kind != Kind::Ban {
        let new = NewRuling { kind, subject, origin, reason, comment, requests_per_min, ttl, asked_at };
        return rule(&control, &operator, new).await;
    }
    let new = NewBan {
        source,
        origin,
        layer: Layer::Packet,
        reason: reason.into(),
        comment,
        ttl,
        incident: None,
        asked_at,
        force,
    };
    let banned = control.ban(new).await?;
    let status = match banned {
        Banned::Made(_) => StatusCode::CREATED,
        Banned::Extended(_) | Banned::Kept(_) => StatusCode::OK,
    };
    let decision = banned.decision().clone();
    tracing::info!(operator = operator.name, %source, decision = %decision.id, "an operator banned a source");
    Ok((status, Json(DecisionBody::new(decision, clock::now()))))
}

async fn rule(
    control: &Control,
    operator: &Operator,
    new: NewRuling,
) -> Result<(StatusCode, Json<DecisionBody>), Problem> {
    let ruling = control.rule(new).await?;
    tracing::info!(
        operator = operator.name, kind = ruling.kind.name(), subject = %ruling.subject, decision = %ruling.id,
        "an operator ruled"
    );
    Ok((StatusCode::CREATED, Json(DecisionBody::of_ruling(&ruling, clock::now()))))
}

fn within(field: &str, text: &str) -> Result<(), Problem> {
    if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        let what = format!("{field}: at the most {MAX_REASON} characters, none of them a control character");
        return Err(Problem::bad_request(what));
    }
    Ok(())
}

/// Takes a decision back.
#[utoipa::path(delete, path = "/api/v1/decisions/{id}", tag = "decisions", params(("id" = u64, Path, description = "Its number")), responses((status = 200, body = DecisionBody)))]
pub(super) async fn lift(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    Name(id): Name,
) -> Result<Json<DecisionBody>, Problem> {
    let id = decision_id(&id)?;
    match control.overrule(RulingTarget::Id(id)).await {
        Ok(ruling) => Ok(overruled(&operator, &ruling)),
        Err(OrderError::NotInForce) => lift_target(&control, &operator, Target::Decision(id)).await,
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiftQuery {
    /// Whom it is about. Also as `subject`.
    #[serde(alias = "subject")]
    source: String,
    /// Only one of this kind: `ban`, `limit` or `allow`.
    #[param(value_type = Option<String>)]
    kind: Option<Kind>,
}

/// Takes back what is decided about exactly this subject.
#[utoipa::path(delete, path = "/api/v1/decisions", tag = "decisions", params(LiftQuery), responses((status = 200, body = DecisionBody), (status = 404)))]
pub(super) async fn lift_subject(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    query: Result<Query<LiftQuery>, QueryRejection>,
) -> Result<Json<DecisionBody>, Problem> {
    let Query(LiftQuery { source, kind }) =
        query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let subject: Subject =
        source.parse().map_err(|error| Problem::bad_request(format!("source: {error}")))?;
    let banned = match subject {
        Subject::Source(source) if kind.is_none_or(|kind| kind == Kind::Ban) => Some(source),
        Subject::Source(_) | Subject::Asn(_) | Subject::Country(_) | Subject::User(_) => None,
    };
    let Some(source) = banned else {
        let ruling = control.overrule(RulingTarget::About(kind, subject)).await?;
        return Ok(overruled(&operator, &ruling));
    };
    let lifted = lift_target(&control, &operator, Target::Source(source)).await;
    let Err(problem) = lifted else { return lifted };
    let wider = wider_bans(&control, source).await;
    Err(if wider.is_empty() { problem } else { problem.with_wider_bans(&wider) })
}

fn overruled(operator: &Operator, ruling: &Ruling) -> Json<DecisionBody> {
    tracing::info!(
        operator = operator.name, kind = ruling.kind.name(), subject = %ruling.subject, decision = %ruling.id,
        "an operator lifted a ruling"
    );
    Json(DecisionBody::of_ruling(ruling, clock::now()))
}

async fn lift_target(
    control: &Control,
    operator: &Operator,
    target: Target,
) -> Result<Json<DecisionBody>, Problem> {
    let decision = control.lift(target).await?;
    tracing::info!(
        operator = operator.name, source = %decision.source, decision = %decision.id, "an operator lifted a ban"
    );
    Ok(Json(DecisionBody::new(decision, clock::now())))
}

/// The bans in force around `source`: whoever lifts one address wants to know what still holds it.
async fn wider_bans(control: &Control, source: Source) -> String {
    let mut found = Vec::new();
    for bits in (0..source.as_prefix().prefix_len()).rev() {
        let Ok(prefix) = IpNet::new(source.address(), bits) else { continue };
        let held = control
            .decisions(Wanted { after: None, source: Some(Source::prefix(prefix)), limit: 1 })
            .await
            .unwrap_or_default();
        found.extend(held.into_iter().map(|decision| decision.source.to_string()));
    }
    found.join(", ")
}

fn decision_id(text: &str) -> Result<DecisionId, Problem> {
    text.parse().map(DecisionId).map_err(|_| Problem::no_such("decision in force with number", text))
}
