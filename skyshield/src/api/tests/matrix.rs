//! Every route before every role and scope: let in where the table says so, and nowhere else.

use super::super::role::{Role, Scope, Scopes};
use super::*;

/// A token of `role`, narrowed to `scope` where one is named.
async fn token(app: &TestApp, role: Role, scope: Option<Scope>) -> String {
    let scopes = scope.map(|scope| vec![scope.name()]);
    let made =
        app.ask(post("/api/v1/tokens", &json!({ "name": "matrix", "role": role, "scopes": scopes }))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.body["token"].as_str().unwrap().to_owned()
}

/// How a request is answered, without waiting for the end of the answer.
async fn status(app: &TestApp, token: &str, method: &Method, path: &str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty());
    app.router.clone().oneshot(request.unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn every_route_lets_in_the_roles_and_scopes_that_the_table_says() {
    let app = TestApp::new().await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role.scopes(), token(&app, role, None).await));
        for scope in role.scopes().iter() {
            tokens.push((Scopes::of(&[scope]), token(&app, role, Some(scope)).await));
        }
    }
    assert_eq!(tokens.len(), 3 + 2 + 3 + 6);
    for (method, path, needs) in for_operators() {
        for path in both(&path) {
            for (scopes, token) in &tokens {
                let is_let_in = match needs {
                    Needs::Nothing | Needs::Anyone => true,
                    Needs::Scope(scope) => scopes.holds(scope),
                };
                let status = status(&app, token, &method, &path).await;
                let was_let_in = !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                assert_eq!(was_let_in, is_let_in, "{method} {path} with {}: {status}", scopes.to_text());
                assert!(
                    !status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE,
                    "{method} {path}: {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_route_that_changes_something_is_for_those_who_may_only_look() {
    for (method, path, needs) in for_operators() {
        if !matches!(method, Method::GET | Method::HEAD) && !path.starts_with("/api/v1/session") {
            let Needs::Scope(scope) = needs else { panic!("{method} {path} needs no scope") };
            assert!(!Role::Viewer.scopes().holds(scope), "{method} {path} is for viewers");
        }
    }
}

#[tokio::test]
async fn a_token_is_narrowed_and_never_widened() {
    let app = TestApp::new().await;
    for (body, told) in [
        (json!({ "name": "a", "role": "viewer", "scopes": ["decisions:write"] }), "beyond the role"),
        (json!({ "name": "a", "role": "operator", "scopes": ["config:write"] }), "beyond the role"),
        (json!({ "name": "a", "scopes": [] }), "at least one"),
        (json!({ "name": "a", "networks": ["here"] }), "networks"),
    ] {
        app.ask(post("/api/v1/tokens", &body)).await.is_problem(400, told);
    }
    let unknown = json!({ "name": "a", "role": "emperor" });
    app.ask(post("/api/v1/tokens", &unknown)).await.is_problem(422, "emperor");
    let plain = app.ask(post("/api/v1/tokens", &json!({ "name": "a" }))).await;
    assert_eq!(
        (&plain.body["role"], &plain.body["scopes"]),
        (&json!("viewer"), &json!(["monitoring:read", "events:read"]))
    );
}

#[tokio::test]
async fn a_bound_token_is_good_from_its_networks_only() {
    let app = TestApp::new().await;
    let bound = json!({ "name": "office", "networks": ["192.0.2.0/24"] });
    let token = app.ask(post("/api/v1/tokens", &bound)).await.body["token"].as_str().unwrap().to_owned();
    for (peer, expected) in [(Some("192.0.2.9"), 200), (Some("198.51.100.9"), 403), (None, 403)] {
        let mut request =
            Request::get("/api/v1/decisions").header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(peer) = peer {
            request = request.extension(super::super::auth::Peer(peer.parse().unwrap()));
        }
        let answered = answer(&app.router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answered.status.as_u16(), expected, "{peer:?}: {}", answered.text);
    }
}
