//! `/api/v1/monitoring/…`: what is measured, in few numbers and over time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counters::{Measured, Values};
use super::export::{Exports, FormQuery, Format};
use super::page::Page;
use super::problem::Problem;
use super::time::rfc3339;
use crate::alerts::Alerts;
use crate::clock;
use crate::control::{millis, moment};
use crate::engine::reading::{Reading, Readings};
use crate::monitor::Seen;
use crate::monitor::business::Business;
use crate::monitor::levels::Level;
use crate::store::Reader;
use crate::telemetry::Level as LogLevel;

/// Points of one answer.
const MAX_POINTS: u32 = 2000;
/// The longest stretch, in hours.
const MAX_HOURS: u32 = 400 * 24;

/// What is measured, and by whom.
#[derive(Clone)]
pub struct Monitoring {
    /// What was seen last; nothing where nobody looks.
    pub seen: Option<Seen>,
    /// What is counted of the business.
    pub business: Business,
    /// Who is told when something is wrong.
    pub alerts: Alerts,
    /// What is logged of it all.
    pub level: LogLevel,
}

impl FromRef<Api> for LogLevel {
    fn from_ref(api: &Api) -> Self {
        api.monitoring.level.clone()
    }
}

impl FromRef<Api> for Monitoring {
    fn from_ref(api: &Api) -> Self {
        api.monitoring.clone()
    }
}

impl FromRef<Api> for Business {
    fn from_ref(api: &Api) -> Self {
        api.monitoring.business.clone()
    }
}

