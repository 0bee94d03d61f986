//! The metrics page: behind a login at the mission's path, without one on its own loopback listener.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus::Registry;

use super::problem::Problem;
use crate::telemetry;

/// Every metric, in the text form of Prometheus. Scrapers have it without a login at `/metrics` on a
/// listener of their own.
#[utoipa::path(get, path = "/api/v1/monitoring/prometheus/", tag = "monitoring", responses((status = 200, description = "The page", body = str, content_type = "text/plain; version=0.0.4; charset=utf-8")))]
pub(super) async fn page(State(registry): State<Registry>) -> Result<impl IntoResponse, Problem> {
    // Reading the kernel's counters and every series takes a moment.
    let page = tokio::task::spawn_blocking(move || telemetry::page(&registry)).await;
    let page = page.map_err(|error| Problem::internal(&error))?;
    let page = page.map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, telemetry::PAGE_TYPE)], page))
}
