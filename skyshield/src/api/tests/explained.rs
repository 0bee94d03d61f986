//! What the number on an answer leads to that turned somebody away without an incident.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::engine::feeds::{Action, List, Lists};
use crate::engine::incident::{Client, Door};
use crate::engine::ranges::Ranges;
use crate::inspect::Request;
use crate::limits::{self, Limiter};
use crate::verdict::{Judge, Verdict};

/// A judge that knows what the API knows, and lets each source ask once an hour.
fn judge(app: &TestApp) -> Judge {
    let limits: limits::Config =
        toml::from_str("[classes.default]\nrequests = 1\nwindow_secs = 3600").unwrap();
    let limiter = Limiter::new(&limits, &::prometheus::Registry::new(), clock::now()).unwrap();
    let settings = Settings::new(&inspect::Limits::default(), &risk::Config::default(), &[]);
    let (view, control) = (Arc::clone(&app.api.knowing.view), app.api.control.clone());
    Judge::new(settings, view, control).limited_by(limiter)
}

/// The number on the answer to a request of `address`, which is turned away by `door`.
fn number(judge: &Judge, door: Door, address: &str, at: Instant) -> String {
    let client = Client { address: address.parse().unwrap(), by_proxy: false };
    let request = Request { method: b"GET", target: b"/", headers: &[], body: b"" };
    match judge.judge(client, door, &request, at) {
        Verdict::Pass(_) => "passed".to_owned(),
        Verdict::Limit(limited) => limited.incident.to_string(),
        Verdict::Refuse(refusal) => refusal.incident.to_string(),
    }
}

#[tokio::test]
async fn the_number_on_a_429_leads_to_when_it_was_within_again_until_its_source_is_erased() {
    let app = TestApp::new().await;
    let (judge, now) = (judge(&app), clock::now());
    assert_eq!(number(&judge, Door::ForwardAuth, "45.0.0.1", now), "passed");
    let limited = number(&judge, Door::ForwardAuth, "45.0.0.1", now);
    let path = format!("/api/v1/explain/{limited}");
    let mut explained = app.get(&path).await.body;
    assert!(explained["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{explained}");
    explained["at"] = Value::Null;
    assert_eq!(
        explained,
        json!({
            "answer": limited, "at": null, "address": "45.0.0.1",
            "why": "it was over its quota, and within it again after 3600 s", "retry_after_secs": 3600,
            "ban": null, "unwanted_by": null,
        })
    );
    app.ask(post("/api/v1/privacy/erase", &json!({ "whom": "45.0.0.1" }))).await;
    app.get(&path).await.is_problem(404, "there is no incident, answer of the last hour or address");
}

#[tokio::test]
async fn who_is_unwanted_banned_or_has_to_log_in_is_told_so() {
    let app = TestApp::new().await;
    let (judge, view) = (judge(&app), &app.api.knowing.view);
    view.set_lists(Lists::new(vec![List {
        name: "drop".into(),
        action: Action::Ban,
        weight: 1.0,
        ranges: Arc::new(Ranges::of(["45.0.1.0/24".parse().unwrap()])),
        hits: Arc::default(),
    }]));
    let ban = app.ask(post("/api/v1/decisions", &json!({ "source": "45.0.2.0/24" }))).await.body;
    let (to_log_in, now): (IpAddr, _) = ("45.0.3.1".parse().unwrap(), clock::now());
    view.measures().require_login(to_log_in, now + Duration::from_mins(1), now);
    let by_ban = format!("it was banned by decision {}", ban["id"]);
    for (address, why, unwanted_by) in [
        ("45.0.1.1", "a list or a policy on places did not want its source", json!("list drop")),
        ("45.0.2.1", by_ban.as_str(), Value::Null),
        ("45.0.3.1", "its source had to log in, and it was of no user", Value::Null),
    ] {
        let number = number(&judge, Door::Gateway, address, clock::now());
        let explained = app.get(&format!("/api/v1/explain/{number}")).await.body;
        assert_eq!((&explained["address"], &explained["why"]), (&json!(address), &json!(why)));
        assert_eq!((&explained["unwanted_by"], &explained["retry_after_secs"]), (&unwanted_by, &Value::Null));
        let decision = if address == "45.0.2.1" { &ban["id"] } else { &Value::Null };
        assert_eq!(&explained["ban"]["id"], decision, "{explained}");
    }
    let refusal = judge.ban_of("45.0.1.2".parse().unwrap(), Door::Gateway, now).unwrap();
    let before_its_body = app.get(&format!("/api/v1/explain/{}", refusal.incident)).await;
    assert_eq!(before_its_body.body["address"], "45.0.1.2", "{}", before_its_body.text);
    // Nobody holds a number of a door that answers nobody.
    let untold = number(&judge, Door::Tap, "45.0.2.2", clock::now());
    app.get(&format!("/api/v1/explain/{untold}")).await.is_problem(404, "there is no incident");
}
