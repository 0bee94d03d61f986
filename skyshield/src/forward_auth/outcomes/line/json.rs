//! A line that is one JSON object, by the names that nginx with our snippet, `HAProxy` with ours, Traefik,
//! Envoy and Caddy use.

use serde_json::{Map, Value};

use super::Outcome;
use crate::verdict::address_of;

type Object = Map<String, Value>;

/// What `text` tells, if it is such an object.
pub(super) fn outcome(text: &str) -> Option<Outcome> {
    let Value::Object(all) = serde_json::from_str(text).ok()? else { return None };
    // Caddy has the request in an object of its own, Traefik's names begin with capitals.
    if let Some(Value::Object(request)) = all.get("request") {
        return caddy(&all, request);
    }
    if all.contains_key("DownstreamStatus") {
        return traefik(&all);
    }
    let status = number(&all, &["status", "response_code"])?;
    let secs =
        number(&all, &["request_time"]).or_else(|| Some(number(&all, &["duration_ms", "duration"])? / 1e3));
    let incident = text_of(&all, &["skyshield_incident"]);
    Some(Outcome {
        awaited: text_of(&all, &["skyshield_request"]).and_then(id),
        is_ours: incident.is_some_and(|incident| !matches!(incident, "" | "-")),
        address: text_of(&all, &["remote_addr", "client_ip", "downstream_remote_address"])
            .or_else(|| text_of(&all, &["x_forwarded_for"])?.rsplit(',').next())
            .and_then(|address| address_of(address.trim().as_bytes())),
        method: owned(&all, &["method", "request_method"]),
        target: owned(&all, &["uri", "request_uri", "path"]),
        host: owned(&all, &["host", "http_host", "authority"]),
        status: whole(status)?,
        secs,
        bytes: bytes(&all, &["body_bytes_sent", "bytes_sent", "bytes"]),
    })
}

fn traefik(all: &Object) -> Option<Outcome> {
    let origin = number(all, &["OriginStatus"]).filter(|status| *status > 0.0);
    let kept = ["request_X-Skyshield-Request", "origin_X-Skyshield-Request"];
    Some(Outcome {
        awaited: text_of(all, &kept).and_then(id),
        // Without an answer of the server's it was one of Traefik's middlewares, or Traefik itself.
        is_ours: origin.is_none(),
        address: text_of(all, &["ClientHost"]).and_then(|address| address_of(address.as_bytes())),
        method: owned(all, &["RequestMethod"]),
        target: owned(all, &["RequestPath"]),
        host: owned(all, &["RequestHost"]),
        status: whole(origin.or_else(|| number(all, &["DownstreamStatus"]))?)?,
        secs: number(all, &["Duration"]).map(|nanos| nanos / 1e9),
        bytes: bytes(all, &["DownstreamContentSize"]),
    })
}

fn caddy(all: &Object, request: &Object) -> Option<Outcome> {
    let header = |of: &Object, of_name: &str, name: &str| {
        let Some(Value::Object(headers)) = of.get(of_name) else { return None };
        headers.get(name)?.as_array()?.first()?.as_str().map(str::to_owned)
    };
    Some(Outcome {
        awaited: header(request, "headers", "X-Skyshield-Request").as_deref().and_then(id),
        is_ours: header(all, "resp_headers", "X-Skyshield-Incident").is_some(),
        address: text_of(request, &["client_ip", "remote_ip"])
            .and_then(|address| address_of(address.as_bytes())),
        method: owned(request, &["method"]),
        target: owned(request, &["uri"]),
        host: owned(request, &["host"]),
        status: whole(number(all, &["status"])?)?,
        secs: number(all, &["duration"]),
        bytes: bytes(all, &["size"]),
    })
}

fn id(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn text_of<'o>(all: &'o Object, names: &[&str]) -> Option<&'o str> {
    names.iter().find_map(|name| all.get(*name)?.as_str())
}

fn owned(all: &Object, names: &[&str]) -> String {
    text_of(all, names).unwrap_or_default().to_owned()
}

/// A number, which some write as text.
fn number(all: &Object, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| match all.get(*name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

fn bytes(all: &Object, names: &[&str]) -> u64 {
    let found = number(all, names).filter(|bytes| (0.0..1e15).contains(bytes)).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
    let bytes = found as u64;
    bytes
}

fn whole(status: f64) -> Option<u16> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
    (100.0..600.0).contains(&status).then_some(status as u16)
}
