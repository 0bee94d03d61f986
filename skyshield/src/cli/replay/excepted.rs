//! The exceptions in force, as the daemon says them: what is replayed is let through by them too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::client::ask;
use crate::clock;
use crate::exceptions::{Exception, Held, Scope, Set, place_from};

/// The daemon's exceptions; none where no daemon answers.
pub(in crate::cli) fn exceptions(socket: &Path) -> Result<Option<Set>, Failure> {
    let answer = match ask(socket, Method::GET, "/api/v1/exceptions", None) {
        Ok(answer) => answer,
        Err(Failure::Unreachable(_)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let all: Option<Vec<_>> = items.iter().map(exception).collect();
    let all =
        all.ok_or_else(|| Failure::Refused("the daemon's exceptions are of another release".to_owned()))?;
    Ok(Some(Set::new(all.into_iter().map(|exception| Arc::new(Held::new(exception))))))
}

fn exception(item: &Value) -> Option<Exception> {
    let text = |name: &str| item[name].as_str();
    let rules = item["rules"].as_array()?.iter().map(|rule| rule.as_str().map(str::to_owned));
    let scope = Scope {
        rules: rules.collect::<Option<_>>()?,
        place: text("place").map(place_from).transpose().ok()?,
        host: text("host").map(str::to_owned),
        route: text("route").map(str::to_owned),
        source: text("source").map(str::parse).transpose().ok()?,
    };
    let until = item["ttl_seconds"].as_u64().map(Duration::from_secs);
    Some(Exception {
        id: text("id")?.to_owned(),
        scope,
        comment: String::new(),
        by: text("by")?.to_owned(),
        made_at: clock::wall(),
        until: until.and_then(|left| clock::now().checked_add(left)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_exception_is_read_back_as_it_was_made() {
        let item = json!({
            "id": "1", "rules": ["sqli.*"], "place": "query:id", "host": "shop.example", "route": "/p",
            "source": "203.0.113.0/24", "by": "root", "ttl_seconds": 60,
        });
        let Exception { scope, until, .. } = exception(&item).unwrap();
        assert_eq!(scope.place, Some(crate::inspect::Place::Query("id".to_owned())));
        assert_eq!(scope.source.map(|source| source.to_string()).as_deref(), Some("203.0.113.0/24"));
        assert!(until.is_some());
        assert!(exception(&json!({ "id": "1", "rules": ["a"], "by": "x", "place": "nowhere" })).is_none());
    }
}
