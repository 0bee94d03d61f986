//! HAR: what a browser has recorded of itself.

use serde_json::Value;

use crate::rehearsal::Recorded;

/// The requests of an archive, in their order.
pub(super) fn requests(archive: &Value) -> Result<Vec<Recorded>, String> {
    let entries = archive["log"]["entries"].as_array().ok_or("it has no `log.entries`")?;
    entries
        .iter()
        .enumerate()
        .map(|(at, entry)| one(entry).map_err(|what| format!("entry {}: {what}", at + 1)))
        .collect()
}

fn one(entry: &Value) -> Result<Recorded, String> {
    let request = &entry["request"];
    let url = request["url"].as_str().ok_or("it has no `request.url`")?;
    let method = request["method"].as_str().unwrap_or("GET");
    let (host, target) = parted(url);
    let mut headers = Vec::new();
    for header in request["headers"].as_array().into_iter().flatten() {
        let (Some(name), Some(value)) = (header["name"].as_str(), header["value"].as_str()) else { continue };
        // Of HTTP/2 the first line is written as headers too.
        if !name.starts_with(':') {
            headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
        headers.push((b"Host".to_vec(), host.as_bytes().to_vec()));
    }
    let at = entry["startedDateTime"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let status = entry["response"]["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    Ok(Recorded {
        at: at.and_then(|at| at.try_into().ok()),
        source: None,
        method: method.as_bytes().to_vec(),
        target: target.as_bytes().to_vec(),
        headers,
        body: request["postData"]["text"].as_str().unwrap_or_default().as_bytes().to_vec(),
        status,
    })
}

/// Host and target of an URL; what is behind a `#` never leaves the browser.
fn parted(url: &str) -> (&str, &str) {
    let url = url.split('#').next().unwrap_or(url);
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find(['/', '?']) {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_archives_requests_are_read() {
        let archive = json!({ "log": { "entries": [{
            "startedDateTime": "2026-11-28T00:33:00.000Z",
            "request": {
                "method": "POST", "url": "https://shop.example/cart?id=1#top",
                "headers": [{ "name": ":path", "value": "/cart" }, { "name": "Cookie", "value": "a=b" }],
                "postData": { "text": "q=1" },
            },
            "response": { "status": 302 },
        }] } });
        let [request] = &requests(&archive).unwrap()[..] else { panic!("one") };
        assert_eq!((&request.method[..], &request.target[..]), (&b"POST"[..], &b"/cart?id=1"[..]));
        assert_eq!((&request.body[..], request.status), (&b"q=1"[..], Some(302)));
        let names: Vec<_> = request.headers.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["Cookie", "Host"]);
        assert!(requests(&json!({})).is_err());
    }
}
