//! What happens as it happens: the stream, and the changes of decisions.

use std::time::Duration;

use super::*;
use crate::engine::happening::Happening;

/// The API with somebody who passes on what happens.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    let happenings = app.api.control.follow().unwrap();
    let alerts = app.api.monitoring.alerts.changes();
    tokio::spawn(app.api.own.live.clone().follow(happenings, alerts));
    tokio::spawn(app.api.own.live.clone().herald());
    app
}

async fn ban(app: &TestApp, source: &str) -> u64 {
    let made = app.ask(post("/api/v1/decisions", &json!({ "source": source }))).await;
    made.body["id"].as_u64().unwrap()
}

/// The changes since `revision`, once there are `count` of them.
async fn changes(app: &TestApp, revision: u64, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let answer = app.get(&format!("/api/v1/decisions?since={revision}")).await.body;
        let changes = answer["changes"].as_array().unwrap().clone();
        if changes.len() >= count {
            return changes;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {count} changes after {revision}")
}

#[tokio::test]
async fn a_mirror_of_the_list_learns_every_change_in_its_order() {
    let app = app().await;
    let revision = app.get("/api/v1/decisions").await.body["revision"].as_u64().unwrap();
    let first = ban(&app, "203.0.113.7").await;
    let second = ban(&app, "203.0.113.8").await;
    app.ask(delete(&format!("/api/v1/decisions/{first}"))).await;
    let told = changes(&app, revision, 3).await;
    let said: Vec<_> = told
        .iter()
        .map(|change| (change["change"].as_str().unwrap(), change["id"].as_u64().unwrap()))
        .collect();
    assert_eq!(said, [("made", first), ("made", second), ("lifted", first)]);
    assert_eq!(told[1]["decision"]["source"], "203.0.113.8");
    let one = app.get(&format!("/api/v1/decisions?since={revision}&limit=1")).await.body;
    assert_eq!((&one["revision"], &one["more"]), (&json!(revision + 1), &json!(true)));
    let none = app.get(&format!("/api/v1/decisions?since={}", revision + 3)).await.body;
    assert_eq!((&none["changes"], &none["more"]), (&json!([]), &json!(false)));
    for gone in [0, revision - 1, revision + 4] {
        app.get(&format!("/api/v1/decisions?since={gone}")).await.is_problem(410, "whole list");
    }
}

/// The text of a stream until it says `last`.
async fn read(app: &TestApp, request: axum::http::request::Builder, last: &str) -> String {
    let request = request.header(header::AUTHORIZATION, format!("Bearer {}", app.token)).body(Body::empty());
    let response = app.router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let (mut body, mut text) = (response.into_body(), String::new());
    while !text.contains(last) {
        let piece =
            tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("nothing more came");
        text.push_str(std::str::from_utf8(piece.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn the_stream_tells_what_happens_and_what_was_missed() {
    let app = app().await;
    let begin = app.api.own.live.newest();
    let (text, _) = tokio::join!(read(&app, Request::get("/api/v1/stream"), "203.0.113.9"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ban(&app, "203.0.113.9").await
    });
    assert!(text.starts_with(&format!("id: {}\nevent: decision\ndata: {{", begin + 1)), "{text}");
    ban(&app, "203.0.113.10").await;
    changes(&app, begin, 2).await;
    let missed = Request::get("/api/v1/stream").header("last-event-id", begin + 1);
    let text = read(&app, missed, "203.0.113.10").await;
    assert!(!text.contains("203.0.113.9\""), "{text}");
    let too_old = Request::get("/api/v1/stream").header("last-event-id", begin - 1);
    app.ask(too_old.body(Body::empty()).unwrap()).await.is_problem(410, "begin without an id");
    let nonsense = Request::get("/api/v1/stream").header("last-event-id", "x");
    app.ask(nonsense.body(Body::empty()).unwrap()).await.is_problem(400, "Last-Event-ID");
}

#[tokio::test]
async fn the_stream_tells_of_alerts_too() {
    let app = app().await;
    let begin = app.api.own.live.newest();
    let tell = app.api.monitoring.alerts.teller();
    tell(Happening { rule: "tell".into(), which: "source=203.0.113.9".into(), summary: "it scans".into() });
    let request = Request::get("/api/v1/stream").header("last-event-id", begin);
    let text = read(&app, request, "response/tell").await;
    assert!(text.starts_with(&format!("id: {}\nevent: alert\ndata: {{", begin + 1)), "{text}");
    let told: Value = serde_json::from_str(text.rsplit_once("data: ").unwrap().1.trim()).unwrap();
    assert_eq!((&told["state"], &told["which"]), (&json!("firing"), &json!("source=203.0.113.9")));
    // Erased, it is neither told again nor kept.
    app.ask(post("/api/v1/privacy/erase", &json!({ "whom": "203.0.113.9" }))).await;
    let request = Request::get("/api/v1/stream").header("last-event-id", begin);
    app.ask(request.body(Body::empty()).unwrap()).await.is_problem(410, "begin without an id");
    assert_eq!(app.get("/api/v1/monitoring/alerts/").await.body["items"], json!([]));
}

#[tokio::test]
async fn every_reader_ends_when_the_daemon_does() {
    let app = app().await;
    let request =
        Request::get("/api/v1/stream").header(header::AUTHORIZATION, format!("Bearer {}", app.token));
    let response = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    app.api.own.live.close();
    let rest = tokio::time::timeout(Duration::from_secs(5), response.into_body().collect()).await;
    assert!(rest.is_ok_and(|rest| rest.is_ok()));
}
