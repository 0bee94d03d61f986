//! The allow list by the router.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{TestApp, delete, post};

#[tokio::test]
async fn the_allow_list_is_shown_with_what_the_host_protects_and_changed_by_whom_or_number() {
    let app = TestApp::new().await;
    let made = app.ask(post("/api/v1/allowlist", &json!({ "whom": "Home.example.org.", "ttl": "1h" }))).await;
    assert_eq!((made.status, &made.body["whom"]), (StatusCode::CREATED, &json!("home.example.org")));
    let made =
        app.ask(post("/api/v1/allowlist", &json!({ "whom": "203.0.113.0/24", "comment": "us" }))).await;
    assert_eq!((&made.body["id"], &made.body["expires_at"]), (&json!(2), &Value::Null));
    let listed = app.get("/api/v1/allowlist").await.body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let shown = json!({ "source": "203.0.113.0/24", "why": "allow_list" });
    assert!(listed["protected"].as_array().unwrap().contains(&shown), "{listed}");
    app.ask(post("/api/v1/decisions", &json!({ "source": "203.0.113.7" })))
        .await
        .is_problem(422, "never banned");
    assert_eq!(app.ask(delete("/api/v1/allowlist?whom=home.example.org")).await.status, StatusCode::OK);
    assert_eq!(app.ask(delete("/api/v1/allowlist/2")).await.status, StatusCode::OK);
    app.ask(delete("/api/v1/allowlist/2")).await.is_problem(404, "no such entry");
    assert_eq!(app.get("/api/v1/allowlist").await.body["items"], json!([]));
    for (body, status, told) in [
        (json!({ "whom": "10.0.0.300" }), 400, "neither an address, a prefix nor a DNS name"),
        (json!({ "whom": "0.0.0.0/1" }), 422, "force"),
        (json!({ "whom": "10.0.0.1", "ttl": "soon" }), 400, "ttl"),
        (json!({ "whom": "10.0.0.1", "comment": "\u{7}" }), 400, "control character"),
    ] {
        app.ask(post("/api/v1/allowlist", &body)).await.is_problem(status, told);
    }
}
