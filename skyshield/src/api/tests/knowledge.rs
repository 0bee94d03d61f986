//! What is known of sources, by the router.

use axum::http::StatusCode;
use serde_json::json;

use super::{TestApp, post};
use crate::clock;
use crate::engine::indicators::{Kind, Table};

#[tokio::test]
async fn threats_come_in_pages_and_as_stix_and_what_is_asked_wrongly_is_named() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/api/v1/security/threats/").await.body, json!({ "items": [], "next_cursor": null }));
    let mut table = Table::default();
    for n in 0..5 {
        let value = format!("45.0.0.{n}");
        table.note(Kind::Address, value, 0.5, &["sqli".to_owned()], "incident", clock::wall());
    }
    table.note(Kind::UserAgent, "it's: a tool".to_owned(), 0.1, &[], "incident", clock::wall());
    app.api.knowing.indicators.take_up(table);
    let mut seen = Vec::new();
    let mut path = "/api/v1/security/threats?limit=2".to_owned();
    loop {
        let page = app.get(&path).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["value"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/v1/security/threats?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[5], "it's: a tool");
    let sure = app.get("/api/v1/indicators?min_confidence=0.3&kind=address").await.body;
    assert_eq!(sure["items"].as_array().unwrap().len(), 5);
    let stix = app.get("/api/v1/security/threats/?format=stix").await;
    assert_eq!(
        (stix.kind.as_str(), &stix.body["type"]),
        ("application/stix+json;version=2.1", &json!("bundle"))
    );
    assert_eq!(stix.body["objects"].as_array().unwrap().len(), 13);
    for (query, told) in [
        ("kind=nothing", "kind"),
        ("min_confidence=7", "min_confidence"),
        ("min_confidence=NaN", "min_confidence"),
        ("format=xml", "format"),
        ("cursor=%2e%2e", "cursor"),
        ("sort=up", "sort"),
    ] {
        app.get(&format!("/api/v1/security/threats?{query}")).await.is_problem(400, told);
    }
}

#[tokio::test]
async fn what_is_known_of_a_source_is_told_and_what_is_not_is_none() {
    let app = TestApp::new().await;
    let known = app.get("/api/v1/reputation/45.1.2.3").await.body;
    assert_eq!(
        known,
        json!({
            "address": "45.1.2.3", "reputation": null, "lists": [], "place": null,
            "indicator_confidence": 0.0, "unwanted_by": null,
        })
    );
    app.get("/api/v1/reputation/nobody").await.is_problem(400, "no address");
    let asking = app.get("/api/v1/reputation").await.body;
    assert_eq!(asking, json!({ "providers": [], "reporting": false, "reports_left": 0 }));
    for empty in ["/api/v1/feeds", "/api/v1/places"] {
        assert_eq!(app.get(empty).await.body["items"], json!([]));
    }
    let refresh = post("/api/v1/feeds/drop/refresh", &json!({ "accept": true }));
    app.ask(refresh).await.is_problem(404, "no list");
    assert_eq!(app.get("/api/v1/feeds").await.status, StatusCode::OK);
}
