//! Lists of decisions, in and out.

use super::*;

fn import(query: &str, text: &str) -> Request<Body> {
    Request::post(format!("/api/v1/decisions/import{query}")).body(Body::from(text.to_owned())).unwrap()
}

#[tokio::test]
async fn a_list_is_in_force_as_a_whole_or_not_at_all() {
    let app = TestApp::new().await;
    let list = "subject,kind,ttl,reason,requests_per_min\n203.0.113.7,ban,1h,one,\n2001:db8::/48,ban,,two,\n\
                asn:64500,limit,1d,three,60\nhome.example.org,allow,,four,\n203.0.113.9,ban,-5m,over,\n";
    let tried = app.ask(import("?dry_run=true", list)).await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    assert_eq!(
        (&tried.body["made"], &tried.body["over"], &tried.body["done"]),
        (&json!(4), &json!(1), &json!(false))
    );
    assert_eq!(app.in_force().await, 0);

    // One line is protected and one is nonsense: both are named, and nothing is done.
    let wrong = format!("{list}198.51.100.9,ban,1h,protected,\nnobody,ban,1h,nonsense,\n");
    let refused = app.ask(import("", &wrong)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let lines: Vec<_> =
        refused.body["errors"].as_array().unwrap().iter().map(|error| error["line"].clone()).collect();
    assert_eq!(lines, [7, 8]);
    assert!(
        refused.text.contains("on the allow list") && refused.text.contains("`nobody`"),
        "{}",
        refused.text
    );
    assert_eq!(app.in_force().await, 0);

    let done = app.ask(import("?ttl=2h&jitter=true", list)).await;
    assert_eq!((&done.body["made"], &done.body["done"]), (&json!(4), &json!(true)), "{}", done.text);
    let listed = app.get("/api/v1/decisions").await.body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let left = listed["items"][1]["ttl_seconds"].as_u64().unwrap();
    assert!((6470..=7200).contains(&left), "two hours, up to a tenth earlier: {left}");
    assert_eq!(app.get("/api/v1/allowlist").await.body["items"][0]["whom"], "home.example.org");
}

#[tokio::test]
async fn what_is_exported_is_imported_again() {
    let app = TestApp::new().await;
    for body in [json!({ "source": "203.0.113.7", "reason": "a, b" }), json!({ "subject": "country:NL" })] {
        assert_eq!(app.ask(post("/api/v1/decisions", &body)).await.status, StatusCode::CREATED);
    }
    for (format, made) in [("csv", 2), ("json", 2), ("plain", 1), ("fail2ban", 1), ("cscli", 2)] {
        let text = app.get(&format!("/api/v1/decisions/export?format={format}")).await.text;
        let other = TestApp::new().await;
        let done = other.ask(import("", &text)).await;
        assert_eq!(
            (&done.body["format"], &done.body["made"]),
            (&json!(format), &json!(made)),
            "{text} {}",
            done.text
        );
        assert_eq!(other.in_force().await, made);
    }
    app.get("/api/v1/decisions/export?format=xml").await.is_problem(400, "`xml` is no format");
    app.ask(import("?format=xml", "")).await.is_problem(400, "`xml` is no format");
}

#[tokio::test]
async fn a_list_that_does_not_fit_is_refused_with_each_line_that_is_too_much() {
    let app = TestApp::new().await;
    let lines: Vec<_> = (0..PREFIXES + 3).map(|net| format!("203.0.113.{}/30", net * 4)).collect();
    let list = lines.join("\n");
    for query in ["?dry_run=true", ""] {
        let refused = app.ask(import(query, &list)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert_eq!((&refused.body["problems"], &refused.body["done"]), (&json!(3), &json!(false)));
        let first = &refused.body["errors"][0];
        assert_eq!(first["line"], PREFIXES + 1);
        assert!(first["detail"].as_str().unwrap().contains("dataplane.max_prefixes"), "{first}");
    }
    assert_eq!(app.in_force().await, 0);
    let done = app.ask(import("", &lines[..PREFIXES].join("\n"))).await.body;
    assert_eq!((&done["made"], &done["no_room"]), (&json!(PREFIXES), &json!(0)));
}
