//! What is changed is in the audit log before it is answered, and is done once under its key.

use super::*;

async fn lines(app: &TestApp) -> Vec<Value> {
    app.get("/api/v1/audit").await.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_change_is_in_the_log_with_who_why_before_and_after() {
    let app = TestApp::new().await;
    let ban = json!({ "source": "203.0.113.7", "reason": "a test" });
    app.ask(post("/api/v1/decisions", &ban)).await;
    app.ask(delete("/api/v1/decisions?source=203.0.113.7")).await;
    app.ask(post("/api/v1/allowlist", &json!({ "whom": "192.0.2.1", "comment": "the office" }))).await;
    // What is refused changes nothing.
    app.ask(post("/api/v1/decisions", &json!({ "source": "nobody" }))).await;
    let lines = lines(&app).await;
    let [allow, lift, banned, token] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(token["action"], "POST /api/v1/tokens");
    assert_eq!(token["actor"], "root");
    assert!(token["content"]["after"]["token"].is_null(), "a secret is in the log");
    assert_eq!(banned["action"], "POST /api/v1/decisions");
    assert_eq!((&banned["actor"], &banned["role"]), (&json!("tests"), &json!("admin")));
    assert!(app.token.starts_with(&format!("sky_{}_", banned["token"].as_str().unwrap())));
    assert_eq!(banned["content"]["reason"], "a test");
    assert_eq!(banned["content"]["after"]["source"], "203.0.113.7");
    assert_eq!(banned["content"]["before"], Value::Null);
    assert_eq!(lift["content"]["before"]["source"], "203.0.113.7");
    assert_eq!(lift["content"]["after"], Value::Null);
    assert_eq!(allow["content"]["reason"], "the office");
    let audited = app.get("/api/v1/audit/verify").await.body;
    assert_eq!(
        (&audited["whole"], &audited["lines"], &audited["wrong"]),
        (&json!(true), &json!(4), &json!([]))
    );
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_done_once() {
    let app = TestApp::new().await;
    let ask = async |key: &str, ban: Value| {
        let mut request = post("/api/v1/decisions", &ban);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        app.ask(request).await
    };
    let ban = json!({ "source": "203.0.113.7", "ttl": "1h" });
    let first = ask("k-1", ban.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let again = ask("k-1", ban.clone()).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    ask("k-1", json!({ "source": "203.0.113.8" })).await.is_problem(422, "another request");
    assert!(ask("k-2", ban).await.status.is_success());
    ask("with space", json!({})).await.is_problem(400, "Idempotency-Key");
    ask(&"k".repeat(65), json!({})).await.is_problem(400, "Idempotency-Key");
    // A token, and two bans that were done.
    assert_eq!(lines(&app).await.len(), 3);
}

#[tokio::test]
async fn a_key_is_its_owners() {
    let app = TestApp::new().await;
    let made = app.ask(post("/api/v1/tokens", &json!({ "name": "other", "role": "admin" }))).await;
    let other = TestApp { token: made.body["token"].as_str().unwrap().to_owned(), ..app };
    for source in ["203.0.113.7", "203.0.113.8"] {
        let mut request = post("/api/v1/decisions", &json!({ "source": source }));
        request.headers_mut().insert("idempotency-key", source.parse().unwrap());
        assert_eq!(other.ask(request).await.status, StatusCode::CREATED);
    }
    assert_eq!(other.in_force().await, 2);
}
