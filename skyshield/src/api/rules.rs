//! `/api/v1/rules`: what requests are looked through for, and what comes of it under the configuration in force.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::export::{BATCH, Exports, Format};
use super::page::{Page, limit_of};
use super::problem::{Name, Problem};
use crate::inspect::{Action, Class, RuleInfo};
use crate::rehearsal::Stage;

/// A rule of inspection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleBody {
    /// Stable across releases.
    id: String,
    /// The kind of attack it claims: `sqli`, `xss`, …; `policy` is what an operator does not want.
    #[schema(value_type = String)]
    class: Class,
    /// How sure it is, 0 to 1.
    confidence: f64,
    /// What comes of its claims: `weigh` (they count in the score), `refuse` or `observe`; none where it is turned off.
    #[schema(value_type = Option<String>)]
    action: Option<Action>,
    /// `built-in`, or the file of the operator's that it is from.
    origin: String,
    /// What it looks for.
    about: String,
    /// Where the weakness and the attack are described.
    references: Vec<String>,
    /// The operator's own order.
    tags: Vec<String>,
    /// What it matches; of built-in rules percent signs and control characters are percent-encoded.
    attacks: Vec<String>,
    /// What looks like it and is let through, encoded likewise.
    honest: Vec<String>,
}

impl From<RuleInfo> for RuleBody {
    fn from(info: RuleInfo) -> Self {
        let RuleInfo { id, class, confidence, action, origin, about, references, tags, attacks, honest } =
            info;
        let owned = |texts: Vec<std::borrow::Cow<'static, str>>| texts.into_iter().map(Into::into).collect();
        Self {
            id: id.into(),
            class,
            confidence,
            action,
            origin: origin.into(),
            about: about.into(),
            references: owned(references),
            tags: owned(tags),
            attacks: owned(attacks),
            honest: owned(honest),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RulesQuery {
    /// Only those that claim this kind of attack: `sqli`, `xss`, …
    class: Option<String>,
    /// How many items at the most: 1 to 1000, 100 where nothing is said.
    limit: Option<u32>,
    /// What the page before gave as `next_cursor`.
    cursor: Option<String>,
    /// All of them, streamed.
    #[param(inline)]
    format: Option<Format>,
}

/// At the most `limit` of the `rules` of `class` whose ids come after `after`, by id.
fn page_of(rules: &[RuleInfo], class: Option<Class>, after: Option<&str>, limit: u32) -> Vec<RuleBody> {
    let wanted = rules.iter().filter(|rule| class.is_none_or(|class| rule.class == class));
    let after = wanted.filter(|rule| after.is_none_or(|after| *rule.id > *after));
    after.take(limit as usize).cloned().map(RuleBody::from).collect()
}

/// The rules, by their ids: those that are built in, and those that operators have written.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "configuration",
    params(RulesQuery),
    responses((status = 200, content((Page<RuleBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(stage): State<Stage>,
    State(exports): State<Exports>,
    query: Result<Query<RulesQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let class = query.class.map(|name| {
        serde_json::from_value::<Class>(name.into())
            .map_err(|error| Problem::bad_request(format!("class: {error}")))
    });
    let class = class.transpose()?;
    let rules = stage.rules();
    if let Some(format) = query.format {
        return exports.stream(("rules", format), move |cursor| {
            let items = page_of(&rules, class, cursor.as_deref(), BATCH);
            let next = items.last().filter(|_| items.len() == BATCH as usize).map(|last| last.id.clone());
            Ok((items, next))
        });
    }
    let limit = limit_of(query.limit);
    let items = page_of(&rules, class, query.cursor.as_deref(), limit + 1);
    Ok(Page::cut(items, limit, |last: &RuleBody| last.id.clone()).into_response())
}

/// One rule.
#[utoipa::path(get, path = "/api/v1/rules/{id}", tag = "configuration", params(("id" = String, Path, description = "The rule's id")), responses((status = 200, body = RuleBody)))]
pub(super) async fn show(State(stage): State<Stage>, Name(id): Name) -> Result<Json<RuleBody>, Problem> {
    let found = stage.rules().into_iter().find(|rule| *rule.id == *id);
    found.map(|rule| Json(rule.into())).ok_or_else(|| Problem::no_such("rule", &id))
}
