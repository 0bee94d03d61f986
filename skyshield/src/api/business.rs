//! `POST /api/v1/business/events`, and `/api/v1/monitoring/business/`: the business in, and what it comes to.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Operator;
use super::export::{Exports, Format};
use super::page::Page;
use super::problem::Problem;
use super::time::rfc3339;
use crate::clock;
use crate::control::{millis, moment};
use crate::monitor::business::{self, Business, Outcome, Period, Receipt};

/// Steps whose totals are fetched at a time.
const STEPS_AT_ONCE: i64 = 24;
/// A key, in bytes.
const MAX_KEY: usize = 128;

/// A batch of events, for the document.
#[derive(ToSchema)]
#[schema(as = BusinessEvents)]
#[expect(dead_code, reason = "it describes what the business reads")]
struct EventsShape {
    /// 1 to 5000 of them.
    events: Vec<EventShape>,
}

/// Something that happened.
#[derive(ToSchema)]
#[schema(as = BusinessEvent)]
#[expect(dead_code, reason = "it describes what the business reads")]
struct EventShape {
    /// One that is declared in `business.kinds`.
    kind: String,
    /// How often, of a kind that is counted; once where nothing is said.
    count: Option<u32>,
    /// How much, in whole minor units, of a kind that is summed.
    amount: Option<i64>,
    currency: Option<String>,
    /// Who, of a kind whose users are counted.
    user: Option<String>,
    /// When (RFC 3339), up to 48 hours ago; now where nothing is said.
    at: Option<String>,
}

/// The report, or with `format=json` the totals, for the document.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = BusinessAnswer)]
#[expect(dead_code, reason = "it describes what is sent")]
enum AnswerShape {
    Report(ReportShape),
    Totals(Page<TotalBody>),
}

/// What a period came to: the shape of [`business::Report`], for the document.
#[derive(ToSchema)]
#[schema(as = BusinessReport)]
#[expect(dead_code, reason = "it describes the monitor's own type, which is what is sent")]
struct ReportShape {
    /// `1h`, `24h`, `7d` or `30d`.
    period: String,
    /// Seconds since 1970. The first step is whole, the last goes on.
    from: i64,
    to: i64,
    kinds: Vec<KindShape>,
    conversions: Vec<ConversionShape>,
}

/// What one kind of events came to.
#[derive(ToSchema)]
#[schema(as = BusinessKind)]
#[expect(dead_code, reason = "it describes the monitor's own type, which is what is sent")]
struct KindShape {
    name: String,
    /// `count`, `sum` or `unique`.
    kind: String,
    /// Events.
    count: i64,
    count_before: i64,
    /// How much more that is: 0.1 is a tenth. None where there was nothing before.
    change: Option<f64>,
    /// By currency; left out where there are none.
    #[schema(required = false)]
    amounts: Vec<AmountShape>,
    /// Different users; left out, as what follows, where they are not counted.
    #[schema(required = false)]
    users: u64,
    #[schema(required = false)]
    users_before: u64,
    #[schema(required = false)]
    users_change: Option<f64>,
    /// The share of the users before who came again.
    #[schema(required = false)]
    retention: Option<f64>,
    /// The standard error of a number of users.
    #[schema(required = false)]
    users_error: f64,
}

/// An amount of one currency.
#[derive(ToSchema)]
#[schema(as = BusinessAmount)]
#[expect(dead_code, reason = "it describes the monitor's own type, which is what is sent")]
struct AmountShape {
    currency: String,
    /// In minor units, exact.
    amount: i64,
    amount_before: i64,
    change: Option<f64>,
}

/// How many of one kind led to another.
#[derive(ToSchema)]
#[schema(as = BusinessConversion)]
#[expect(dead_code, reason = "it describes the monitor's own type, which is what is sent")]
struct ConversionShape {
    name: String,
    from: String,
    to: String,
    rate: Option<f64>,
    rate_before: Option<f64>,
}

/// What came of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    /// Events that were counted, now or when the batch came first.
    events: u32,
    /// Whether it had come before.
    repeated: bool,
}

impl From<Receipt> for ReceiptBody {
    fn from(Receipt { events, repeated }: Receipt) -> Self {
        Self { events, repeated }
    }
}

/// Hands in a batch of business events: all of them are counted, and on the disk, when this answers.
///
/// `{"events": [{"kind": "revenue", "amount": 1999, "currency": "EUR"}, {"kind": "orders"}, {"kind": "active_users", "user": "u-17"}]}`.
/// Amounts are whole minor units. `at` (RFC 3339) says when, up to 48 hours ago. The `Idempotency-Key` is
/// asked for: what comes again under it is not counted again, for a day and the last 200,000 batches.
#[utoipa::path(post, path = "/api/v1/business/events", tag = "business", request_body = EventsShape, params(("Idempotency-Key" = String, Header, description = "The same whenever the batch is sent again")), responses((status = 200, body = ReceiptBody)))]
pub(super) async fn count(
    State(business): State<Business>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ReceiptBody>, Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.filter(|key| (1..=MAX_KEY).contains(&key.len())).ok_or_else(|| {
        let what = format!(
            "a batch needs an `Idempotency-Key` of 1 to {MAX_KEY} bytes, the same whenever it is sent again"
        );
        Problem::bad_request(what)
    })?;
    let batch = business
        .read(&body, operator.token.as_deref().unwrap_or(&operator.name), key)
        .map_err(|invalid| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, invalid.to_string()))?;
    Ok(Json(business.count(batch).await?.into()))
}

impl From<Outcome> for Problem {
    fn from(outcome: Outcome) -> Self {
        let status = match outcome {
            Outcome::Conflict => StatusCode::UNPROCESSABLE_ENTITY,
            Outcome::Busy | Outcome::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, outcome.to_string())
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    /// `1h`, `24h`, `7d` or `30d`; 24h where nothing is said.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    period: Period,
    /// The totals of the period as rows, step by step, streamed.
    #[param(inline)]
    format: Option<Format>,
}

/// What one step came to, as a row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BusinessTotal)]
struct TotalBody {
    /// When the step begins.
    at: String,
    step_seconds: i64,
    kind: String,
    /// Empty where there is none.
    currency: String,
    events: i64,
    /// Of amounts, in minor units, exact.
    amount: i64,
}

/// What the business came to in a period, beside the one before: counts, revenue by currency in minor units,
/// users and how many of them came again, conversions.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/business/",
    tag = "business",
    params(ReportQuery),
    responses((status = 200, content((AnswerShape = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn report(
    State(business): State<Business>,
    State(exports): State<Exports>,
    query: Result<Query<ReportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let now = millis(clock::wall()) / 1000;
    if let Some(format) = query.format {
        return totals(&exports, business, format, query.period.stretch(now));
    }
    let report =
        super::read(move || business::report(business.reader(), business.config(), query.period, now));
    Ok(Json(report.await?).into_response())
}

/// The totals of every step, some steps at a time.
fn totals(
    exports: &Exports,
    business: Business,
    format: Format,
    (step, mut from, to): (i64, i64, i64),
) -> Result<Response, Problem> {
    exports.stream(("business", format), move |_| {
        let until = (from + step * STEPS_AT_ONCE).min(to);
        let rows = business.reader().business_totals(step, from, until)?;
        from = until;
        let rows = rows.into_iter().map(|row| TotalBody {
            at: rfc3339(moment(row.at * 1000)),
            step_seconds: row.step,
            kind: row.kind,
            currency: row.currency,
            events: row.count,
            amount: row.sum,
        });
        Ok((rows.collect(), (until < to).then(String::new)))
    })
}
