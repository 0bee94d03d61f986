//! What the mission names, as rows for analysis.

use super::*;
use crate::engine::indicators::{Kind, Table};
use crate::engine::reading::{Reading, Readings};
use crate::store::{AlertRow, HistoryRow, Kept, Record};

/// The API with something of everything.
async fn app() -> TestApp {
    let mut app = TestApp::new().await;
    let readings =
        vec![Reading::new("host_load1", 0.5), Reading::of("host_disk_used_ratio", "mount", "/", 0.25)];
    let seen = app.api.monitoring.seen.as_mut().unwrap();
    seen.readings = tokio::sync::watch::channel(Arc::new(Readings::new(readings))).1;
    app.router = router(app.api.clone());
    let now = crate::control::millis(clock::wall());
    let alert = |number: i64| AlertRow {
        id: format!("{number:026}"),
        rule: "host_load".to_owned(),
        which: String::new(),
        severity: "warning".to_owned(),
        summary: "=much to do".to_owned(),
        value: 9.5,
        started_at_ms: now - number,
        resolved_at_ms: (number % 2 == 0).then_some(now),
        notified_at_ms: None,
    };
    let history = |series: &str| HistoryRow {
        series: series.to_owned(),
        at: now / 60_000 * 60,
        count: 2,
        sum: 3.0,
        max: 2.0,
    };
    for kept in [
        Kept::Alerts((0..2500).map(alert).collect()),
        Kept::History(vec![history("host_load1"), history("host_cpu_ratio")]),
    ] {
        app.api.store.commit(Record::Monitoring(Box::new(kept))).await.unwrap();
    }
    let mut table = Table::default();
    for n in 0..2100 {
        table.note(
            Kind::Address,
            format!("45.0.{}.{}", n / 250, n % 250),
            0.5,
            &[],
            "incident",
            clock::wall(),
        );
    }
    app.api.knowing.indicators.take_up(table);
    let mut events = post("/api/v1/business/events", &json!({ "events": [{ "kind": "orders" }] }));
    events.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    assert_eq!(app.ask(events).await.status, StatusCode::OK);
    app
}

#[tokio::test]
async fn every_report_and_list_of_the_mission_comes_in_every_form() {
    let app = app().await;
    for (path, rows, columns) in [
        ("monitoring/health/?", 12..60, "field,value"),
        ("monitoring/metrics/?", 2..3, "at,name,value,which"),
        ("monitoring/security/?", 20..5000, "field,value"),
        ("monitoring/business/?", 1..2, "amount,at,currency,events,kind,step_seconds"),
        ("monitoring/history/?", 2..3, "at,max,mean,series,step_seconds"),
        ("monitoring/history/?series=host_load1&", 1..2, "at,max,mean,series,step_seconds"),
        (
            "monitoring/alerts/?",
            2500..2501,
            "id,notified_at,resolved_at,rule,severity,started_at,state,summary,value,which",
        ),
        ("monitoring/alerts/?state=firing&", 1250..1251, ""),
        ("security/threats/?", 2100..2101, ""),
        ("indicators?kind=asn&", 0..1, ""),
    ] {
        let ask = async |format: &str| {
            let told = app.get(&format!("/api/v1/{path}format={format}")).await;
            assert_eq!(told.status, StatusCode::OK, "{path}: {}", told.text);
            told
        };
        let (csv, lines, whole) = (ask("csv").await, ask("ndjson").await, ask("json").await);
        assert_eq!(csv.kind, "text/csv; charset=utf-8");
        assert_eq!(lines.kind, "application/x-ndjson");
        assert_eq!(whole.kind, "application/json");
        let parsed: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.contains(&parsed.len()), "{path}: {} rows\n{}", parsed.len(), csv.text);
        match whole.body["items"].as_array() {
            Some(items) => assert_eq!(items.len(), parsed.len(), "{path}"),
            // A report is itself in JSON.
            None => assert!(
                ["health", "metrics", "security/"].iter().any(|report| path.contains(report)),
                "{path}"
            ),
        }
        let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
        let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert!(columns.is_empty() || header.join(",") == columns, "{path}: {header:?}");
        assert_eq!(reader.records().map(Result::unwrap).count(), parsed.len(), "{path}");
        app.get(&format!("/api/v1/{path}format=xml")).await.is_problem(400, "format");
    }
    let alerts = app.get("/api/v1/monitoring/alerts?format=csv").await.text;
    assert!(
        alerts.contains(",'=much to do,") && !alerts.contains(",=much"),
        "a spreadsheet would compute it"
    );
}

#[tokio::test]
async fn a_report_without_a_form_is_the_report_and_prometheus_has_its_own() {
    let app = app().await;
    assert!(app.get("/api/v1/monitoring/health").await.body["components"].is_object());
    let metrics = app.get("/api/v1/monitoring/metrics").await.body;
    assert_eq!(metrics["host"]["load1"], 0.5, "{metrics}");
    assert_eq!(metrics["host"]["disk_used_ratio"]["mount=/"], 0.25, "{metrics}");
    assert_eq!(app.get("/api/v1/security/threats?limit=5").await.body["items"].as_array().unwrap().len(), 5);
    assert!(app.get("/api/v1/monitoring/prometheus").await.kind.starts_with("text/plain; version=0.0.4"));
}
