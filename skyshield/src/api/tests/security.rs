//! The security report.

use super::*;
use crate::store::{NearMissRow, Record};

/// The API over incidents of the last hours and of long ago, a ban and a near miss.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    let now = crate::control::millis(clock::wall());
    for number in 0..40_u32 {
        let mut row = super::incidents::row(number);
        row.at_ms = now - i64::from(number % 4) * 3_600_000 - 1;
        let at = crate::control::moment(row.at_ms);
        row.id = crate::engine::incident::IncidentId::new(at, u128::from(number)).to_string();
        assert!(app.api.store.append(Record::Incident(Box::new(row))));
    }
    // Long ago.
    assert!(app.api.store.append(Record::Incident(Box::new(super::incidents::row(1000)))));
    for _ in 0..3 {
        let near = NearMissRow { at_ms: now, route: "wiki".to_owned(), assessment: "{}".to_owned() };
        assert!(app.api.store.append(Record::NearMiss(near)));
    }
    let ban = json!({ "source": "203.0.113.2", "ttl": "1h" });
    assert_eq!(app.ask(post("/api/v1/decisions", &ban)).await.status, StatusCode::CREATED);
    let limit = json!({ "subject": "user:alice", "kind": "limit", "requests_per_min": 5 });
    assert_eq!(app.ask(post("/api/v1/decisions", &limit)).await.status, StatusCode::CREATED);
    app
}

#[tokio::test]
async fn the_report_says_what_is_in_force_what_happened_and_who_was_in_most_of_it() {
    let app = app().await;
    let report = app.get("/api/v1/monitoring/security/").await.body;
    let decisions = &report["decisions"];
    assert_eq!((&decisions["bans"], &decisions["capacity"]), (&json!(1), &json!(1000)), "{report}");
    assert_eq!(decisions["bans_by_origin"]["operator"], 1, "{report}");
    assert_eq!(decisions["rulings_by_kind"]["limit"], 1, "{report}");

    let incidents = &report["incidents"];
    assert_eq!((&incidents["total"], &incidents["is_whole"]), (&json!(40), &json!(true)), "{report}");
    assert_eq!(incidents["by_act"], json!({ "ban": 10, "refuse": 30 }));
    assert_eq!(incidents["by_door"], json!({ "gateway": 40 }));
    assert_eq!(incidents["by_rule"], json!({ "sqli.union-select": 14, "xss.script": 26, "own.x": 40 }));
    let hours = incidents["by_hour"].as_array().unwrap();
    assert!((4..=5).contains(&hours.len()), "{hours:?}");
    assert_eq!(hours.iter().map(|hour| hour["incidents"].as_u64().unwrap()).sum::<u64>(), 40);
    assert_eq!(hours.iter().map(|hour| hour["refused"].as_u64().unwrap()).sum::<u64>(), 40);
    let classes = incidents["by_class"].as_object().unwrap();
    assert_eq!(classes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 80, "{classes:?}");

    let attackers = report["attackers"].as_array().unwrap();
    assert_eq!(attackers.len(), 5);
    assert!(attackers.iter().all(|attacker| attacker["incidents"] == 8), "{attackers:?}");
    let banned: Vec<_> = attackers.iter().filter(|attacker| attacker["is_banned"] == true).collect();
    assert_eq!(banned.len(), 1);
    assert_eq!(banned[0]["address"], "203.0.113.2");
    assert_eq!(report["near_misses"], json!({ "total": 3, "by_route": { "wiki": 3 } }));
    assert!(report["detection"]["bans_total"].is_object(), "{report}");
    assert_eq!(report["success"]["enforcement_drift"], 0.0, "{report}");
    assert_eq!(report["kernel"], json!({ "dropped_packets": 0, "dropped_bytes": 0, "by_reason": {} }));
    assert_eq!((&report["feeds"], &report["reputation"]["providers"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn how_far_back_and_how_many_is_asked_for() {
    let app = app().await;
    let one = app.get("/api/v1/monitoring/security?hours=1&attackers=2").await.body;
    assert_eq!(
        (&one["incidents"]["total"], one["attackers"].as_array().unwrap().len()),
        (&json!(10), 2),
        "{one}"
    );
    for (query, told) in
        [("hours=0", "1 to 9600"), ("hours=9601", "1 to 9600"), ("attackers=101", "1 to 100"), ("x=1", "x")]
    {
        app.get(&format!("/api/v1/monitoring/security/?{query}")).await.is_problem(400, told);
    }
}
