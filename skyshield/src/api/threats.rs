//! `/api/v1/security/threats` and `/api/v1/indicators`: what attacks have had in common, as pages or STIX.

mod stix;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::export::{BATCH, Exports, Format};
use super::knowing::Knowing;
use super::page::{Page, limit_of};
use super::problem::Problem;
use super::time::rfc3339;
use crate::clock;
use crate::engine::indicators::{Indicator, Kind, Wanted};
use crate::indicators::Indicators;

/// What STIX is sent as.
const STIX: &str = "application/stix+json;version=2.1";

/// A threat indicator.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorBody {
    id: String,
    /// `address`, `prefix`, `asn`, `user_agent`, `header_order`, `ja4` or `payload` (SHA-256 of the bytes).
    kind: &'static str,
    value: String,
    /// The classes of attacks it was seen with.
    threats: Vec<String>,
    /// How sure it is now, 0 to 1: it fades by half in each half-life.
    confidence: f64,
    half_life_seconds: u64,
    first_seen: String,
    last_seen: String,
    count: u64,
    /// The last incidents it was seen in.
    evidence: Vec<String>,
}

impl From<Indicator> for IndicatorBody {
    fn from(indicator: Indicator) -> Self {
        Self {
            id: indicator.id(),
            kind: indicator.kind.name(),
            confidence: (indicator.confidence(clock::wall()) * 1000.0).round() / 1000.0,
            half_life_seconds: indicator.kind.half_life().as_secs(),
            first_seen: rfc3339(indicator.first_seen),
            last_seen: rfc3339(indicator.last_seen),
            count: indicator.count,
            value: indicator.value,
            threats: indicator.threats,
            evidence: indicator.evidence,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ThreatsQuery {
    /// Only of this kind: `address`, `prefix`, `asn`, `user_agent`, `header_order`, `ja4`, `payload`.
    kind: Option<String>,
    /// Only at least this sure, 0 to 1.
    min_confidence: Option<f64>,
    /// How many items at the most: 1 to 1000, 100 where nothing is said.
    limit: Option<u32>,
    /// What the page before gave as `next_cursor`.
    cursor: Option<String>,
    /// All of them, streamed; or `stix`: a page of them as a STIX 2.1 bundle. Its next page is named by `Link`.
    #[param(inline)]
    format: Option<Form>,
}

/// In what form indicators are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON object with all `items`.
    Json,
    /// A page of them as a STIX 2.1 bundle.
    Stix,
}

/// Threat indicators, in the order of their kinds and values.
#[utoipa::path(get, path = "/api/v1/security/threats", tag = "knowledge", params(ThreatsQuery), responses((status = 200, content((Page<IndicatorBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"), (Object = "application/stix+json;version=2.1")))))]
pub(super) async fn list(
    State(knowing): State<Knowing>,
    State(exports): State<Exports>,
    query: Result<Query<ThreatsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    answer(&knowing, &exports, query, "/api/v1/security/threats/")
}

/// The same, under another name.
#[utoipa::path(get, path = "/api/v1/indicators", tag = "knowledge", params(ThreatsQuery), responses((status = 200, content((Page<IndicatorBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"), (Object = "application/stix+json;version=2.1")))))]
pub(super) async fn indicators(
    State(knowing): State<Knowing>,
    State(exports): State<Exports>,
    query: Result<Query<ThreatsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    answer(&knowing, &exports, query, "/api/v1/indicators/")
}

fn answer(
    knowing: &Knowing,
    exports: &Exports,
    query: Result<Query<ThreatsQuery>, QueryRejection>,
    path: &str,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let kind = match query.kind.as_deref() {
        None => None,
        Some(name) => Some(Kind::from_name(name).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::name).join(", ");
            Problem::bad_request(format!("kind: there are {known}"))
        })?),
    };
    let min_confidence = query.min_confidence.unwrap_or_default();
    if !(0.0..=1.0).contains(&min_confidence) {
        return Err(Problem::bad_request("min_confidence: it is between 0 and 1"));
    }
    let after = query.cursor.as_deref().map(key_of).transpose()?;
    let format = match query.format {
        None | Some(Form::Stix) => None,
        Some(Form::Csv) => Some(Format::Csv),
        Some(Form::Ndjson) => Some(Format::Ndjson),
        Some(Form::Json) => Some(Format::Json),
    };
    if let Some(format) = format {
        let wanted = Wanted { kind, min_confidence, after, limit: BATCH as usize };
        return all(exports, knowing.indicators.clone(), format, wanted);
    }
    let limit = limit_of(query.limit);
    let wanted = Wanted { kind, min_confidence, after, limit: limit as usize + 1 };
    let found = knowing.indicators.page(&wanted);
    if query.format.is_none() {
        let Json(page) = Page::cut(found, limit, cursor_of);
        return Ok(page.of(IndicatorBody::from).into_response());
    }
    let Json(page) = Page::cut(found, limit, cursor_of);
    let bundle = stix::bundle(&page.items, clock::wall());
    let mut response = ([(header::CONTENT_TYPE, STIX)], bundle.to_string()).into_response();
    if let Some(next) = page.next_cursor {
        let kind = kind.map(|kind| format!("&kind={}", kind.name())).unwrap_or_default();
        let link = format!(
            "<{path}?format=stix&limit={limit}&min_confidence={min_confidence}{kind}&cursor={next}>; rel=\"next\""
        );
        if let Ok(link) = link.parse() {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// All that are wanted, some at a time.
fn all(
    exports: &Exports,
    indicators: Indicators,
    format: Format,
    mut wanted: Wanted,
) -> Result<Response, Problem> {
    exports.stream(("threats", format), move |_| {
        let found = indicators.page(&wanted);
        wanted.after = found.last().map(|last| (last.kind, last.value.clone()));
        let next = (found.len() == wanted.limit).then(String::new);
        Ok((found.into_iter().map(IndicatorBody::from).collect(), next))
    })
}

fn cursor_of(last: &Indicator) -> String {
    BASE64URL.encode(format!("{}:{}", last.kind.name(), last.value))
}

fn key_of(cursor: &str) -> Result<(Kind, String), Problem> {
    let read = || {
        let text = String::from_utf8(BASE64URL.decode(cursor).ok()?).ok()?;
        let (kind, value) = text.split_once(':')?;
        Some((Kind::from_name(kind)?, value.to_owned()))
    };
    read().ok_or_else(|| Problem::bad_request("cursor: it is not one that a page has given"))
}
