//! The admin API: `/api/v1` for operators, liveness and readiness for everyone, metrics for scrapers.

mod allowlist;
mod auth;
mod config;
mod decisions;
mod health;
mod incidents;
mod life;
mod listen;
mod problem;
mod prometheus;
mod terms;
mod time;
mod tokens;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use tokio::sync::watch;

use crate::control::Control;
use crate::engine::upstream::Upstream;
use crate::lifecycle::Wishes;
use crate::store::{Reader, Store};

pub use auth::Operator;
pub use config::Config;
pub use listen::{BindError, Listeners};

/// What stays the same for the life of a daemon, for people who ask.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How each guarded interface is, at any time; none without a kernel side.
    pub interfaces: Option<watch::Receiver<Vec<Interface>>>,
    /// When the daemon started.
    pub started_at: Instant,
}

/// An interface that is to be guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Where in its receive path the program runs, `native` or `generic`; none while it is gone.
    pub xdp_mode: Option<&'static str>,
}

/// How each upstream is, whenever it is asked.
#[derive(Clone)]
pub struct UpstreamStates(pub Arc<dyn Fn() -> Vec<Upstream> + Send + Sync>);

/// What handlers may use; each asks for the parts it needs.
#[derive(Clone)]
pub struct Api {
    /// The one road to change a decision.
    pub control: Control,
    /// Where tokens are kept.
    pub store: Store,
    /// What is kept.
    pub reader: Reader,
    /// The metrics.
    pub registry: ::prometheus::Registry,
    /// What stays the same.
    pub facts: Arc<Facts>,
    /// Where the daemon is told what it is to do with itself.
    pub wishes: Wishes,
    /// How the upstreams are.
    pub upstreams: UpstreamStates,
}

impl FromRef<Api> for Control {
    fn from_ref(api: &Api) -> Self {
        api.control.clone()
    }
}

impl FromRef<Api> for Store {
    fn from_ref(api: &Api) -> Self {
        api.store.clone()
    }
}

impl FromRef<Api> for Reader {
    fn from_ref(api: &Api) -> Self {
        api.reader.clone()
    }
}

impl FromRef<Api> for ::prometheus::Registry {
    fn from_ref(api: &Api) -> Self {
        api.registry.clone()
    }
}

impl FromRef<Api> for Arc<Facts> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.facts)
    }
}

impl FromRef<Api> for Wishes {
    fn from_ref(api: &Api) -> Self {
        api.wishes.clone()
    }
}

impl FromRef<Api> for UpstreamStates {
    fn from_ref(api: &Api) -> Self {
        api.upstreams.clone()
    }
}

/// The admin API. Everything below `/api` is for operators only.
pub fn router(api: Api) -> Router {
    let operators = Router::new()
        .merge(both("/api/v1/monitoring/health", || get(health::health)))
        .merge(both("/api/v1/monitoring/prometheus", || get(prometheus::page)))
        .merge(both("/api/v1/decisions", || {
            get(decisions::list).post(decisions::ban).delete(decisions::lift_source)
        }))
        .merge(both("/api/v1/decisions/{id}", || get(decisions::show).delete(decisions::lift)))
        .merge(both("/api/v1/allowlist", || {
            get(allowlist::list).post(allowlist::add).delete(allowlist::remove_whom)
        }))
        .merge(both("/api/v1/allowlist/{id}", || axum::routing::delete(allowlist::remove)))
        .merge(both("/api/v1/incidents", || get(incidents::list)))
        .merge(both("/api/v1/incidents/{id}", || get(incidents::show)))
        .merge(both("/api/v1/tokens", || get(tokens::list).post(tokens::add)))
        .merge(both("/api/v1/reload", || axum::routing::post(life::reload)))
        .merge(both("/api/v1/upgrade", || axum::routing::post(life::upgrade)))
        .merge(both("/api/v1/tokens/{id}", || axum::routing::delete(tokens::revoke)))
        .layer(axum::middleware::from_fn_with_state(api.reader.clone(), auth::require_operator));
    Router::new()
        .merge(operators)
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(api)
}

/// What scrapers see: the metrics page, without a login, on a listener of its own.
pub fn metrics_router(registry: ::prometheus::Registry) -> Router {
    Router::new().route("/metrics", get(prometheus::page)).fallback(problem::not_found).with_state(registry)
}

/// A route with and without the trailing slash: the mission's paths end in one, hands forget it.
fn both(path: &str, methods: impl Fn() -> axum::routing::MethodRouter<Api>) -> Router<Api> {
    Router::new().route(path, methods()).route(&format!("{path}/"), methods())
}

/// Reads from the store, off the tasks that must not wait for a disk.
async fn read<T: Send + 'static>(
    read: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, problem::Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(problem::Problem::internal(&error)),
        Err(error) => Err(problem::Problem::internal(&error)),
    }
}

#[cfg(test)]
mod tests;
