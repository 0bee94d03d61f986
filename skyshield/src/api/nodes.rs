//! `/api/v1/nodes`: the hosts that decide together. A daemon that shares its decisions with no other is the only one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Facts;
use super::health;
use super::page::Page;
use super::problem::Problem;
use super::time::rfc3339;
use crate::clock;
use crate::control::Control;

/// A host that is guarded.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeBody {
    /// The host's name.
    name: String,
    /// Whether it is the one that answers.
    is_self: bool,
    /// `ok` or `degraded`: `/api/v1/monitoring/health/` says why.
    status: &'static str,
    version: &'static str,
    started_at: String,
    uptime_seconds: u64,
    /// When it was last heard of.
    seen_at: String,
    decisions_in_force: usize,
}

/// The hosts that decide together, this one first; all on one page.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "monitoring", responses((status = 200, body = Page<NodeBody>)))]
pub(super) async fn list(
    State(control): State<Control>,
    State(facts): State<Arc<Facts>>,
) -> Result<Json<Page<NodeBody>>, Problem> {
    let health = control.health().await?;
    let (wall, uptime) = (clock::wall(), clock::now().saturating_duration_since(facts.started_at));
    let name = nix::unistd::gethostname().unwrap_or_default();
    Ok(Page::whole(vec![NodeBody {
        name: name.to_string_lossy().into_owned(),
        is_self: true,
        status: health::status(health::is_well(&health) && health.is_in_step()),
        version: env!("CARGO_PKG_VERSION"),
        started_at: rfc3339(wall.checked_sub(uptime).unwrap_or(wall)),
        uptime_seconds: uptime.as_secs(),
        seen_at: rfc3339(wall),
        decisions_in_force: health.decisions_in_force,
    }]))
}
