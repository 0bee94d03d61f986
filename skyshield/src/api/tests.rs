//! The router by `oneshot`: who may ask, what is answered, and what bad input changes (nothing).

mod access;
mod allowlist;
mod audit;
mod configuration;
mod decisions;
mod exchange;
mod explained;
mod exports;
mod incidents;
mod knowledge;
mod live;
mod matrix;
mod monitoring;
mod openapi;
mod privacy;
mod rulings;
mod security;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

use super::table::Needs;
use super::{Api, Facts, Monitoring, UpstreamStates, metrics_router, router};
use crate::alerts::{self, Receivers};
use crate::control::{self, Parts, Task};
use crate::dataplane::{self, Memory};
use crate::engine::behaviour::{self, Behaviour};
use crate::engine::ledger::Capacity;
use crate::engine::never_ban::{NeverBan, Protection};
use crate::engine::upstream::{State, Upstream};
use crate::engine::view::View;
use crate::engine::{escalation, risk};
use crate::lifecycle::Wishes;
use crate::monitor::business::Business;
use crate::monitor::levels::{self, Levels};
use crate::monitor::{self, Sampler};
use crate::rehearsal::{self, Stage};
use crate::verdict::Settings;
use crate::{clock, inspect, store};

/// The API over a real store and the model of the kernel.
struct TestApp {
    router: Router,
    metrics: Router,
    token: String,
    /// What the router is made of.
    api: Api,
    dir: tempfile::TempDir,
    _stop: DropGuard,
}

/// Prefixes of a family that there is room for.
const PREFIXES: usize = 20;

/// Rules are compiled once for all tests: it takes a while.
fn stage(registry: &::prometheus::Registry) -> Stage {
    static SETTINGS: std::sync::OnceLock<Arc<Settings>> = std::sync::OnceLock::new();
    let limits = inspect::Limits::default();
    let settings = SETTINGS.get_or_init(|| Arc::new(Settings::new(&limits, &risk::Config::default(), &[])));
    let metrics = rehearsal::Metrics::new(registry).unwrap();
    Stage::new(Arc::clone(settings), Arc::default(), limits, rehearsal::Config::default(), metrics)
}

/// The API's parts over a real store and the model of the kernel; gone with the guards.
pub(super) fn parts() -> (Api, tempfile::TempDir, DropGuard) {
    let dir = tempfile::tempdir().unwrap();
    let opened = store::open(&store::Config { dir: dir.path().join("state"), ..Default::default() }).unwrap();
    let registry = ::prometheus::Registry::new();
    let view = Arc::<View>::default();
    let parts = Parts {
        enforcer: Box::new(Memory::new(&dataplane::Config::default())),
        store: opened.store.clone(),
        reader: opened.reader.clone(),
        view: Arc::clone(&view),
        never_ban: NeverBan::new([("198.51.100.0/24".parse().unwrap(), Protection::AllowList)]),
        risk: risk::Config::default(),
        behaviour: Behaviour::new(behaviour::Config::default(), behaviour::Key::new([1; 16]), clock::now()),
        escalation: escalation::Config::default(),
        capacity: Capacity { bans: 1000, prefixes: PREFIXES },
        missed_after: None,
    };
    let metrics = control::Metrics::new(&registry).unwrap();
    let (task, control, _) = Task::new(parts, metrics).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(task.run(stop.clone()));
    let (facts, wishes) =
        (Facts { interfaces: None, tap: None, started_at: clock::now() }, Wishes::channel().0);
    let upstreams = UpstreamStates(Arc::new(|| {
        let state = |site: &str, upstream: &str, state| Upstream {
            site: site.into(),
            upstream: upstream.into(),
            state,
            active: 0,
        };
        vec![state("shop", "10.0.0.1:80", State::Down), state("shop", "10.0.0.2:80", State::Up)]
    }));
    let facts = facts.into();
    let own = super::Own::new(&registry, super::Kept::default()).unwrap();
    let stored = (opened.store.clone(), opened.reader.clone());
    let declared = toml::from_str(monitoring::KINDS).unwrap();
    let (business, ingest, _) = Business::new(&declared, &registry, stored, [5; 32]).unwrap();
    tokio::spawn(ingest.run(stop.clone()));
    let receivers = Receivers::new(&alerts::Config::default()).unwrap();
    let stored = (opened.store.clone(), &opened.reader);
    let (telling, alerts) =
        alerts::Task::new(&alerts::Config::default(), &registry, stored, receivers).unwrap();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let (_nobody_looks, readings) = tokio::sync::watch::channel(Arc::default());
        telling.run(readings, stopped).await
    });
    let levels = Levels::new(levels::Config::default(), &[]);
    let looks = monitor::Config::default();
    let (_, seen) = Sampler::new(&looks, levels, &registry, opened.store.clone(), Vec::new()).unwrap();
    let level = crate::telemetry::Level::of(&crate::telemetry::Config::default()).1;
    let monitoring = Monitoring { seen: Some(seen), business, alerts, level };
    let (store, reader, sights) = (opened.store, opened.reader, Arc::default());
    let stage = stage(&registry);
    let knowing = super::Knowing { view, ..super::Knowing::nothing() };
    let api = Api {
        control,
        store,
        reader,
        registry,
        facts,
        wishes,
        upstreams,
        sights,
        stage,
        monitoring,
        own,
        knowing,
    };
    (api, dir, stop.drop_guard())
}

