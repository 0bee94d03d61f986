//! Liveness and readiness for machines, health for operators.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::bypass::BypassBody;
use super::export::{Exports, FormQuery};
use super::knowing::Knowing;
use super::problem::Problem;
use super::{Facts, Interface, Tapped, UpstreamStates};
use crate::clock;
use crate::control::{Control, Health};
use crate::engine::sight::Sight;
use crate::engine::upstream::{State as UpstreamState, Upstream};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "about", responses((status = 200, description = "It does", body = str, content_type = "text/plain; charset=utf-8")))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The kernel takes changes, the disk takes writes, the control task answers.
#[utoipa::path(get, path = "/readyz", tag = "about", responses((status = 200, description = "They do", body = str, content_type = "text/plain; charset=utf-8")))]
pub(super) async fn ready(State(control): State<Control>) -> Result<&'static str, Problem> {
    let health = control.health().await?;
    if is_well(&health) {
        return Ok("ready\n");
    }
    let what = "not ready; operators see why in /api/v1/monitoring/health/";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthBody {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    components: Components,
    decisions_in_force: usize,
    decisions_capacity: usize,
    drift: usize,
    /// Bans that hold at the doors only, because the kernel has no room for them.
    waiting_for_room: usize,
    /// Those whom no decision may cut off, and of whom the kernel does not know: its allow list has no room for them.
    left_out: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Components {
    control: Component,
    dataplane: Dataplane,
    gateway: Gateway,
    /// How far each other door sees, and what it cannot.
    doors: Vec<DoorBody>,
    /// `degraded` where a list, a database of places or a provider fails; nothing else hangs on it.
    knowledge: Component,
    store: Component,
    /// Left out where there is no tap.
    #[serde(skip_serializing_if = "Option::is_none")]
    tap: Option<TapBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TapHealth)]
struct TapBody {
    /// `degraded` where TLS was heard: nothing of it is inspected.
    status: &'static str,
    ports: Vec<u16>,
    /// Ports on which TLS was heard. Take them out of `tap.ports`.
    tls_ports: Vec<u16>,
}

impl From<&Tapped> for TapBody {
    fn from(tapped: &Tapped) -> Self {
        let tls_ports = tapped.tls_ports.borrow().clone();
        Self { status: status(tls_ports.is_empty()), ports: tapped.ports.clone(), tls_ports }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GatewayHealth)]
struct Gateway {
    status: &'static str,
    upstreams: Vec<UpstreamBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct UpstreamBody {
    site: String,
    upstream: String,
    /// `up`, `resting` or `down`.
    status: &'static str,
    requests_in_progress: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Component {
    status: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DataplaneHealth)]
struct Dataplane {
    status: &'static str,
    bypass: BypassBody,
    interface: Option<String>,
    xdp_mode: &'static str,
    interfaces: Vec<InterfaceBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct InterfaceBody {
    name: String,
    status: &'static str,
    xdp_mode: &'static str,
}

/// How far a door sees beside the gateway.
#[derive(Debug, Serialize, ToSchema)]
struct DoorBody {
    door: &'static str,
    name: String,
    place: String,
    mode: &'static str,
    sees_bodies: bool,
    /// Where its clients are banned: `kernel` or `door`.
    bans: &'static str,
    cannot: Vec<&'static str>,
}

impl From<&Sight> for DoorBody {
    fn from(sight: &Sight) -> Self {
        let Sight { door, name, place, mode, sees_bodies, bans, cannot } = sight.clone();
        Self { door, name, place, mode, sees_bodies, bans, cannot }
    }
}

impl Dataplane {
    /// The first interface is named a second time, for who knows of one only.
    fn new(health: &Health, guarded: Option<&[Interface]>) -> Self {
        let mode = |interface: &Interface| interface.xdp_mode.unwrap_or("gone");
        let first = guarded.and_then(<[Interface]>::first);
        let interfaces = guarded.unwrap_or_default();
        let drops = health.dataplane_answers && health.bypass_left.is_zero();
        Self {
            status: status(drops && interfaces.iter().all(|interface| interface.xdp_mode.is_some())),
            bypass: health.bypass_left.into(),
            interface: first.map(|interface| interface.name.clone()),
            xdp_mode: first.map_or("off", mode),
            interfaces: interfaces
                .iter()
                .map(|interface| InterfaceBody {
                    name: interface.name.clone(),
                    status: status(interface.xdp_mode.is_some()),
                    xdp_mode: mode(interface),
                })
                .collect(),
        }
    }
}

/// How every part of the daemon is.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/health/",
    tag = "monitoring",
    params(FormQuery),
    responses((status = 200, content((HealthBody = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn health(
    State(control): State<Control>,
    State(facts): State<Arc<Facts>>,
    State(UpstreamStates(upstreams)): State<UpstreamStates>,
    State(doors): State<Arc<[Sight]>>,
    State(knowing): State<Knowing>,
    State(exports): State<Exports>,
    query: Result<Query<FormQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let answer = control.health().await;
    let answers = answer.is_ok();
    let health = answer.unwrap_or_default();
    let guarded = facts.interfaces.as_ref().map(|interfaces| interfaces.borrow().clone());
    let dataplane = Dataplane::new(&health, guarded.as_deref());
    let is_guarded = dataplane.status == status(true);
    let upstreams = upstreams();
    let served = every_site_is_served(&upstreams);
    let is_sound = answers && is_well(&health) && health.is_in_step();
    let body = HealthBody {
        status: status(is_sound && is_guarded && served),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: clock::now().saturating_duration_since(facts.started_at).as_secs(),
        components: Components {
            control: Component { status: status(answers) },
            dataplane,
            gateway: Gateway {
                status: status(served),
                upstreams: upstreams.into_iter().map(UpstreamBody::from).collect(),
            },
            doors: doors.iter().map(DoorBody::from).collect(),
            knowledge: Component { status: status(knowing.is_well()) },
            store: Component { status: status(health.store_writes) },
            tap: facts.tap.as_ref().map(TapBody::from),
        },
        decisions_in_force: health.decisions_in_force,
        decisions_capacity: health.capacity,
        drift: health.drift,
        waiting_for_room: health.waiting_for_room,
        left_out: health.left_out,
    };
    exports.report(("health", query.format), &body)
}

/// Whether each site has an upstream that answers.
fn every_site_is_served(upstreams: &[Upstream]) -> bool {
    let up =
        |site: &str| upstreams.iter().any(|other| other.site == site && other.state == UpstreamState::Up);
    upstreams.iter().all(|upstream| up(&upstream.site))
}

impl From<Upstream> for UpstreamBody {
    fn from(upstream: Upstream) -> Self {
        let Upstream { site, upstream, state, active } = upstream;
        Self { site, upstream, status: state.name(), requests_in_progress: active }
    }
}

pub(super) fn is_well(health: &Health) -> bool {
    health.dataplane_answers && health.store_writes
}

pub(super) fn status(is_well: bool) -> &'static str {
    if is_well { "ok" } else { "degraded" }
}
