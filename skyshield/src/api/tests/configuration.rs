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
