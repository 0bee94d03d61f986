//! Incidents by filter, page and export.

use super::*;
use crate::engine::incident::IncidentId;
use crate::store::{IncidentRow, Record};

/// The incident with this number, a second after the one before it.
pub(super) fn row(number: u32) -> IncidentRow {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + u64::from(number));
    let rule = if number.is_multiple_of(3) { "sqli.union-select" } else { "xss.script" };
    IncidentRow {
        id: IncidentId::new(at, u128::from(number)).to_string(),
        at_ms: (1_700_000_000 + i64::from(number)) * 1000,
        address: format!("203.0.113.{}", number % 5),
        by_proxy: false,
        door: "gateway".to_owned(),
        score: f64::from(number % 10) / 10.0,
        method: "GET".to_owned(),
        host: format!("shop{}.example", number % 2),
        target: format!("=/search?q={number}"),
        findings: json!([{ "rule": rule }, { "rule": rule }, { "rule": "own.x" }]).to_string(),
        assessment: "{}".to_owned(),
        act: if number.is_multiple_of(4) { "ban" } else { "refuse" }.to_owned(),
        route: "default".to_owned(),
    }
}

/// The API over 200 incidents.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    for number in 0..200 {
        assert!(app.api.store.append(Record::Incident(Box::new(row(number)))));
    }
    app.api.store.commit(Record::TokenRevoked { id: "nothing".to_owned() }).await.unwrap();
    app
}

async fn count(app: &TestApp, filter: &str) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = app.get(&format!("/api/v1/incidents?limit=30{filter}{cursor}")).await;
        assert_eq!(page.status, StatusCode::OK, "{filter}: {}", page.text);
        count += page.body["items"].as_array().unwrap().len();
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

#[tokio::test]
async fn every_filter_finds_what_it_says_and_nothing_else() {
    let app = app().await;
    for (filter, expected) in [
        ("", 200),
        ("&address=203.0.113.2", 40),
        ("&address=%3A%3Affff%3A203.0.113.2", 40),
        ("&rule=sqli.union-select", 67),
        ("&rule=own.x", 200),
        ("&host=shop1.example", 100),
        ("&act=ban", 50),
        ("&act=observe", 0),
        ("&door=gateway", 200),
        ("&door=tap", 0),
        ("&route=default", 200),
        ("&min_score=0.85", 20),
        ("&since=2023-11-14T22:15:00Z", 100),
        ("&until=2023-11-14T22:15:00Z", 100),
        ("&since=2023-11-14T22:15:00Z&until=2023-11-14T22:15:10Z", 10),
        ("&address=203.0.113.2&act=ban&host=shop0.example", 10),
        ("&rule=sqli.union-select&act=ban&min_score=0.5", 6),
        ("&address=203.0.113.0&rule=sqli.union-select", 14),
        ("&host=shop0.example&rule=sqli.union-select&since=2023-11-14T22:15:00Z", 17),
    ] {
        assert_eq!(count(&app, filter).await, expected, "{filter}");
    }
    for (filter, told) in
        [("address=nobody", "no address"), ("since=now", "since"), ("min_score=high", "min_score")]
    {
        app.get(&format!("/api/v1/incidents?{filter}")).await.is_problem(400, told);
    }
}

#[tokio::test]
async fn an_export_holds_what_the_filter_takes_in_every_form() {
    let app = app().await;
    let lines = app.get("/api/v1/incidents?format=ndjson&act=ban").await;
    assert_eq!((lines.kind.as_str(), lines.text.lines().count()), ("application/x-ndjson", 50));
    let first: Value = serde_json::from_str(lines.text.lines().next().unwrap()).unwrap();
    assert_eq!(first["act"], "ban");
    let table = app.get("/api/v1/incidents?format=csv").await;
    assert_eq!((table.kind.as_str(), table.text.lines().count()), ("text/csv; charset=utf-8", 201));
    assert!(table.text.contains(",'=/search?q=7,"), "a cell would be computed: {}", &table.text[..400]);
    let document = app.get("/api/v1/incidents/?format=json&address=203.0.113.1").await;
    assert_eq!(document.body["items"].as_array().unwrap().len(), 40);
    app.get("/api/v1/incidents?format=xml").await.is_problem(400, "format");
}