impl FromRef<Api> for Alerts {
    fn from_ref(api: &Api) -> Self {
        api.monitoring.alerts.clone()
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MetricsBody {
    at: String,
    /// Processors, memory, disks, network.
    #[schema(value_type = BTreeMap<String, Measured>)]
    host: Values,
    /// Rates, response times and shares by site.
    sites: BTreeMap<String, BTreeMap<String, f64>>,
    /// The process, its queues, its store.
    #[schema(value_type = BTreeMap<String, Measured>)]
    daemon: Values,
    /// Everything else of the metrics page: gauges as they are, counters by their growth a second.
    #[schema(value_type = BTreeMap<String, Measured>)]
    shield: Values,
    /// What was counted of the business.
    #[schema(value_type = BTreeMap<String, Measured>)]
    business: Values,
    /// What each site promises and how it stands.
    service_levels: Vec<LevelBody>,
}

/// One value as a row.
#[derive(Debug, Serialize)]
struct MetricRow {
    at: String,
    name: String,
    which: String,
    value: f64,
}

/// What was seen last of host, sites, daemon and business.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/metrics/",
    tag = "monitoring",
    params(FormQuery),
    responses((status = 200, content((MetricsBody = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn metrics(
    State(monitoring): State<Monitoring>,
    State(exports): State<Exports>,
    query: Result<Query<FormQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let seen = monitoring.seen.ok_or_else(off)?;
    let readings = seen.readings.borrow().clone();
    if let Some(format @ (Format::Csv | Format::Ndjson)) = query.format {
        let at = rfc3339(clock::wall());
        let rows = readings.iter().map(|reading| MetricRow {
            at: at.clone(),
            name: reading.name.clone(),
            which: reading.which(),
            value: reading.value,
        });
        return exports.whole(("metrics", format), rows.collect());
    }
    let sites = readings.iter().filter_map(|reading| Some((reading.name.strip_prefix("site_")?, reading)));
    let mut by_site: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for (name, reading) in sites {
        let Some((_, site)) = reading.labels.first() else { continue };
        by_site.entry(site.clone()).or_default().insert(name.to_owned(), reading.value);
    }
    let is_daemons = |name: &str| {
        name.starts_with("process_")
            || name.starts_with("skyshield_queue_")
            || name.starts_with("skyshield_store_")
    };
    let is_business = |name: &str| name.starts_with("skyshield_business_");
    let body = MetricsBody {
        at: rfc3339(clock::wall()),
        host: values(&readings, |name| name.strip_prefix("host_")),
        sites: by_site,
        daemon: values(&readings, |name| is_daemons(name).then_some(name)),
        shield: values(&readings, |name| {
            let is_shields = name.starts_with("skyshield_") && !is_daemons(name) && !is_business(name);
            is_shields.then(|| name.strip_prefix("skyshield_")).flatten()
        }),
        business: values(&readings, |name| name.strip_prefix("skyshield_business_")),
        service_levels: seen.levels.load().iter().map(LevelBody::from).collect(),
    };
    Ok(Json(body).into_response())
}

/// Those of `readings` that `name` gives a name.
fn values<'a>(readings: &'a Readings, name: impl Fn(&'a str) -> Option<&'a str>) -> Values {
    let mut values = Values::new();
    for reading in readings.iter() {
        let Reading { labels, value, .. } = reading;
        let Some(name) = name(&reading.name) else { continue };
        if labels.is_empty() {
            values.insert(name.to_owned(), Measured::One(*value));
        } else if let Measured::Several(several) =
            values.entry(name.to_owned()).or_insert_with(|| Measured::Several(BTreeMap::new()))
        {
            several.insert(reading.which(), *value);
        }
    }
    values
}

/// How a site stands by one objective.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LevelBody {
    site: String,
    /// `availability`, `latency`, `errors` or `cache`.
    objective: String,
    /// The share of requests it asks for.
    target: f64,
    /// The share that met it in the last 30 days; none without requests.
    reached: Option<f64>,
    /// Requests in the last 30 days.
    requests: u64,
    /// What is left of the error budget of 30 days: 1 is all of it, below 0 it is overspent.
    budget_left: f64,
    /// By window (`5m`, `30m`, `1h`, `6h`, `3d`): how many times faster than allowed the budget is spent.
    burn: BTreeMap<String, f64>,
}

impl From<&Level> for LevelBody {
    fn from(level: &Level) -> Self {
        Self {
            site: level.site.clone(),
            objective: level.objective.to_owned(),
            target: level.target,
            reached: level.reached,
            requests: level.requests,
            budget_left: level.budget_left,
            burn: level.burn.iter().map(|(window, rate)| ((*window).to_owned(), *rate)).collect(),
        }
    }
}

/// How every site stands by what it promises.
#[utoipa::path(get, path = "/api/v1/monitoring/service-levels/", tag = "monitoring", responses((status = 200, body = Page<LevelBody>)))]
pub(super) async fn service_levels(
    State(monitoring): State<Monitoring>,
) -> Result<Json<Page<LevelBody>>, Problem> {
    let seen = monitoring.seen.ok_or_else(off)?;
    Ok(Page::whole(seen.levels.load().iter().map(LevelBody::from).collect()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// The series; left out: the names of all there are.
    series: Option<String>,
    /// How far back: 1 to 9600 hours, 24 where nothing is said.
    hours: Option<u32>,
    /// The points as rows, streamed; of all series, where none is named.
    #[param(inline)]
    format: Option<Format>,
}

/// One series over time, or the names of all.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryBody {
    /// The names of the series, where none was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series: Vec<String>,
    /// How far the points are apart, in seconds: further the longer ago they begin.
    step_seconds: i64,
    points: Vec<PointBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PointBody {
    /// When the step begins.
    at: String,
    /// The mean over the step.
    mean: f64,
    /// The largest value in it.
    max: f64,
}

/// One series, or with a `format` every point as a row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "said in the document alone: rows are streamed")]
pub(super) enum HistoryAnswer {
    Series(HistoryBody),
    Rows(Page<PointRow>),
}

/// One series of the last hours, days or weeks, kept without another store.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/history/",
    tag = "monitoring",
    params(HistoryQuery),
    responses((status = 200, content((HistoryAnswer = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn history(
    State(reader): State<Reader>,
    State(exports): State<Exports>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let hours = query.hours.unwrap_or(24);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!("hours: 1 to {MAX_HOURS}")));
    }
    let now = millis(clock::wall()) / 1000;
    let from = now - i64::from(hours) * 3600;
    if let Some(format) = query.format {
        return points(&exports, (reader, query.series), format, (from, now));
    }
    let Some(series) = query.series else {
        let series = super::read(move || reader.history_series(from)).await?;
        return Ok(Json(HistoryBody { series, step_seconds: 0, points: Vec::new() }).into_response());
    };
    let (step_seconds, points) = super::read(move || reader.history(&series, from, now, MAX_POINTS)).await?;
    let points = points.into_iter().map(|point| PointBody {
        at: rfc3339(moment(point.at * 1000)),
        mean: point.mean,
        max: point.max,
    });
    Ok(Json(HistoryBody { series: Vec::new(), step_seconds, points: points.collect() }).into_response())
}

/// A point as a row.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PointRow {
    series: String,
    at: String,
    step_seconds: i64,
    mean: f64,
    max: f64,
}

/// The points of one series, or of one after the other.
fn points(
    exports: &Exports,
    (reader, series): (Reader, Option<String>),
    format: Format,
    (from, now): (i64, i64),
) -> Result<Response, Problem> {
    let mut left: Option<std::vec::IntoIter<String>> = series.map(|series| vec![series].into_iter());
    exports.stream(("history", format), move |_| {
        let left = match &mut left {
            Some(left) => left,
            None => left.insert(reader.history_series(from)?.into_iter()),
        };
        let Some(series) = left.next() else { return Ok((Vec::new(), None)) };
        let (step_seconds, points) = reader.history(&series, from, now, MAX_POINTS)?;
        let rows = points.into_iter().map(|point| PointRow {
            series: series.clone(),
            at: rfc3339(moment(point.at * 1000)),
            step_seconds,
            mean: point.mean,
            max: point.max,
        });
        Ok((rows.collect(), (left.len() > 0).then(String::new)))
    })
}

fn off() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing is measured: set metrics.enabled")
}
