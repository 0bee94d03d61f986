//! People who log in: password, one-time code, cookie, and an end to guessing.

use super::*;
use crate::api::auth::Peer;

const PASSWORD: &str = "correct horse battery";

/// The answer to a request without the token, and the cookie it sets.
async fn plainly(
    app: &TestApp,
    mut request: Request<Body>,
    cookie: Option<&str>,
) -> (Answer, Option<String>) {
    if let Some(cookie) = cookie {
        request
            .headers_mut()
            .insert(header::COOKIE, format!("other=1; sky_session={cookie}").parse().unwrap());
    }
    let response = app.router.clone().oneshot(request).await.unwrap();
    let set = response.headers().get(header::SET_COOKIE).map(|set| set.to_str().unwrap().to_owned());
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let answer =
        Answer { status: parts.status, kind: kind.unwrap_or_default(), challenge: false, text, body };
    (answer, set)
}

fn login(password: &str, code: Option<&str>) -> Request<Body> {
    login_from(1, password, code)
}

fn login_from(number: u8, password: &str, code: Option<&str>) -> Request<Body> {
    let mut request = post("/api/v1/session", &json!({ "name": "ann", "password": password, "code": code }));
    request.extensions_mut().insert(Peer([192, 0, 2, number].into()));
    request
}

async fn app() -> TestApp {
    let app = TestApp::new().await;
    let ann = json!({ "name": "ann", "role": "operator", "password": PASSWORD });
    let made = app.ask(post("/api/v1/operators", &ann)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    app
}

fn secret_of(set: &str) -> String {
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    set.strip_prefix("sky_session=").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_logs_in_may_do_what_the_role_says_until_logged_out() {
    let app = app().await;
    plainly(&app, login("wrong horse battery", None), None).await.0.is_problem(401, "wrong");
    let (answer, set) = plainly(&app, login(PASSWORD, None), None).await;
    assert_eq!(
        (answer.status, &answer.body["role"]),
        (StatusCode::OK, &json!("operator")),
        "{}",
        answer.text
    );
    let secret = secret_of(&set.unwrap());
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(plainly(&app, get("/api/v1/session"), Some(&secret)).await.0.body["name"], "ann");
    assert_eq!(plainly(&app, get("/api/v1/decisions"), Some(&secret)).await.0.status, StatusCode::OK);
    plainly(&app, get("/api/v1/tokens"), Some(&secret)).await.0.is_problem(403, "config:write");
    plainly(&app, get("/api/v1/decisions"), Some("0badcafe")).await.0.is_problem(401, "token");
    plainly(&app, delete("/api/v1/session"), Some(&secret)).await;
    plainly(&app, get("/api/v1/decisions"), Some(&secret)).await.0.is_problem(401, "token");
    let log = app.get("/api/v1/audit").await;
    assert!(log.text.contains("session.begin") && log.text.contains("session.refused"));
    assert!(!log.text.contains("horse"), "a password is in the log");
}

#[tokio::test]
async fn with_codes_the_password_is_not_enough_and_no_code_is_good_twice() {
    let app = app().await;
    let made = app.ask(post("/api/v1/operators/ann/totp", &json!({}))).await;
    let url = made.body["url"].as_str().unwrap().to_owned();
    let codes = totp_rs::Totp::from_url(&url).unwrap();
    plainly(&app, login(PASSWORD, None), None).await.0.is_problem(401, "code");
    plainly(&app, login(PASSWORD, Some("000000")), None).await.0.is_problem(401, "code");
    let secs = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let code = codes.generate(secs).to_string();
    assert_eq!(plainly(&app, login(PASSWORD, Some(&code)), None).await.0.status, StatusCode::OK);
    plainly(&app, login(PASSWORD, Some(&code)), None).await.0.is_problem(401, "code");
    assert!(!app.get("/api/v1/audit").await.text.contains("otpauth"), "a secret is in the log");
}

#[tokio::test]
async fn guessing_ends_for_the_guesser_and_not_for_others() {
    let app = app().await;
    for _ in 0..5 {
        plainly(&app, login("wrong horse battery", None), None).await.0.is_problem(401, "wrong");
    }
    let (refused, _) = plainly(&app, login(PASSWORD, None), None).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text);
    assert!(refused.body["type"].as_str().unwrap().ends_with("#quota-exceeded"));
    assert_eq!(plainly(&app, login_from(2, PASSWORD, None), None).await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn a_removed_operators_sessions_end() {
    let app = app().await;
    let secret = secret_of(&plainly(&app, login(PASSWORD, None), None).await.1.unwrap());
    app.ask(delete("/api/v1/operators/ann")).await;
    let get = Request::get("/api/v1/session").body(Body::empty()).unwrap();
    plainly(&app, get, Some(&secret)).await.0.is_problem(401, "token");
    app.ask(delete("/api/v1/operators/ann")).await.is_problem(404, "ann");
    for (body, told) in [
        (json!({ "name": "a:b", "role": "viewer", "password": PASSWORD }), "name"),
        (json!({ "name": "bob", "role": "viewer", "password": "short" }), "password"),
    ] {
        app.ask(post("/api/v1/operators", &body)).await.is_problem(400, told);
    }
}
