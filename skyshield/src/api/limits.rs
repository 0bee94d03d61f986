//! `/api/v1/limits`: how many requests of each class a source or a user may send.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use prometheus::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::counters::{self, Measured};
use super::page::Page;
use super::problem::Problem;
use crate::engine::source::Source;
use crate::lifecycle::Wishes;
use crate::limits::{By, Class, Config};

/// What is counted of requests beyond their class's quota, by class.
const LIMITED: &str = "ratelimited_total";

/// The limits in force. What operators have set for one source or user is among the decisions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitsBody {
    /// Whether requests are limited at all.
    enabled: bool,
    /// The prefix of IPv4 that counts as one source.
    v4_prefix: u8,
    /// The prefix of IPv6 that counts as one source.
    v6_prefix: u8,
    /// Sources and users that are remembered at a time.
    tracked: usize,
    /// Sources that are never limited.
    #[schema(value_type = Vec<String>)]
    exempt: Vec<Source>,
    /// Requests of one source in progress at a time; none is no limit.
    concurrent: Option<u32>,
    /// Bytes of one source's requests and responses in a window; none is no limit.
    bytes: Option<BytesBody>,
    /// The classes, in the order they are tried: a request is of the first that takes it.
    #[serde(flatten)]
    classes: Page<ClassBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitOfBytes)]
struct BytesBody {
    bytes: u64,
    window_seconds: u32,
}

/// A class of requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitClass)]
pub(super) struct ClassBody {
    class: String,
    /// Paths: `*` is any part of one segment, `**` any number of segments.
    paths: Vec<String>,
    /// Methods; none is all.
    methods: Vec<String>,
    /// GET and HEAD of names that end so are not counted.
    except_extensions: Vec<String>,
    /// Requests in a window; none is no limit.
    requests: Option<u32>,
    window_seconds: u32,
    /// Who has a quota of his own: `source`, `user` or `both`.
    #[schema(value_type = String)]
    by: By,
    /// Requests beyond it, since the daemon started.
    limited: u64,
}

/// How many requests of each class a source or a user may send, all classes on one page.
#[utoipa::path(get, path = "/api/v1/limits", tag = "configuration", responses((status = 200, body = LimitsBody)))]
pub(super) async fn show(
    State(wishes): State<Wishes>,
    State(registry): State<Registry>,
) -> Result<Json<LimitsBody>, Problem> {
    let shown = wishes.shown().get().shown;
    // A daemon that has begun to serve has a configuration in force.
    let section = shown.get("limits").cloned().unwrap_or_else(|| serde_json::json!({}));
    let config: Config = serde_json::from_value(section).map_err(|error| Problem::internal(&error))?;
    let mut values = counters::of(&registry, &[LIMITED]);
    let limited = match values.remove(LIMITED) {
        Some(Measured::Several(limited)) => limited,
        Some(Measured::One(_)) | None => BTreeMap::default(),
    };
    let classes = config.in_order().map(|(name, class)| {
        let Class { paths, methods, except_extensions, requests, window_secs, by } = class.clone();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it counts up from 0")]
        let limited = limited.get(&format!("class={name}")).map_or(0, |count| *count as u64);
        ClassBody {
            class: name.to_owned(),
            paths,
            methods,
            except_extensions,
            requests: (requests > 0).then_some(requests),
            window_seconds: window_secs,
            by,
            limited,
        }
    });
    let classes = Page::whole(classes.collect()).0;
    let per_source = &config.per_source;
    let (bytes, window_seconds) = (per_source.bytes, per_source.window_secs);
    Ok(Json(LimitsBody {
        enabled: config.enabled,
        v4_prefix: config.v4_prefix,
        v6_prefix: config.v6_prefix,
        tracked: config.tracked,
        concurrent: (per_source.concurrent > 0).then_some(per_source.concurrent),
        bytes: (bytes > 0).then_some(BytesBody { bytes, window_seconds }),
        exempt: config.exempt,
        classes,
    }))
}
