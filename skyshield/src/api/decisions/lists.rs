//! `/api/v1/decisions/import` and `/export`: many decisions at once, in other programs' words.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{QueryRejection, StringRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::auth::Operator;
use super::super::problem::Problem;
use super::super::time::{Ttl, ttl};
use super::{DEFAULT_TTL, MAX_REASON};
use crate::clock;
use crate::control::{Batch, Control, Item, MAX_IMPORT, Wanted};
use crate::engine::allow::NewAllow;
use crate::engine::allow::Whom;
use crate::engine::decision::{Layer, NewBan, Origin};
use crate::engine::ruling::{Kind, MAX_RULINGS, NewRuling, Subject};
use crate::exchange::{self, About, Exported, Format, Line, MAX_PROBLEMS, Span};

/// Bytes of a list at the most.
pub(in crate::api) const MAX_LIST: usize = 32 << 20;
/// Bans that are asked for at a time.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ImportQuery {
    /// `auto`, `plain`, `csv`, `json`, `fail2ban` or `cscli`; auto where nothing is said.
    format: Option<String>,
    /// Only say what would come of it.
    #[serde(default)]
    dry_run: bool,
    /// For how long, where a line does not say.
    ttl: Option<String>,
    /// Why, where a line does not say.
    reason: Option<String>,
    /// End each up to a tenth of its time earlier, so that not all end together.
    #[serde(default)]
    jitter: bool,
    /// Ban even prefixes that are a share of the whole internet.
    #[serde(default)]
    force: bool,
}

/// What came of a list.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::api) struct ImportBody {
    format: &'static str,
    dry_run: bool,
    /// Decisions that came into force, or would.
    made: usize,
    /// Those of them that hold at the doors only until the kernel has room: something held there before.
    waiting_for_room: usize,
    /// Those against whom one of more authority is in force, which was left alone.
    kept: usize,
    /// Those of whom somebody came under protection meanwhile; they are not in force.
    protected: usize,
    /// Those that the kernel turned out to have no room for; they are not in force.
    no_room: usize,
    /// Those whose time was over.
    over: usize,
    /// Whether anything was changed.
    done: bool,
    /// Lines that are wrong; with any, nothing is done.
    problems: usize,
    errors: Vec<LineError>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LineError {
    line: usize,
    detail: String,
}

/// Brings in a list of decisions: all of it, or nothing where a line is wrong.
#[utoipa::path(
    post,
    path = "/api/v1/decisions/import",
    tag = "decisions",
    params(ImportQuery),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, body = ImportBody),
        (status = 422, description = "What is wrong, line by line", body = ImportBody),
        (status = 507, description = "The kernel turned out to have no room for any of it", body = ImportBody)
    )
)]
pub(in crate::api) async fn import(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    query: Result<Query<ImportQuery>, QueryRejection>,
    text: Result<String, StringRejection>,
) -> Result<(StatusCode, Json<ImportBody>), Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let text = text.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let format = match query.format.as_deref() {
        None | Some("auto") => exchange::guess(&text),
        Some(name) => name.parse().map_err(|error| Problem::bad_request(format!("format: {error}")))?,
    };
    let asked = ttl(query.ttl.as_deref().unwrap_or(DEFAULT_TTL));
    let ttl = match asked.map_err(|what| Problem::bad_request(format!("ttl: {what}")))? {
        Ttl::For(duration) => Some(duration),
        Ttl::Forever => None,
    };
    let reason = query.reason.clone().unwrap_or_else(|| format!("import by {}", operator.name));
    super::within("reason", &reason)?;
    let read = tokio::task::spawn_blocking(move || exchange::read(&text, Some(format)));
    let read = read.await.map_err(|error| Problem::internal(&error))?;
    let defaults =
        Defaults { ttl, reason, by: operator.name.clone(), jitter: query.jitter, force: query.force };
    let mut errors: Vec<_> = read.problems.into_iter().map(|problem| (problem.line, problem.what)).collect();
    let (mut items, mut numbers) = (Vec::new(), Vec::new());
    for line in read.lines {
        let number = line.number;
        match defaults.item(line) {
            Ok(item) => {
                items.push(item);
                numbers.push(number);
            }
            Err(what) => errors.push((number, what)),
        }
    }
    if items.len() > MAX_IMPORT {
        errors.push((0, format!("{} decisions, and {MAX_IMPORT} come in one list; cut it", items.len())));
    }
    // With a wrong line nothing is done, and the rest is looked at all the same.
    let is_dry_run = query.dry_run || !errors.is_empty();
    let imported = control.import(Batch { items, is_dry_run }).await?;
    let refused = imported.refused.into_iter();
    errors.extend(refused.map(|(at, what)| (numbers.get(at).copied().unwrap_or_default(), what)));
    errors.sort_unstable();
    let done = !is_dry_run && errors.is_empty() && imported.made > 0;
    if done {
        tracing::info!(operator = operator.name, made = imported.made, "an operator imported decisions");
    }
    let body = ImportBody {
        format: format.name(),
        dry_run: query.dry_run,
        made: imported.made,
        waiting_for_room: imported.waiting_for_room,
        kept: imported.kept,
        protected: imported.protected,
        no_room: imported.no_room,
        over: read.over,
        done,
        problems: errors.len(),
        errors: errors
            .into_iter()
            .take(MAX_PROBLEMS)
            .map(|(line, detail)| LineError { line, detail })
            .collect(),
    };
    Ok((body.status(), Json(body)))
}

