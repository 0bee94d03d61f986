//! The configuration in force: its revision, and who may put another in its place.

use super::*;
use crate::lifecycle::InForce;

const CONFIG: &str = "/api/v1/config";

fn app_with(app: &TestApp, revision: &str) {
    let shown = Arc::new(json!({ "risk": { "refuse": 0.8 } }));
    app.api.wishes.shown().set(InForce { shown, revision: revision.into() });
}

/// The status, the `ETag` and the body of what is answered.
async fn asked(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", app.token));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from("[risk]\nrefuse = 0.7\n")).unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    let tag = response.headers().get(header::ETAG).map_or("", |tag| tag.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, tag, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_configuration_comes_under_its_revision_and_not_again_to_whom_it_is_known() {
    let app = TestApp::new().await;
    app_with(&app, "one");
    let (status, tag, body) = asked(&app, Method::GET, CONFIG, &[]).await;
    assert_eq!((status, tag.as_str(), body.as_str()), (200, "\"one\"", "{\"risk\":{\"refuse\":0.8}}"));
    for known in ["\"one\"", "W/\"one\"", "\"zero\", \"one\"", "*"] {
        let (status, tag, body) = asked(&app, Method::GET, CONFIG, &[("if-none-match", known)]).await;
        assert_eq!((status, tag.as_str(), body.as_str()), (304, "\"one\"", ""), "{known}");
    }
    app_with(&app, "two");
    let (status, tag, _) = asked(&app, Method::GET, CONFIG, &[("if-none-match", "\"one\"")]).await;
    assert_eq!((status, tag.as_str()), (200, "\"two\""));
}

