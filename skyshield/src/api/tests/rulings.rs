//! Decisions about more than sources.

use super::*;

#[tokio::test]
async fn a_network_a_country_and_a_user_are_decided_about() {
    let app = TestApp::new().await;
    for (body, subject) in [
        (json!({ "subject": "AS64500", "ttl": "1h", "comment": "noisy" }), "asn:64500"),
        (json!({ "subject": "country:nl", "kind": "allow", "ttl": "forever" }), "country:NL"),
        (json!({ "subject": "user:alice", "kind": "limit", "requests_per_min": 5 }), "user:alice"),
        (json!({ "source": "203.0.113.0/24", "kind": "limit", "requests_per_min": 9 }), "203.0.113.0/24"),
    ] {
        let made = app.ask(post("/api/v1/decisions", &body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        assert_eq!(made.body["subject"], subject);
    }
    let ban = json!({ "source": "203.0.113.7", "comment": "beside the others" });
    assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.body["id"], 5);
    let listed = app.get("/api/v1/decisions?limit=3").await.body;
    let ids = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&listed), &listed["next_cursor"]), (vec![json!(1), json!(2), json!(3)], &json!("3")));
    let rest = app.get("/api/v1/decisions?limit=3&cursor=3").await.body;
    assert_eq!(
        (ids(&rest), &rest["items"][1]["comment"]),
        (vec![json!(4), json!(5)], &json!("beside the others"))
    );
    assert_eq!(app.get("/api/v1/decisions/3").await.body["requests_per_min"], 5);

    assert_eq!(app.ask(delete("/api/v1/decisions?subject=asn:64500")).await.body["id"], 1);
    app.ask(delete("/api/v1/decisions?subject=asn:64500")).await.is_problem(404, "no such ban");
    assert_eq!(app.ask(delete("/api/v1/decisions?subject=203.0.113.0/24&kind=limit")).await.body["id"], 4);
    assert_eq!(app.ask(delete("/api/v1/decisions/3")).await.body["kind"], "limit");
    for (body, status, told) in [
        (json!({ "subject": "user:bob", "kind": "limit" }), 422, "requests_per_min"),
        (json!({ "subject": "203.0.113.7", "kind": "allow" }), 422, "allow list"),
        (json!({ "subject": "asn:x" }), 400, "neither an address"),
        (json!({ "subject": "asn:1", "kind": "forbid" }), 422, "unknown variant `forbid`"),
    ] {
        app.ask(post("/api/v1/decisions", &body)).await.is_problem(status, told);
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages_without_gaps_or_doubles() {
    let app = TestApp::new().await;
    for host in 0..250 {
        let ban = json!({ "source": format!("203.0.113.{host}") });
        assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.status, StatusCode::CREATED);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/api/v1/decisions?limit=60{cursor}")).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=250).collect::<Vec<_>>());
}