impl ImportBody {
    /// A list of which nothing finds room is answered as a ban is that finds none.
    fn status(&self) -> StatusCode {
        if self.problems > 0 {
            StatusCode::UNPROCESSABLE_ENTITY
        } else if self.no_room > 0 && self.made + self.kept + self.protected == 0 {
            StatusCode::INSUFFICIENT_STORAGE
        } else {
            StatusCode::OK
        }
    }
}

/// What holds where a line does not say.
struct Defaults {
    ttl: Option<Duration>,
    reason: String,
    by: String,
    jitter: bool,
    force: bool,
}

impl Defaults {
    fn item(&self, line: Line) -> Result<Item, String> {
        let Line { kind, about, span, reason, comment, requests_per_min, .. } = line;
        let ttl = match span {
            Span::Unsaid => self.ttl,
            Span::For(duration) => Some(duration),
            Span::Forever => None,
        };
        let ttl = ttl.map(|ttl| if self.jitter { ttl.mul_f64(1.0 - 0.1 * chance()) } else { ttl });
        let reason = fit(reason.as_deref().unwrap_or(&self.reason));
        let comment = comment.as_deref().map(fit).filter(|comment| !comment.is_empty());
        let (origin, asked_at) = (Origin::Operator, clock::wall());
        let allow = |whom| {
            let comment = comment.clone().unwrap_or_else(|| reason.clone());
            Item::Allow(NewAllow { whom, comment, by: self.by.clone(), ttl, asked_at, force: self.force })
        };
        Ok(match (about, kind) {
            (About::Name(name), _) => allow(name),
            (About::Subject(Subject::Source(source)), Kind::Allow) => allow(Whom::Source(source)),
            (About::Subject(Subject::Source(source)), Kind::Ban) => Item::Ban(NewBan {
                source,
                origin,
                layer: Layer::Packet,
                reason: reason.into(),
                comment: comment.map(Into::into),
                ttl,
                incident: None,
                asked_at,
                force: self.force,
            }),
            (About::Subject(subject), kind) => {
                if kind == Kind::Limit && requests_per_min == 0 {
                    return Err("a limit needs `requests_per_min` of 1 or more".to_owned());
                }
                let comment = comment.map(Into::into);
                Item::Rule(NewRuling {
                    kind,
                    subject,
                    origin,
                    reason,
                    comment,
                    requests_per_min,
                    ttl,
                    asked_at,
                })
            }
        })
    }
}

