//! The configuration for people: all that is in force, without its secrets.

use serde_json::Value;

use super::Config;

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";
/// Sections whose addresses lead into somebody's channel: whoever knows the path may write there.
const CHANNELS: &[&str] = &["alerts", "response"];

/// Every key of `config` with its value. Secrets are left out by their own sections, or hidden here: of an address its
/// user, its password and its query, and of those that alerts are sent to also the path.
pub fn shown(config: &Config) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(sections) = &mut value {
        for (name, section) in sections {
            hide(section, CHANNELS.contains(&name.as_str()));
        }
    }
    value
}

fn hide(value: &mut Value, is_channel: bool) {
    match value {
        Value::Object(values) => values.values_mut().for_each(|value| hide(value, is_channel)),
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, is_channel)),
        Value::String(text) => {
            if let Some(safe) = without_secrets(text, is_channel) {
                *text = safe;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An address without what only its owner knows; none where `text` is no address.
fn without_secrets(text: &str, is_channel: bool) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = if is_channel && path.len() > 1 { format!("/{HIDDEN}") } else { path.to_owned() };
    let query = if query.is_empty() { String::new() } else { format!("?{HIDDEN}") };
    Some(format!("{scheme}://{host}{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn no_secret_of_the_configuration_is_shown() {
        let text = "[sentry]\ndsn = \"https://s3cr3t@sentry.example/1\"\n\
             [limits.user]\njwt_claim = \"sub\"\njwt_secret = \"s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t\"\n\
             [[alerts.webhooks]]\nname = \"chat\"\nurl = \"https://hooks.example/T0/s3cr3t?k=s3cr3t\"\n";
        let shown = shown(&parse(text).unwrap());
        assert!(!shown.to_string().contains("s3cr3t"), "{shown}");
        assert_eq!(shown["alerts"]["webhooks"][0]["url"], "https://hooks.example/(hidden)?(hidden)");
        assert_eq!(shown["limits"]["user"]["jwt_claim"], "sub");
        assert_eq!(shown["risk"]["refuse"], 0.8);
    }

    #[test]
    fn an_address_keeps_what_everybody_may_know() {
        let safe = |text| without_secrets(text, false);
        assert_eq!(safe("https://lists.example/drop.txt").unwrap(), "https://lists.example/drop.txt");
        assert_eq!(safe("http://ann:pw@10.0.0.1:80?key=x").unwrap(), "http://10.0.0.1:80?(hidden)");
        assert_eq!(safe("/run/skyshield"), None);
        assert_eq!(without_secrets("https://hooks.example/", true).unwrap(), "https://hooks.example/");
    }
}
