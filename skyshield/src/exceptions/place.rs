//! Places of a request as people write them: `path`, `query:id`, `header:user-agent`, `body:text`.

use crate::inspect::Place;

/// The text names no place of a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place; write `path`, `query:NAME`, `header:NAME` (a cookie is `header:cookie.NAME`) or `body:NAME`"
)]
pub struct NotAPlace(String);

/// The place that `text` says.
pub fn place_from(text: &str) -> Result<Place, NotAPlace> {
    let wrong = || NotAPlace(text.chars().take(80).flat_map(char::escape_debug).collect());
    if text == "path" {
        return Ok(Place::Path);
    }
    let (part, name) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.to_owned();
    match part {
        "query" => Ok(Place::Query(name)),
        "header" => Ok(Place::Header(name.to_ascii_lowercase())),
        "body" => Ok(Place::Body(name)),
        _ => Err(wrong()),
    }
}

/// `place` as people write it.
pub fn place_text(place: &Place) -> String {
    match place {
        Place::Path => "path".to_owned(),
        Place::Query(name) => format!("query:{name}"),
        Place::Header(name) => format!("header:{name}"),
        Place::Body(name) => format!("body:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["path", "query:id", "query:a:b", "header:cookie.sid", "body:user.name", "query:"] {
            assert_eq!(place_text(&place_from(text).unwrap()), text);
        }
        for text in ["", "query", "cookie:a", "Path"] {
            assert!(place_from(text).is_err(), "{text}");
        }
    }
}