impl TestApp {
    async fn new() -> Self {
        let (api, dir, stop) = parts();
        let metrics = metrics_router(api.registry.clone());
        let by_root = router(api.clone()).layer(axum::Extension(super::Operator::root()));
        let made =
            answer(&by_root, post("/api/v1/tokens", &json!({ "name": "tests", "role": "admin" }))).await;
        let token = made.body["token"].as_str().unwrap().to_owned();
        Self { router: router(api.clone()), metrics, token, api, dir, _stop: stop }
    }

    /// The answer to `request` by the operator that holds the token.
    async fn ask(&self, mut request: Request<Body>) -> Answer {
        let bearer = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        answer(&self.router, request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn in_force(&self) -> usize {
        self.get("/api/v1/decisions?limit=1000").await.body["items"].as_array().unwrap().len()
    }
}

struct Answer {
    status: StatusCode,
    kind: String,
    challenge: bool,
    text: String,
    body: Value,
}

impl Answer {
    /// Checks that this is a whole problem of `status` whose detail holds `told`.
    fn is_problem(&self, status: u16, told: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.kind, "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], status, "{}", self.text);
        assert_eq!(self.body["type"], "about:blank");
        assert_eq!(self.body["title"], self.status.canonical_reason().unwrap());
        assert!(self.body["detail"].as_str().unwrap().contains(told), "{}\nand not: {told}", self.text);
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let challenge = response.headers().contains_key(header::WWW_AUTHENTICATE);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, kind: kind.unwrap_or_default(), challenge, text, body }
}

fn post(path: &str, body: &Value) -> Request<Body> {
    let json = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    json.body(Body::from(body.to_string())).unwrap()
}

fn delete(path: &str) -> Request<Body> {
    Request::delete(path).body(Body::empty()).unwrap()
}

/// Every line of the table that is for operators, with something for each part that names something.
fn for_operators() -> Vec<(Method, String, Needs)> {
    let (api, _dir, _stop) = parts();
    let table = super::table(&api);
    let lines = table.entries().iter().filter(|entry| entry.needs != Needs::Nothing);
    let filled = lines.map(|entry| {
        let path = entry.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        (entry.method.clone(), path.collect::<Vec<_>>().join("/"), entry.needs)
    });
    filled.collect()
}

/// A path with and without its slash.
fn both(path: &str) -> [String; 2] {
    let bare = path.trim_end_matches('/');
    [bare.to_owned(), format!("{bare}/")]
}

#[tokio::test]
async fn nobody_comes_in_without_a_token() {
    let app = TestApp::new().await;
    let wrong_secret = format!("{}0", &app.token[..app.token.len() - 1]);
    let wrong_secret = if wrong_secret == app.token { wrong_secret.replace('0', "1") } else { wrong_secret };
    let lines = for_operators();
    assert!(lines.len() > 20, "{lines:?}");
    for (method, path, _) in lines {
        for path in both(&path) {
            for sent in [
                None,
                Some("Basic cm9vdDpyb290".to_owned()),
                Some("Bearer ".to_owned()),
                Some("Bearer sky_00000000_00".to_owned()),
                Some(format!("Bearer {wrong_secret}")),
                Some(format!("Bearer {}", &app.token[4..])),
            ] {
                let mut request = Request::builder().method(&method).uri(&path);
                if let Some(sent) = &sent {
                    request = request.header(header::AUTHORIZATION, sent);
                }
                let refused = answer(&app.router, request.body(Body::empty()).unwrap()).await;
                refused.is_problem(401, "token");
                assert!(refused.challenge, "{method} {path} with {sent:?}");
            }
        }
    }
    assert_eq!(app.in_force().await, 0);
}

#[tokio::test]
async fn every_path_is_there_with_and_without_its_slash() {
    let app = TestApp::new().await;
    let lines = for_operators();
    // A stream has no end to wait for.
    let is_listed = |path: &str| !path.contains("/1") && path != "/api/v1/stream";
    for (_, path, _) in lines.iter().filter(|(method, path, _)| method == Method::GET && is_listed(path)) {
        for path in both(path) {
            assert_eq!(app.get(&path).await.status, StatusCode::OK, "{path}");
        }
    }
    app.get("/api/v1/nothing").await.is_problem(404, "nothing at this path");
    app.get("/").await.is_problem(404, "nothing at this path");
    app.ask(post("/api/v1/incidents", &json!({}))).await.is_problem(405, "method");
}

#[tokio::test]
async fn a_tokens_secret_is_shown_once_and_its_end_is_kept() {
    let app = TestApp::new().await;
    let made = app.ask(post("/api/v1/tokens", &json!({ "name": "short", "ttl": "1s" }))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let token = made.body["token"].as_str().unwrap();
    let listed = app.get("/api/v1/tokens").await;
    let names: Vec<_> =
        listed.body["items"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["tests", "short"]);
    let secret = token.rsplit_once('_').unwrap().1;
    assert!(!listed.text.contains(secret) && !listed.text.contains("sha256"), "{}", listed.text);

    let by = async |token: &str| {
        let request =
            Request::get("/api/v1/decisions").header(header::AUTHORIZATION, format!("Bearer {token}"));
        answer(&app.router, request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(by(token).await.status, StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    by(token).await.is_problem(401, "no longer");

    let id = made.body["id"].as_str().unwrap();
    assert_eq!(app.ask(delete(&format!("/api/v1/tokens/{id}"))).await.status, StatusCode::OK);
    app.ask(delete(&format!("/api/v1/tokens/{id}"))).await.is_problem(404, "no token");
    for (name, told) in
        [(String::new(), "1 to 64"), ("x".repeat(65), "1 to 64"), ("a\tb".to_owned(), "control")]
    {
        app.ask(post("/api/v1/tokens", &json!({ "name": name }))).await.is_problem(400, told);
    }
}

#[tokio::test]
async fn machines_ask_for_life_readiness_and_metrics_without_a_login() {
    let app = TestApp::new().await;
    for (path, told) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let told_us = answer(&app.router, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!((told_us.status, told_us.text.as_str()), (StatusCode::OK, told));
    }
    let page = answer(&app.metrics, Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert!(page.kind.starts_with("text/plain; version=0.0.4"), "{}", page.kind);
    assert!(page.text.contains("\nskyshield_enforcement_drift 0\n"), "{}", page.text);
    let behind_login = app.get("/api/v1/monitoring/prometheus/").await;
    assert_eq!(behind_login.kind, page.kind);
    let api = answer(&app.metrics, Request::get("/api/v1/decisions").body(Body::empty()).unwrap()).await;
    api.is_problem(404, "nothing at this path");

    let health = app.get("/api/v1/monitoring/health/").await.body;
    assert_eq!(
        health["components"],
        json!({
            "control": { "status": "ok" },
            "dataplane": {
                "status": "ok",
                "bypass": { "bypassed": false, "seconds_left": 0 },
                "interface": null,
                "xdp_mode": "off",
                "interfaces": [],
            },
            "doors": [],
            "gateway": { "status": "ok", "upstreams": [
                { "site": "shop", "upstream": "10.0.0.1:80", "status": "down", "requests_in_progress": 0 },
                { "site": "shop", "upstream": "10.0.0.2:80", "status": "up", "requests_in_progress": 0 },
            ] },
            "knowledge": { "status": "ok" },
            "store": { "status": "ok" },
        })
    );
    assert_eq!((&health["status"], &health["decisions_capacity"]), (&json!("ok"), &json!(1000)));
    assert_eq!((&health["waiting_for_room"], &health["left_out"]), (&json!(0), &json!(0)));
}
