//! `GET /openapi.json`: what the API takes and answers, `OpenAPI` 3.1, made from the code.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::{Method, header};
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::table::Needs;

/// The document as it is sent.
#[derive(Clone)]
pub(super) struct Document(pub(super) Arc<str>);

/// The document, without a route in it.
pub(super) fn empty() -> OpenApi {
    let mut components = Components::new();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token, `sky_…`; `skyshield tokens add NAME` makes one"))
        .build();
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(bearer).into());
    let session = ApiKeyValue::with_description("sky_session", "A session, by `POST /api/v1/session`");
    components
        .security_schemes
        .insert("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(session)).into());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("SkyShield")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "The admin API. Every path is there with and without its trailing slash. Times are RFC 3339 in \
                     UTC, lists are never null, problems are RFC 9457.",
                ))
                .build(),
        )
        .paths(Paths::new())
        .components(Some(components))
        .build()
}

/// Adds to an operation what all have in common: whom it asks for, and the problems it may answer with.
pub(super) fn complete(operation: &mut Operation, method: &Method, path: &str, needs: Needs) {
    operation.operation_id = Some(name_of(method, path));
    let mut problems = vec![400, 421, 429, 503];
    if needs != Needs::Nothing {
        problems.extend([401, 403]);
        let scopes = match needs {
            Needs::Scope(scope) => vec![scope.name()],
            Needs::Nothing | Needs::Anyone => Vec::new(),
        };
        operation.security = Some(
            ["token", "session"]
                .map(|scheme| SecurityRequirement::new(scheme, scopes.iter().copied()))
                .into(),
        );
        if let Needs::Scope(scope) = needs {
            let told = operation.description.take().unwrap_or_default();
            operation.description =
                Some(format!("{told}\n\nNeeds `{}`.", scope.name()).trim_start().to_owned());
        }
    }
    if path.contains('{') {
        problems.push(404);
    }
    if operation.request_body.is_some() {
        problems.extend([413, 415, 422]);
    }
    if *method != Method::GET {
        // The key is in use for a request that is being answered, or was one of another request.
        problems.extend([403, 409, 413, 422]);
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Up to 64 visible characters; the same request under the same key is done once",
            ))
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,64}$")).build(),
            ));
        let (key, parameters) = (key.build(), operation.parameters.get_or_insert_default());
        // Where it is asked for, the handler says so itself.
        let is_it = |known: &RefOr<Parameter>| matches!(known, RefOr::T(known) if known.name == key.name);
        if !parameters.iter().any(is_it) {
            parameters.push(key.into());
        }
    }
    for status in problems {
        let named = status.to_string();
        operation.responses.responses.entry(named).or_insert_with(|| RefOr::T(problem(status)));
    }
    // The specification asks for a description of each.
    for (status, response) in &mut operation.responses.responses {
        if let (Ok(status), RefOr::T(response)) = (status.parse(), response)
            && response.description.is_empty()
        {
            title(status).clone_into(&mut response.description);
        }
    }
    // A problem that the handler documents by its status alone is one of these too; and where it has a body of its
    // own, what stands before the handler still answers with a problem.
    for (status, response) in &mut operation.responses.responses {
        if let (Ok(status @ 400..), RefOr::T(response)) = (status.parse::<u16>(), response) {
            for (kind, content) in problem(status).content {
                response.content.entry(kind).or_insert(content);
            }
        }
    }
}

fn problem(status: u16) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description(title(status))
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build(),
        )
        .build()
}

/// What programs call an operation: its method and its path, and no two the same.
fn name_of(method: &Method, path: &str) -> String {
    let mut name = method.as_str().to_ascii_lowercase();
    for part in path.trim_start_matches("/api/v1").split(['/', '.', '-']).filter(|part| !part.is_empty()) {
        name.push('_');
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(named) => name.extend(["by_", named]),
            None => name.push_str(part),
        }
    }
    name
}

fn title(status: u16) -> &'static str {
    let status = axum::http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("An answer")
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "about", responses((status = 200, description = "The document", body = Object)))]
pub(super) async fn show(Extension(Document(text)): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.to_string())
}
