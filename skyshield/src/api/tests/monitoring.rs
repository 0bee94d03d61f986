//! What is measured, and what is counted of the business, by the API.

use super::*;

/// What the tests' business counts.
pub(super) const KINDS: &str = "[[kinds]]\nname = \"orders\"\nkind = \"count\"\n\
     [[kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\"]\n";

impl TestApp {
    async fn send(&self, key: Option<&str>, body: &str) -> Answer {
        let mut request = Request::post("/api/v1/business/events").body(Body::from(body.to_owned())).unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        // Of the admin's rights a token for events needs but one.
        self.ask(request).await
    }
}

#[tokio::test]
async fn a_batch_is_counted_once_under_its_key() {
    let app = TestApp::new().await;
    let body = r#"{"events": [{"kind": "orders"}, {"kind": "revenue", "amount": 1999, "currency": "EUR"}]}"#;
    let first = app.send(Some("k1"), body).await;
    assert_eq!((first.status, first.body), (StatusCode::OK, json!({ "events": 2, "repeated": false })));
    let again = app.send(Some("k1"), body).await;
    assert_eq!(again.body, json!({ "events": 2, "repeated": true }));
    let other = app.send(Some("k1"), r#"{"events": [{"kind": "orders"}]}"#).await;
    other.is_problem(422, "came with another batch before");
    let report = app.get("/api/v1/monitoring/business/?period=1h").await;
    assert_eq!(report.body["kinds"][0]["count"], 1, "{}", report.text);
    assert_eq!(report.body["kinds"][1]["amounts"][0]["amount"], 1999);
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_said_and_nothing_of_it_counted() {
    let app = TestApp::new().await;
    app.send(None, "{}").await.is_problem(400, "Idempotency-Key");
    app.send(Some("k"), "{").await.is_problem(422, "EOF while parsing");
    let half = r#"{"events": [{"kind": "orders"}, {"kind": "order"}]}"#;
    app.send(Some("k"), half).await.is_problem(422, "events[1]: the kind `order` is not declared");
    let report = app.get("/api/v1/monitoring/business/").await;
    assert_eq!(report.body["kinds"][0]["count"], 0, "{}", report.text);
    app.get("/api/v1/monitoring/business/?period=2h").await.is_problem(400, "unknown variant `2h`");
    app.get("/api/v1/monitoring/history/?hours=0").await.is_problem(400, "hours: 1 to 9600");
}

#[tokio::test]
async fn a_daemon_that_decides_alone_is_the_only_node() {
    let app = TestApp::new().await;
    app.ask(post("/api/v1/decisions", &json!({ "source": "203.0.113.7" }))).await;
    let nodes = app.get("/api/v1/nodes").await.body;
    let [node] = nodes["items"].as_array().unwrap().as_slice() else { panic!("{nodes}") };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!((&node["name"], &node["is_self"]), (&json!(host.trim()), &json!(true)));
    assert_eq!((&node["status"], &node["decisions_in_force"]), (&json!("ok"), &json!(1)));
    assert_eq!(nodes["next_cursor"], Value::Null);
}
