//! Bans over the API.

use super::*;

#[tokio::test]
async fn a_ban_is_made_shown_listed_and_lifted() {
    let app = TestApp::new().await;
    let ask = json!({ "source": "203.0.113.7/32", "ttl": "90m", "reason": "a test" });
    let made = app.ask(post("/api/v1/decisions", &ask)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let mut body = made.body.clone();
    let fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    let expected = [
        "comment",
        "dropped_packets",
        "enforced_after_ms",
        "expires_at",
        "id",
        "incident",
        "kind",
        "last_dropped_at",
        "layer",
        "made_at",
        "origin",
        "reason",
        "requests_per_min",
        "source",
        "subject",
        "ttl_seconds",
    ];
    assert_eq!(fields, expected);
    for time in ["made_at", "expires_at"] {
        let text = body[time].take();
        text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    assert!((5390..=5400).contains(&body["ttl_seconds"].take().as_u64().unwrap()));
    assert_eq!(
        body,
        json!({
            "id": 1, "kind": "ban", "subject": "203.0.113.7", "comment": null, "requests_per_min": null,
            "source": "203.0.113.7", "origin": "operator", "layer": "packet", "reason": "a test",
            "incident": null, "made_at": null, "expires_at": null, "ttl_seconds": null, "enforced_after_ms": null,
            "dropped_packets": null, "last_dropped_at": null,
        })
    );
    assert_eq!(app.get("/api/v1/decisions/1").await.body["source"], "203.0.113.7");
    assert_eq!(app.get("/api/v1/decisions?source=203.0.113.7").await.body["items"][0]["id"], 1);
    assert_eq!(app.get("/api/v1/decisions?source=203.0.113.8").await.body["items"], json!([]));

    assert_eq!(app.ask(delete("/api/v1/decisions/1")).await.body["id"], 1);
    app.ask(delete("/api/v1/decisions/1")).await.is_problem(404, "no such ban");
    app.get("/api/v1/decisions/1").await.is_problem(404, "`1`");
    let forever =
        app.ask(post("/api/v1/decisions", &json!({ "source": "2001:db8::/48", "ttl": "forever" }))).await;
    assert_eq!((&forever.body["expires_at"], &forever.body["ttl_seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(forever.body["reason"], "by tests");
    app.ask(delete("/api/v1/decisions?source=2001:db8::1")).await.is_problem(404, "2001:db8::/48");
    assert_eq!(app.ask(delete("/api/v1/decisions?source=2001:db8::/48")).await.status, StatusCode::OK);
    assert_eq!(app.in_force().await, 0);
}

#[tokio::test]
async fn bad_input_is_told_and_changes_nothing() {
    let app = TestApp::new().await;
    for (body, status, told) in [
        (json!({ "source": "203.0.113" }), 400, "`203.0.113` is neither an address nor a prefix"),
        (json!({ "source": "" }), 400, "neither an address"),
        (json!({ "source": 7 }), 422, "source"),
        (json!({}), 422, "missing field `source`"),
        (json!({ "source": "203.0.113.7", "ttl": "soon" }), 400, "`soon` is no duration"),
        (json!({ "source": "203.0.113.7", "ttl": "0s" }), 400, "no duration"),
        (json!({ "source": "203.0.113.7", "ttl": "\u{1b}[31m" }), 400, "\\u{1b}[31m"),
        (json!({ "source": "203.0.113.7", "until": "4h" }), 422, "unknown field `until`"),
        (json!({ "source": "203.0.113.7", "reason": "a\nb" }), 400, "control character"),
        (json!({ "source": "203.0.113.7", "reason": "x".repeat(201) }), 400, "200 characters"),
        (json!({ "source": "0.0.0.0/0" }), 422, "force"),
        (json!({ "source": "198.51.100.9" }), 422, "on the allow list"),
    ] {
        app.ask(post("/api/v1/decisions", &body)).await.is_problem(status, told);
    }
    let plain = Request::post("/api/v1/decisions").body(Body::from("{\"source\":\"203.0.113.7\"}")).unwrap();
    app.ask(plain).await.is_problem(415, "Content-Type");
    let broken = Request::post("/api/v1/decisions").header(header::CONTENT_TYPE, "application/json");
    app.ask(broken.body(Body::from("{\"source\":")).unwrap()).await.is_problem(400, "JSON");
    let huge = json!({ "source": "203.0.113.7", "reason": "x".repeat(3 << 20) });
    app.ask(post("/api/v1/decisions", &huge)).await.is_problem(413, "");
    for (path, told) in [
        ("/api/v1/decisions?limit=many", "limit"),
        ("/api/v1/decisions?cursor=-1", "cursor"),
        ("/api/v1/decisions?source=nobody", "neither an address"),
        ("/api/v1/decisions?sauce=1", "unknown field `sauce`"),
        ("/api/v1/incidents?limit=-1", "limit"),
        ("/api/v1/decisions/%ff", "UTF-8"),
        ("/api/v1/incidents/%ff", "UTF-8"),
    ] {
        app.get(path).await.is_problem(400, told);
    }
    app.ask(delete("/api/v1/decisions")).await.is_problem(400, "source");
    app.get("/api/v1/incidents/%1b%5b31m").await.is_problem(404, "\\u{1b}[31m");
    assert_eq!(app.in_force().await, 0);
}

#[tokio::test]
async fn a_full_ledger_is_told_apart_from_a_bad_request() {
    let app = TestApp::new().await;
    for host in 0..1000 {
        let ban = json!({ "source": format!("203.0.{}.{}", host / 250, host % 250) });
        assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.status, StatusCode::CREATED);
    }
    let more = app.ask(post("/api/v1/decisions", &json!({ "source": "192.0.2.1" }))).await;
    more.is_problem(507, "1000 decisions are in force");
}

#[tokio::test]
async fn a_full_table_of_prefixes_is_told_with_the_key_that_makes_it_larger() {
    let app = TestApp::new().await;
    for net in 0..PREFIXES {
        let ban = json!({ "source": format!("203.0.113.{}/30", net * 4) });
        assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.status, StatusCode::CREATED);
    }
    let more = app.ask(post("/api/v1/decisions", &json!({ "source": "192.0.2.0/30" }))).await;
    more.is_problem(507, "20 prefixes of IPv4 are banned");
    more.is_problem(507, "raise dataplane.max_prefixes");
    assert_eq!(app.in_force().await, PREFIXES);
    for other in ["192.0.2.1", "2001:db8::/48"] {
        let ban = app.ask(post("/api/v1/decisions", &json!({ "source": other }))).await;
        assert_eq!(ban.status, StatusCode::CREATED, "{other} has room of its own");
    }
}
