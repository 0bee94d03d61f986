//! Access logs: the combined form of Apache and nginx, and lines of JSON as servers write them.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::Value;

use crate::rehearsal::Recorded;

/// `203.0.113.7 - alice [28/Nov/2026:00:33:00 +0000] "GET / HTTP/1.1" 200 5 "referer" "agent"`, with a host
/// before it where the server writes one.
pub(super) fn combined(line: &str) -> Result<Recorded, String> {
    let (before, rest) = line.split_once('[').ok_or("it has no [time]")?;
    let (time, rest) = rest.split_once(']').ok_or("its [time] does not end")?;
    let (request, rest) = quoted(rest).ok_or("it has no \"request\"")?;
    let mut parts = before.split_whitespace();
    let first = parts.next().unwrap_or_default();
    let named = parts.next().unwrap_or_default();
    // Some write the host asked for first.
    let (source, host) = match (first.parse::<IpAddr>(), named.parse::<IpAddr>()) {
        (Ok(source), _) => (Some(source), None),
        (Err(_), Ok(source)) => (Some(source), Some(first)),
        (Err(_), Err(_)) => (None, None),
    };
    let status = rest.split_whitespace().next().and_then(|status| status.parse().ok());
    let (referer, rest) = quoted(rest).unwrap_or_default();
    let (agent, _) = quoted(rest).unwrap_or_default();
    let (method, target) = request_line(&unescaped(&request));
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &[u8]| {
        if !value.is_empty() && value != b"-" {
            headers.push((name.as_bytes().to_vec(), value.to_vec()));
        }
    };
    add("Host", host.unwrap_or_default().as_bytes());
    add("Referer", &unescaped(&referer));
    add("User-Agent", &unescaped(&agent));
    let at = moment(time).ok_or_else(|| format!("`{time}` is no time"))?;
    Ok(Recorded { at: Some(at), source, method, target, headers, body: Vec::new(), status })
}