/// Others' words, no longer than ours, with nothing in them that a terminal acts on.
fn fit(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

/// A share of 1; without randomness none.
fn chance() -> f64 {
    let mut random = [0; 4];
    match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX),
        Err(_) => 0.0,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ExportQuery {
    /// `json`, `csv`, `plain`, `fail2ban` or `cscli`; json where nothing is said.
    format: Option<String>,
}

/// A line of a list as others read it, for the document.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = ExportedLine)]
#[expect(dead_code, reason = "it describes what the exchange writes")]
enum ExportShape {
    Json(ExportedShape),
    Cscli(CscliShape),
}

/// A decision in a list for another host, `json`.
#[derive(ToSchema)]
#[schema(as = ExportedDecision)]
#[expect(dead_code, reason = "it describes what the exchange writes")]
struct ExportedShape {
    /// `ban`, `limit` or `allow`.
    kind: String,
    subject: String,
    /// None is until it is lifted.
    ttl_seconds: Option<u64>,
    /// The same in words: `3600s`, `forever`.
    ttl: String,
    origin: String,
    reason: String,
    comment: Option<String>,
    /// Of a limit.
    requests_per_min: Option<u32>,
}

/// A decision as `cscli decisions import` reads it.
#[derive(ToSchema)]
#[schema(as = CscliDecision)]
#[expect(dead_code, reason = "it describes what the exchange writes")]
struct CscliShape {
    /// `1h0m0s`.
    duration: String,
    reason: String,
    /// `ip`, `range`, `as`, `country` or `username`.
    scope: String,
    /// `ban` or `throttle`.
    r#type: String,
    value: String,
}

/// All decisions in force, as one text. What its format cannot say is left out, and counted in the header
/// `X-Left-Out`.
#[utoipa::path(get, path = "/api/v1/decisions/export", tag = "decisions", params(ExportQuery), responses((status = 200, content((Vec<ExportShape> = "application/json"), (String = "text/csv; charset=utf-8"), (String = "text/plain; charset=utf-8")))))]
pub(in crate::api) async fn export(
    State(control): State<Control>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ExportQuery { format }) =
        query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let format = format.as_deref().unwrap_or("json").parse::<Format>();
    let format = format.map_err(|error| Problem::bad_request(format!("format: {error}")))?;
    let now = clock::now();
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = control.decisions(Wanted { after, source: None, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        all.extend(page.into_iter().map(|ban| Exported {
            kind: Kind::Ban,
            ttl_secs: ban.remaining(now).map(|left| left.as_secs()),
            subject: Subject::Source(ban.source),
            origin: ban.origin.name(),
            comment: ban.comment.map(|comment| comment.to_string()),
            requests_per_min: 0,
            reason: ban.reason.into_owned(),
        }));
    }
    let rulings = control.rulings(None, MAX_RULINGS).await?;
    all.extend(rulings.iter().map(|ruling| Exported {
        kind: ruling.kind,
        ttl_secs: ruling.remaining(now).map(|left| left.as_secs()),
        subject: ruling.subject.clone(),
        origin: ruling.origin.name(),
        reason: ruling.reason.clone(),
        comment: ruling.comment.as_deref().map(str::to_owned),
        requests_per_min: ruling.requests_per_min,
    }));
    let written = tokio::task::spawn_blocking(move || exchange::export(&all, format)).await;
    let (text, left_out) = written.map_err(|error| Problem::internal(&error))?;
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json | Format::Cscli => "application/json",
        Format::Plain | Format::Fail2ban => "text/plain; charset=utf-8",
    };
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("x-left-out", HeaderValue::from(left_out));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_which_nothing_finds_room_is_answered_as_a_ban_that_finds_none() {
        let none = ImportBody { no_room: 2, ..ImportBody::default() };
        assert_eq!(none.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(ImportBody { made: 1, ..none }.status(), StatusCode::OK);
        assert_eq!(ImportBody::default().status(), StatusCode::OK);
    }
}
