//! Erasure: no trace of an address is left in the store's files, the log files, the answers and the exports.

use std::time::Duration;

use super::*;
use crate::engine::indicators::{Kind, Table};
use crate::store::{AlertRow, Kept, NearMissRow, Outgoing, Record};

const WHOM: &str = "203.0.113.77";

/// Every byte that the store has on disk.
fn on_disk(app: &TestApp) -> Vec<u8> {
    let files = std::fs::read_dir(app.dir.path().join("state")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn says(bytes: &[u8], what: &str) -> bool {
    memchr::memmem::find(bytes, what.as_bytes()).is_some()
}

/// An alert of each, a message on its way, a near miss, and an incident that is old enough to stand under a pseudonym.
fn keep_more_of(app: &TestApp, whom: &[&str]) {
    for (number, source) in (8..).zip(whom) {
        let alert = AlertRow {
            id: format!("of {source}"),
            rule: "response/tell".to_owned(),
            which: format!("source={source}"),
            severity: "warning".to_owned(),
            summary: format!("{source} scans"),
            value: 1.0,
            started_at_ms: 1,
            resolved_at_ms: None,
            notified_at_ms: None,
        };
        let message = Outgoing {
            id: format!("to {source}"),
            receiver: "email".to_owned(),
            notice: format!("{{\"which\":\"{source}\"}}"),
            made_at_ms: 1,
        };
        let near = NearMissRow {
            at_ms: 1,
            route: "default".to_owned(),
            assessment: format!("{{\"terms\":[{{\"matched\":\"{source}\"}}]}}"),
        };
        app.api.store.append(Record::Monitoring(Box::new(Kept::Alerts(vec![alert]))));
        let outgoing = Kept::Outgoing { messages: vec![message], told: Vec::new(), at_ms: 1 };
        app.api.store.append(Record::Monitoring(Box::new(outgoing)));
        app.api.store.append(Record::NearMiss(near));
        // What stood under its pseudonym by then.
        let mut row = super::incidents::row(number);
        row.address = app.api.reader.pseudonym(source);
        app.api.store.append(Record::Incident(Box::new(row)));
    }
}

#[tokio::test]
async fn an_erased_address_is_nowhere_and_others_stay() {
    let mut app = TestApp::new().await;
    let log = app.dir.path().join("security.log");
    std::fs::write(&log, format!("ban {WHOM}\nban 203.0.113.78\n")).unwrap();
    let kept = super::super::Kept { logs: vec![log.clone()], ..Default::default() };
    app.api.own = super::super::Own::new(&::prometheus::Registry::new(), kept).unwrap();
    app.router = router(app.api.clone());
    for (number, source) in [WHOM, "203.0.113.78"].into_iter().enumerate() {
        app.ask(post(
            "/api/v1/decisions",
            &json!({ "source": source, "reason": format!("scans from {source}") }),
        ))
        .await;
        let mut row = super::incidents::row(u32::try_from(number).unwrap());
        row.address = source.to_owned();
        row.target = format!("/?from={source}");
        app.api.store.append(Record::Incident(Box::new(row)));
    }
    let office = app
        .ask(post("/api/v1/allowlist", &json!({ "whom": "203.0.113.200", "comment": format!("was {WHOM}") })))
        .await;
    assert_eq!(office.status, StatusCode::CREATED);
    let slow = json!({ "source": WHOM, "kind": "limit", "requests_per_min": 5 });
    assert_eq!(app.ask(post("/api/v1/decisions", &slow)).await.status, StatusCode::CREATED);
    keep_more_of(&app, &[WHOM, "203.0.113.78"]);
    let mut table = Table::default();
    for whom in [WHOM, "203.0.113.78"] {
        table.note(Kind::Address, whom.to_owned(), 0.9, &["sqli".to_owned()], "incident", clock::wall());
    }
    app.api.knowing.indicators.take_up(table);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(says(&on_disk(&app), WHOM), "or there is nothing to erase");
    let pseudonym = app.api.reader.pseudonym(WHOM);
    assert!(app.get("/api/v1/incidents").await.text.contains(&pseudonym), "or there is nothing to erase");
    assert!(app.get("/api/v1/security/threats").await.text.contains(WHOM));

    let asked = json!({ "whom": WHOM, "reason": "asked for by letter" });
    let erased = app.ask(post("/api/v1/privacy/erase", &asked)).await;
    assert_eq!(erased.status, StatusCode::OK, "{}", erased.text);
    assert_eq!(erased.body["decisions_lifted"], 1, "{}", erased.text);
    let (rulings, indicators) = (&erased.body["rulings_lifted"], &erased.body["indicators_removed"]);
    assert_eq!((rulings, indicators), (&json!(1), &json!(1)), "{}", erased.text);
    assert_eq!(
        (&erased.body["scrubbed"], &erased.body["log_files"]),
        (&json!(true), &json!(1)),
        "{}",
        erased.text
    );
    assert!(!erased.text.contains(WHOM));

    assert!(!says(&on_disk(&app), WHOM), "it is on the disk still");
    let of_both = ["alerts", "alerts_outgoing", "near_misses", "incidents"].map(|kind| {
        let rows = erased.body["rows"].as_array().unwrap().iter().find(|rows| rows["kind"] == kind);
        rows.map_or(0, |rows| rows["rows"].as_u64().unwrap())
    });
    assert_eq!(of_both, [1, 1, 1, 2], "{}", erased.text);
    assert!(says(&on_disk(&app), "203.0.113.78"), "another was erased with it");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ban ------------\nban 203.0.113.78\n");
    for path in [
        "/api/v1/decisions",
        "/api/v1/decisions?format=csv",
        "/api/v1/security/threats",
        "/api/v1/security/threats?format=ndjson",
        "/api/v1/monitoring/security/?hours=9600",
        "/api/v1/incidents",
        "/api/v1/incidents?format=ndjson",
        "/api/v1/incidents?format=csv",
        "/api/v1/monitoring/alerts/",
        "/api/v1/monitoring/alerts/?format=csv",
        "/api/v1/history?within=20000d",
        "/api/v1/allowlist",
        "/api/v1/audit",
        "/api/v1/audit?format=ndjson",
        "/api/v1/privacy/record",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.text.contains(WHOM), "{path}: {}", answer.text);
    }
    let left = app.get("/api/v1/incidents").await.text;
    assert!(!left.contains(&pseudonym), "{left}");
    for path in ["/api/v1/incidents", "/api/v1/security/threats", "/api/v1/monitoring/alerts/"] {
        assert!(app.get(path).await.text.contains("203.0.113.78"), "{path}: another was erased with it");
    }
    let audited = app.get("/api/v1/audit/verify").await.body;
    assert_eq!((&audited["whole"], &audited["wrong"]), (&json!(true), &json!([])), "{audited}");
    assert!(audited["erased"].as_u64().unwrap() >= 2, "{audited}");
    let record = app.get("/api/v1/privacy/record").await.body;
    assert_eq!(record["erasures"][0]["whom"], erased.body["whom"]);
}

#[tokio::test]
async fn a_ruling_about_whom_is_erased_is_in_force_no_more() {
    let app = TestApp::new().await;
    for user in ["alice@example.org", "malice@example.org"] {
        let ban = json!({ "subject": format!("user:{user}"), "reason": format!("{user} shares a password") });
        assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.status, StatusCode::CREATED);
    }
    let erased = app.ask(post("/api/v1/privacy/erase", &json!({ "whom": "alice@example.org" }))).await;
    assert_eq!(erased.body["rulings_lifted"], 1, "{}", erased.text);
    let left = app.get("/api/v1/decisions").await;
    let subjects: Vec<_> =
        left.body["items"].as_array().unwrap().iter().map(|item| item["subject"].clone()).collect();
    assert_eq!(subjects, ["user:malice@example.org"]);
}

#[tokio::test]
async fn an_answer_that_names_whom_is_not_given_again() {
    let app = TestApp::new().await;
    let ask = async || {
        let mut request = post("/api/v1/decisions", &json!({ "source": WHOM }));
        request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        app.ask(request).await
    };
    let first = ask().await;
    assert_eq!(ask().await.text, first.text, "or there is nothing to forget");
    app.ask(post("/api/v1/privacy/erase", &json!({ "whom": WHOM }))).await;
    let again = ask().await;
    assert_ne!(again.body["id"], first.body["id"], "{}", again.text);
}

#[tokio::test]
async fn what_cannot_be_erased_is_told() {
    let app = TestApp::new().await;
    for (body, told) in [
        (json!({ "whom": "203.0.113.0/24" }), "one address"),
        (json!({ "whom": "ann" }), "4 to 256"),
        (json!({ "whom": WHOM, "reason": format!("{WHOM} asked") }), "reason"),
    ] {
        app.ask(post("/api/v1/privacy/erase", &body)).await.is_problem(400, told);
    }
}