/// The next text in quotes, and what is behind it. A backslash before a quote makes it part of the text.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (_, rest) = text.split_once('"')?;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            '"' if !escaped => return Some((rest[..at].to_owned(), &rest[at + 1..])),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// What servers write as `\xHH` and `\"`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code
            .filter(|_| after.first() == Some(&b'x'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, code, after.first()) {
            (b'\\', Some(code), _) => {
                out.push(code);
                rest = &after[3..];
            }
            (b'\\', None, Some(&next)) => {
                out.push(match next {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => other,
                });
                rest = &after[1..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// Method and target of a request's first line; of what is none, the whole is the target.
fn request_line(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(space) = memchr::memchr(b' ', line) else { return (b"GET".to_vec(), line.to_vec()) };
    let rest = &line[space + 1..];
    let end = memchr::memmem::rfind(rest, b" HTTP/").unwrap_or(rest.len());
    (line[..space].to_vec(), rest[..end].to_vec())
}

/// `28/Nov/2026:00:33:00 +0000`, RFC 3339, or seconds since 1970.
fn moment(text: &str) -> Option<SystemTime> {
    let by_form = || jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok();
    let by_rfc = || text.parse::<jiff::Timestamp>().ok();
    let by_secs = || {
        let secs: f64 = text.parse().ok().filter(|secs: &f64| (0.0..1e11).contains(secs))?;
        Some(std::time::UNIX_EPOCH + std::time::Duration::try_from_secs_f64(secs).ok()?)
    };
    by_form().or_else(by_rfc).and_then(|at| SystemTime::try_from(at).ok()).or_else(by_secs)
}

/// A line of JSON as nginx, Caddy, Traefik and others write it: fields by any of their usual names.
pub(super) fn json(line: &Value) -> Result<Recorded, String> {
    let inner = line.get("request").filter(|request| request.is_object());
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| line.get(name).or_else(|| inner?.get(name)));
        match found {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        }
    };
    let request = line.get("request").and_then(Value::as_str).or_else(|| line.get("request_line")?.as_str());
    let (method, target) = if let Some(request) = request {
        request_line(request.as_bytes())
    } else {
        let target = text(&["uri", "request_uri", "path", "url", "RequestPath", "target", "http.target"]);
        let target = target.ok_or("it names no request (`request`, `uri`, `path`)")?;
        let method = text(&["method", "request_method", "verb", "RequestMethod"]);
        (method.unwrap_or_else(|| "GET".to_owned()).into_bytes(), target.into_bytes())
    };
    let mut headers = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty() && value != "-") {
            headers.push((name.as_bytes().to_vec(), value.into_bytes()));
        }
    };
    add("Host", text(&["host", "http_host", "server_name", "RequestHost"]));
    add("User-Agent", text(&["user_agent", "http_user_agent", "agent", "request_User-Agent"]));
    add("Referer", text(&["referer", "http_referer", "referrer"]));
    add("Cookie", text(&["http_cookie", "cookie"]));
    if let Some(Value::Object(fields)) = inner.and_then(|inner| inner.get("headers")) {
        for (name, values) in fields {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                add(name, Some(value.to_owned()));
            }
        }
    }
    let time =
        text(&["time_iso8601", "time_local", "timestamp", "time", "ts", "StartUTC", "@timestamp", "date"]);
    let source =
        text(&["remote_addr", "remote_ip", "client_ip", "client", "ClientHost", "ip", "clientip", "source"]);
    let status = text(&["status", "status_code", "DownstreamStatus", "response_code"]);
    Ok(Recorded {
        at: time.and_then(|time| moment(&time)),
        source: source.and_then(|source| source.parse().ok()),
        method,
        target,
        headers,
        body: text(&["request_body", "body"]).unwrap_or_default().into_bytes(),
        status: status.and_then(|status| status.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recorded: &Recorded) -> String {
        let header = |name: &str| {
            let found =
                recorded.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            found.map_or("-".into(), |(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let source = recorded.source.map_or("-".to_owned(), |source| source.to_string());
        let at = recorded.at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        format!(
            "{} {source} {} {} {:?} {} {}",
            at.map_or(0, |at| at.as_secs()),
            String::from_utf8_lossy(&recorded.method),
            String::from_utf8_lossy(&recorded.target),
            recorded.status,
            header("user-agent"),
            header("host"),
        )
    }

    #[test]
    fn lines_of_access_logs_are_read() {
        for (line, expected) in [
            (
                r#"203.0.113.7 - - [28/Nov/2026:00:33:00 +0000] "GET /?q=a b HTTP/1.1" 404 5 "-" "curl \"x\"""#,
                "1795825980 203.0.113.7 GET /?q=a b Some(404) curl \"x\" -",
            ),
            (
                r#"shop.example 2001:db8::1 - alice [28/Nov/2026:01:33:00 +0100] "POST /login HTTP/2.0" 200 5 "https://a/" "M""#,
                "1795825980 2001:db8::1 POST /login Some(200) M shop.example",
            ),
            (
                r#"1.2.3.4 - - [28/Nov/2026:00:33:00 +0000] "\x16\x03" 400 0"#,
                "1795825980 1.2.3.4 GET \u{16}\u{3} Some(400) - -",
            ),
        ] {
            assert_eq!(told(&combined(line).unwrap()), expected, "{line}");
        }
        for line in ["", "GET / HTTP/1.1", "1.2.3.4 - - [soon] \"GET /\" 200"] {
            assert!(combined(line).is_err(), "{line}");
        }
    }

    #[test]
    fn lines_of_json_are_read_whoever_wrote_them() {
        for (line, expected) in [
            (
                r#"{"time_iso8601":"2026-11-28T00:33:00Z","remote_addr":"203.0.113.7","request":"GET /a HTTP/1.1","status":200,"http_user_agent":"M","host":"h"}"#,
                "1795825980 203.0.113.7 GET /a Some(200) M h",
            ),
            (
                r#"{"ts":1795825980.5,"request":{"remote_ip":"203.0.113.7","method":"POST","host":"h","uri":"/b","headers":{"User-Agent":["M"]}},"status":201}"#,
                "1795825980 203.0.113.7 POST /b Some(201) M h",
            ),
            (
                r#"{"ClientHost":"203.0.113.7","RequestMethod":"GET","RequestPath":"/c","RequestHost":"h","DownstreamStatus":200,"StartUTC":"2026-11-28T00:33:00.1Z"}"#,
                "1795825980 203.0.113.7 GET /c Some(200) - h",
            ),
        ] {
            assert_eq!(told(&json(&serde_json::from_str(line).unwrap()).unwrap()), expected, "{line}");
        }
        assert!(json(&serde_json::json!({ "status": 200 })).is_err());
    }
}
