//! The document: it says all there is, and no two things by one name.

use super::*;

#[tokio::test]
async fn every_route_is_described_once_with_its_answers_and_what_it_needs() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.body;
    assert_eq!(document["openapi"], "3.1.0");
    let (api, _dir, _stop) = parts();
    let table = super::super::table(&api);
    assert_eq!(table.collisions(), [] as [&str; 0], "two types of one name");
    for entry in table.entries() {
        let operation = &document["paths"][&entry.path][entry.method.as_str().to_ascii_lowercase()];
        assert!(
            operation["responses"]
                .as_object()
                .is_some_and(|all| all.keys().any(|status| status.starts_with('2'))),
            "{entry:?}"
        );
        assert!(
            operation["summary"].as_str().is_some_and(|told| told.len() > 5),
            "{entry:?} has no first sentence"
        );
        assert_eq!(operation["security"].is_array(), entry.needs != Needs::Nothing, "{entry:?}");
        if let Needs::Scope(scope) = entry.needs {
            assert_eq!(operation["security"][0]["token"], json!([scope.name()]), "{entry:?}");
        }
    }
}

#[tokio::test]
async fn programs_can_be_made_of_the_document() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.body;
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path} goes by another's name, {name}");
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let told = answer["description"].as_str();
                assert!(
                    told.is_some_and(|told| !told.is_empty()),
                    "{method} {path}: {status} is not described"
                );
            }
            let mut parameters = std::collections::BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let named = (parameter["in"].to_string(), parameter["name"].to_string());
                assert!(parameters.insert(named), "{method} {path}: {parameter} is there twice");
            }
        }
    }
    assert!(
        names.contains("get_monitoring_security") && names.contains("delete_decisions_by_id"),
        "{names:?}"
    );
}

/// Every schema within `schema` that says nothing of what it is, by its place.
fn untyped(place: &str, schema: &Value, found: &mut Vec<String>) {
    let says = ["type", "$ref", "oneOf", "allOf", "anyOf", "enum"];
    if says.iter().all(|word| schema[*word].is_null()) {
        found.push(place.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        untyped(&format!("{place}.{name}"), property, found);
    }
    for word in ["items", "additionalProperties"] {
        if schema[word].is_object() {
            untyped(&format!("{place}.{word}"), &schema[word], found);
        }
    }
    for word in ["oneOf", "allOf", "anyOf"] {
        for (at, part) in schema[word].as_array().into_iter().flatten().enumerate() {
            untyped(&format!("{place}.{word}[{at}]"), part, found);
        }
    }
}

#[tokio::test]
async fn the_document_says_what_each_thing_is() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.body;
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        untyped(name, schema, &mut found);
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap().values();
            for answer in answers.chain([&operation["requestBody"]]) {
                for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                    untyped(&format!("{method} {path} {kind}"), &content["schema"], &mut found);
                }
            }
        }
    }
    // What was changed has its own resource's shape; what a rule of response says has its own words; a row of a
    // report is as its field is.
    let free = [
        "AuditContent.after",
        "AuditContent.allOf",
        "AuditContent.before",
        "AuditContent.additionalProperties",
    ];
    found.retain(|place| !free.iter().any(|free| place.starts_with(free)));
    assert_eq!(found, [] as [&str; 0]);
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await;
    let known = document.body["components"]["schemas"].as_object().unwrap();
    let named: std::collections::BTreeSet<_> = document
        .text
        .split("\"#/components/schemas/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(named.len() > 10);
    for name in named {
        assert!(known.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn the_document_is_for_operators_and_the_probes_for_everyone() {
    let app = TestApp::new().await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    answer(&app.router, get("/openapi.json")).await.is_problem(401, "token");
    assert_eq!(answer(&app.router, get("/healthz")).await.status, StatusCode::OK);
    assert_eq!(answer(&app.router, get("/readyz/")).await.status, StatusCode::OK);
}
