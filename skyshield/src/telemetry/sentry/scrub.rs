//! Nobody's address and no secret leaves the host in a report.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use regex::Regex;
use sentry::protocol::Event;
use serde_json::Value;

const ADDRESS: &str = "[address]";
const SECRET: &str = "[secret]";

/// Subtrees that only name code. The fields of a log line are not among them: they are a context.
const OURS: &[&str] = &["stacktrace", "sdk", "debug_meta", "modules"];
/// What stands in a field whose name has one of these is a secret, whatever it looks like.
const SECRET_NAMES: &[&str] =
    &["key", "token", "secret", "passw", "authorization", "cookie", "dsn", "credential"];

/// Forms of secrets, and what is left of them.
static SECRETS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let forms = [
        (r"\bsky_[A-Za-z0-9]+_[A-Za-z0-9_\-]+", SECRET),
        (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~\-]+", "$1 [secret]"),
        (
            r#"(?i)\b([a-z_\-]*(?:key|token|secret|password|passwd|authorization|cookie|dsn|credential)s?)["']?\s*[:=]\s*["']?[^\s"',;&}]+"#,
            "$1=[secret]",
        ),
        (r"(/api/json/ip/)[^/\s]+", "$1[secret]"),
        (r"(://)[^/@\s]+@", "$1[secret]@"),
        (r"[^\s@<>()\[\]]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}", ADDRESS),
    ];
    forms.into_iter().filter_map(|(form, left)| Some((Regex::new(form).ok()?, left))).collect()
});

/// The event without what is nobody's business; none where it cannot be taken apart.
pub(super) fn event(event: &Event<'static>) -> Option<Event<'static>> {
    let mut value = serde_json::to_value(event).ok()?;
    walk(&mut value);
    let mut clean: Event<'static> = serde_json::from_value(value).ok()?;
    clean.user = None;
    clean.request = None;
    Some(clean)
}

fn walk(value: &mut Value) {
    match value {
        Value::String(string) => *string = text(string),
        Value::Array(values) => values.iter_mut().for_each(walk),
        Value::Object(fields) => {
            for (name, value) in fields {
                let lower = name.to_ascii_lowercase();
                if value.is_string() && SECRET_NAMES.iter().any(|secret| lower.contains(secret)) {
                    *value = SECRET.into();
                } else if !OURS.contains(&name.as_str()) {
                    walk(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text(text: &str) -> String {
    let mut text = text.to_owned();
    for (form, left) in &*SECRETS {
        text = form.replace_all(&text, *left).into_owned();
    }
    addresses(&text)
}

/// The text with every network address replaced.
fn addresses(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_hexdigit() || matches!(character, ':' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(start) = rest.find(is_part) {
        let (plain, tail) = rest.split_at(start);
        out.push_str(plain);
        before = plain.chars().next_back().unwrap_or(before);
        let end = tail.find(|character| !is_part(character)).unwrap_or(tail.len());
        let (word, behind) = tail.split_at(end);
        let stands_alone = |character: char| !character.is_alphanumeric() && character != '_';
        let is_alone = stands_alone(before) && behind.chars().next().is_none_or(stands_alone);
        let bare = word.trim_end_matches(['.', ':']);
        if is_alone && (is_address(word) || is_address(bare)) {
            out.push_str(ADDRESS);
            out.push_str(if is_address(word) { "" } else { &word[bare.len()..] });
        } else {
            out.push_str(word);
        }
        before = word.chars().next_back().unwrap_or(before);
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn is_address(word: &str) -> bool {
    word.len() > 2 && (word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use sentry::protocol::{Context, Exception, Map};

    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for (told, left) in [
            ("from 203.0.113.7.", "from [address]."),
            ("203.0.113.7:443 refused", "[address] refused"),
            ("[2001:db8::1]:443", "[[address]]:443"),
            ("peer=2001:db8::7: gone", "peer=[address]: gone"),
            ("203.0.113.0/24", "[address]/24"),
            ("skyshield::gateway::head", "skyshield::gateway::head"),
            ("at 12:30:05 v1.2.3", "at 12:30:05 v1.2.3"),
            ("write to ops@shop.example failed", "write to [address] failed"),
        ] {
            assert_eq!(text(told), left);
        }
    }

    #[test]
    fn secrets_are_found_in_every_form_they_are_told_in() {
        for told in [
            "token sky_01ab_CANARY-x_y is unknown",
            "Authorization: CANARY",
            "sent Bearer CANARY",
            "GET /api/json/ip/CANARY/203.0.113.7",
            "redis://user:CANARY@cache.example/0",
            "api_key=CANARY&x=1",
            "\"smtp_password\": \"CANARY\"",
        ] {
            let left = text(told);
            assert!(!left.contains("CANARY") && left.contains("secret"), "{told} -> {left}");
        }
    }

    #[test]
    fn an_event_is_clean_from_top_to_bottom() {
        let exception =
            Exception { value: Some("203.0.113.7 password=CANARY".to_owned()), ..Exception::default() };
        let extra = Map::from([("peer".to_owned(), Value::from("2001:db8::9"))]);
        let fields = Map::from([
            ("source".to_owned(), Value::from("203.0.113.8")),
            ("api_key".to_owned(), Value::from("CANARY")),
        ]);
        let contexts = Map::from([("Rust Tracing Fields".to_owned(), Context::Other(fields))]);
        let dirty = Event {
            contexts,
            message: Some("refused 203.0.113.7".to_owned()),
            exception: vec![exception].into(),
            extra,
            ..Event::default()
        };
        let id = dirty.event_id;
        let clean = event(&dirty).unwrap();
        assert_eq!(clean.event_id, id);
        let text = serde_json::to_string(&clean).unwrap();
        for canary in ["203.0.113", "2001:db8", "CANARY"] {
            assert!(!text.contains(canary), "{text}");
        }
    }
}
