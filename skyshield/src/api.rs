//! The admin API: `/api/v1` for operators, liveness and readiness for everyone, metrics for scrapers.

mod alerts;
mod allowlist;
mod attempts;
mod audit;
mod auth;
mod business;
mod bypass;
mod config;
mod counters;
mod decisions;
mod doctor;
mod document;
mod exceptions;
mod explain;
mod export;
mod feeds;
mod guard;
mod health;
mod history;
mod in_force;
mod incidents;
mod kernel;
mod knowing;
mod level;
mod life;
mod limits;
mod listen;
mod live;
mod logs;
mod monitoring;
mod nodes;
mod operators;
mod own;
mod page;
mod password;
mod privacy;
mod problem;
mod processing;
mod prometheus;
mod rehearsals;
mod reputation;
mod role;
mod rows;
mod rules;
mod security;
mod session;
mod stream;
mod table;
mod terms;
mod threats;
mod time;
mod tls;
mod tokens;
mod writes;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use tokio::sync::watch;
use utoipa_axum::routes;

use crate::control::Control;
use crate::engine::sight::Sight;
use crate::engine::upstream::Upstream;
use crate::lifecycle::Wishes;
use crate::rehearsal::Stage;
use crate::store::{Reader, Store};

use export::Exports;
use live::Live;
use stream::Streams;
use table::Needs;

pub use auth::Operator;
pub use config::Config;
pub use knowing::Knowing;
pub use listen::{BindError, Listeners};
pub use monitoring::Monitoring;
pub use own::Own;
pub use processing::Kept;
pub use role::{Role, Scope, Scopes};

/// What stays the same for the life of a daemon, for people who ask.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How each guarded interface is, at any time; none without a kernel side.
    pub interfaces: Option<watch::Receiver<Vec<Interface>>>,
    /// What the tap listens to; none where there is no tap.
    pub tap: Option<Tapped>,
    /// When the daemon started.
    pub started_at: Instant,
}

/// What the tap listens to.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// TCP ports.
    pub ports: Vec<u16>,
    /// Those on which TLS was heard, so far, which it does not understand.
    pub tls_ports: watch::Receiver<Vec<u16>>,
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
    /// How far the doors see beside the gateway.
    pub sights: Arc<[Sight]>,
    /// Where the configuration in force is rehearsed.
    pub stage: Stage,
    /// What is measured.
    pub monitoring: Monitoring,
    /// What it keeps to itself.
    pub own: Own,
    /// What is known of sources beyond their requests.
    pub knowing: Knowing,
}

impl FromRef<Api> for Live {
    fn from_ref(api: &Api) -> Self {
        api.own.live.clone()
    }
}

impl FromRef<Api> for Streams {
    fn from_ref(api: &Api) -> Self {
        api.own.streams.clone()
    }
}

impl FromRef<Api> for Exports {
    fn from_ref(api: &Api) -> Self {
        api.own.exports.clone()
    }
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

impl FromRef<Api> for Stage {
    fn from_ref(api: &Api) -> Self {
        api.stage.clone()
    }
}

impl FromRef<Api> for UpstreamStates {
    fn from_ref(api: &Api) -> Self {
        api.upstreams.clone()
    }
}

impl FromRef<Api> for Arc<[Sight]> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.sights)
    }
}

impl FromRef<Api> for Knowing {
    fn from_ref(api: &Api) -> Self {
        api.knowing.clone()
    }
}