#[tokio::test]
async fn nobody_replaces_a_configuration_that_he_has_not_seen() {
    let app = TestApp::new().await;
    app_with(&app, "two");
    for (headers, expected, told) in [
        (vec![], 428, "If-Match with the ETag"),
        (vec![("if-match", "\"one\"")], 412, "is \\\"two\\\" by now"),
        (vec![("if-match", "W/\"two\"")], 412, "by now"),
        (vec![("if-match", "\"two\""), ("content-type", "application/json")], 415, "text of the file"),
        // Whoever would take it up is not there in this test; it gets as far as that.
        (vec![("if-match", "\"two\""), ("content-type", "application/toml")], 503, "try again"),
        (vec![("if-match", "\"one\", \"two\"")], 503, "try again"),
        (vec![("if-match", "*")], 503, "try again"),
    ] {
        let (status, _, body) = asked(&app, Method::PUT, CONFIG, &headers).await;
        assert_eq!(status, expected, "{headers:?}: {body}");
        assert!(body.contains(told), "{headers:?}: {body}");
    }
    for (query, told) in
        [("confirm=2h", "an hour is the longest"), ("confirm=soon", "no duration"), ("x=1", "x")]
    {
        let path = format!("{CONFIG}?{query}");
        let (status, _, body) = asked(&app, Method::PUT, &path, &[("if-match", "*")]).await;
        assert!(status == 400 && body.contains(told), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_bypass_of_the_kernel_is_begun_shown_ended_and_in_the_audit_log() {
    const BYPASS: &str = "/api/v1/kernel/bypass";
    let app = TestApp::new().await;
    for (body, status, told) in [
        (json!({ "ttl": "25h" }), 400, "24h is the longest"),
        (json!({ "ttl": "forever" }), 400, "24h is the longest"),
        (json!({ "ttl": "0s" }), 400, "no duration"),
        (json!({ "for": "10m" }), 422, "unknown field"),
    ] {
        app.ask(put(BYPASS, &body)).await.is_problem(status, told);
    }
    let begun = app.ask(put(BYPASS, &json!({ "reason": "a wrong ban" }))).await.body;
    assert_eq!(begun, json!({ "bypassed": true, "seconds_left": 600 }));
    assert_eq!(app.get("/api/v1/kernel").await.body["bypass"]["bypassed"], true);
    let health = app.get("/api/v1/monitoring/health/").await.body;
    assert_eq!(
        (&health["status"], &health["components"]["dataplane"]["status"]),
        (&json!("degraded"), &json!("degraded"))
    );
    let checks = app.get("/api/v1/doctor").await.body["items"].take();
    let check = checks.as_array().unwrap().iter().find(|check| check["check"] == "bypass").unwrap();
    assert_eq!((&check["state"], &check["mend"]), (&json!("failed"), &json!("`skyshield bypass off`")));
    let ended = app.ask(delete(BYPASS)).await.body;
    assert_eq!(ended, json!({ "bypassed": false, "seconds_left": 0 }), "not what is now");
    assert_eq!(app.get("/api/v1/kernel").await.body["bypass"], ended);
    let lines = app.get("/api/v1/audit").await.body["items"].take();
    let [end, begun] = [0, 1].map(|at| &lines[at]);
    assert_eq!(end["action"], "DELETE /api/v1/kernel/bypass");
    assert_eq!(
        (&end["content"]["before"]["bypassed"], &end["content"]["after"]["bypassed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&begun["action"], &begun["content"]["reason"]),
        (&json!("PUT /api/v1/kernel/bypass"), &json!("a wrong ban"))
    );
}

fn put(path: &str, body: &Value) -> Request<Body> {
    let mut request = post(path, body);
    *request.method_mut() = Method::PUT;
    request
}

#[tokio::test]
async fn rules_come_in_pages_by_their_ids_and_each_by_its_own() {
    let app = TestApp::new().await;
    let (mut seen, mut path) = (Vec::new(), "/api/v1/rules?limit=25".to_owned());
    loop {
        let page = app.get(&path).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/v1/rules/?limit=25&cursor={next}"),
            None => break,
        }
    }
    let mut ids: Vec<_> = crate::inspect::built_in_rules().map(|rule| rule.id.into_owned()).collect();
    ids.sort();
    let named: Vec<_> = seen.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(named, ids);
    let one = app.get(&format!("/api/v1/rules/{}", ids[0])).await.body;
    assert_eq!(one, seen[0]);
    assert_eq!((&one["action"], &one["origin"]), (&json!("weigh"), &json!("built-in")));
    app.get("/api/v1/rules/no.such").await.is_problem(404, "no.such");
    let of_a_class = app.get("/api/v1/rules?class=sqli&limit=1000").await.body;
    let of_a_class = of_a_class["items"].as_array().unwrap();
    assert!(!of_a_class.is_empty() && of_a_class.iter().all(|rule| rule["class"] == "sqli"));
    app.get("/api/v1/rules?class=evil").await.is_problem(400, "class");
    let lines = app.get("/api/v1/rules?format=ndjson").await.text;
    assert_eq!(lines.lines().count(), ids.len());
}

#[tokio::test]
async fn limits_are_those_of_the_configuration_in_force_in_the_order_they_are_tried() {
    let app = TestApp::new().await;
    let text = "v6_prefix = 56\nexempt = ['10.0.0.0/8']\n[per_source]\nbytes = 5\n[classes.api]\nrequests = 7\n\
        [classes.upload]\npaths = ['/up']\n[user]\njwt_claim = 'sub'\njwt_secret = 'short'\n";
    let config: crate::limits::Config = toml::from_str(text).unwrap();
    let shown = Arc::new(json!({ "limits": config }));
    app.api.wishes.shown().set(InForce { shown, revision: "one".into() });
    let limits = app.get("/api/v1/limits/").await.body;
    let classes = limits["items"].as_array().unwrap();
    let named: Vec<_> = classes.iter().map(|class| class["class"].as_str().unwrap()).collect();
    assert_eq!(named, ["upload", "chart", "auth", "api", "default"]);
    assert_eq!(classes[0]["requests"], Value::Null, "a class without a limit");
    assert_eq!((&classes[3]["requests"], &classes[3]["window_seconds"]), (&json!(7), &json!(3600)));
    assert_eq!((&classes[3]["by"], &classes[3]["limited"]), (&json!("source"), &json!(0)));
    assert_eq!((&limits["v6_prefix"], &limits["exempt"]), (&json!(56), &json!(["10.0.0.0/8"])));
    assert_eq!(limits["bytes"], json!({ "bytes": 5, "window_seconds": 3600 }));
    assert!(!limits.to_string().contains("short"), "{limits}");
}