/// Every route: what it needs, and its handler, which carries its own description.
fn table(api: &Api) -> table::Table {
    use Needs::{Anyone, Nothing, Scope};
    use role::Scope::{AuditRead, BusinessIngest, ConfigWrite, DecisionsWrite, EventsRead, MonitoringRead};
    table::Table::new(api)
        .route(Nothing, routes!(health::live))
        .route(Nothing, routes!(health::ready))
        .route(Anyone, routes!(document::show))
        .route(Scope(MonitoringRead), routes!(health::health))
        .route(Scope(MonitoringRead), routes!(security::report))
        .route(Scope(MonitoringRead), routes!(prometheus::page))
        .route(Scope(MonitoringRead), routes!(kernel::show))
        .route(Scope(ConfigWrite), routes!(bypass::begin))
        .route(Scope(ConfigWrite), routes!(bypass::end))
        .route(Scope(MonitoringRead), routes!(monitoring::metrics))
        .route(Scope(MonitoringRead), routes!(monitoring::history))
        .route(Scope(MonitoringRead), routes!(monitoring::service_levels))
        .route(Scope(MonitoringRead), routes!(business::report))
        .feed(Scope(BusinessIngest), routes!(business::count))
        .route(Scope(MonitoringRead), routes!(alerts::list))
        .route(Scope(ConfigWrite), routes!(alerts::test))
        .route(Scope(EventsRead), routes!(decisions::list))
        .route(Scope(DecisionsWrite), routes!(decisions::decide))
        .route(Scope(DecisionsWrite), routes!(decisions::lift_subject))
        .route(Scope(EventsRead), routes!(decisions::export))
        .route_of_size(Scope(DecisionsWrite), decisions::MAX_LIST, routes!(decisions::import))
        .route(Scope(EventsRead), routes!(decisions::show))
        .route(Scope(DecisionsWrite), routes!(decisions::lift))
        .route(Scope(EventsRead), routes!(exceptions::list))
        .route(Scope(DecisionsWrite), routes!(exceptions::add))
        .route(Scope(DecisionsWrite), routes!(exceptions::remove))
        .route(Scope(EventsRead), routes!(explain::explain))
        .route(Scope(EventsRead), routes!(allowlist::list))
        .route(Scope(DecisionsWrite), routes!(allowlist::add))
        .route(Scope(DecisionsWrite), routes!(allowlist::remove_whom))
        .route(Scope(DecisionsWrite), routes!(allowlist::remove))
        .route(Scope(EventsRead), routes!(incidents::list))
        .route(Scope(EventsRead), routes!(incidents::show))
        .route(Scope(EventsRead), routes!(history::show))
        .route(Scope(EventsRead), routes!(threats::list))
        .route(Scope(EventsRead), routes!(threats::indicators))
        .route(Scope(MonitoringRead), routes!(rules::list))
        .route(Scope(MonitoringRead), routes!(rules::show))
        .route(Scope(MonitoringRead), routes!(limits::show))
        .route(Scope(MonitoringRead), routes!(nodes::list))
        .route(Scope(EventsRead), routes!(feeds::list))
        .route(Scope(DecisionsWrite), routes!(feeds::refresh))
        .route(Scope(EventsRead), routes!(reputation::show))
        .route(Scope(EventsRead), routes!(reputation::known))
        .route(Scope(EventsRead), routes!(reputation::places))
        .route(Scope(AuditRead), routes!(audit::list))
        .route(Scope(AuditRead), routes!(audit::verify))
        .route(Scope(EventsRead), routes!(stream::follow))
        .route(Nothing, routes!(session::log_in))
        .route(Anyone, routes!(session::show))
        .route(Anyone, routes!(session::log_out))
        .route(Scope(ConfigWrite), routes!(operators::list))
        .route(Scope(ConfigWrite), routes!(operators::add))
        .route(Scope(ConfigWrite), routes!(operators::remove))
        .route(Scope(ConfigWrite), routes!(operators::make_codes))
        .route(Scope(ConfigWrite), routes!(operators::take_codes))
        .route(Scope(ConfigWrite), routes!(privacy::erase))
        .route(Scope(AuditRead), routes!(processing::record))
        .route(Scope(ConfigWrite), routes!(tokens::list))
        .route(Scope(ConfigWrite), routes!(tokens::add))
        .route(Scope(ConfigWrite), routes!(tokens::revoke))
        .route(Scope(MonitoringRead), routes!(level::show))
        .route(Scope(ConfigWrite), routes!(level::change))
        .route(Scope(ConfigWrite), routes!(in_force::show))
        .route(Scope(ConfigWrite), routes!(in_force::replace))
        .route(Scope(ConfigWrite), routes!(in_force::check))
        .route(Scope(ConfigWrite), routes!(life::reload))
        .route(Scope(ConfigWrite), routes!(life::upgrade))
        .route(Scope(ConfigWrite), routes!(life::apply))
        .route(Scope(ConfigWrite), routes!(life::confirm))
        .route(Scope(ConfigWrite), routes!(life::roll_back))
        .route(Scope(MonitoringRead), routes!(doctor::examine))
        .route(Scope(MonitoringRead), routes!(rehearsals::last))
        .route(Scope(DecisionsWrite), routes!(rehearsals::now))
}

/// The admin API. Everything below `/api` is for operators only.
pub fn router(api: Api) -> Router {
    let (open, guarded, document) = table(&api).into_parts();
    // A document of strings and numbers: there is nothing in it that JSON cannot say.
    let document = document::Document(document.to_json().unwrap_or_default().into());
    let operators = guarded
        .layer(axum::Extension(document))
        .layer(axum::middleware::from_fn_with_state(api.clone(), auth::require_operator));
    Router::new()
        .merge(operators)
        .merge(open)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(api)
}

/// What scrapers see: the metrics page, without a login, on a listener of its own.
pub fn metrics_router(registry: ::prometheus::Registry) -> Router {
    Router::new().route("/metrics", get(prometheus::page)).fallback(problem::not_found).with_state(registry)
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
