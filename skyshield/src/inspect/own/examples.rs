//! The examples of a rule, put where it looks.

use std::fmt::Write as _;

use super::OwnRules;
use super::written::{Spot, Written};
use crate::inspect::limits::Limits;
use crate::inspect::matcher::Compiled;
use crate::inspect::{Header, Inspector, Request};

const SPOTS: [Spot; 9] = [
    Spot::Path,
    Spot::Query,
    Spot::Body,
    Spot::Text,
    Spot::Cookie,
    Spot::Header,
    Spot::Agent,
    Spot::Filename,
    Spot::File,
];

/// Whether the rule matches what it must, in one of its places at least, and nothing that it must not.
pub(super) fn run(written: &Written, compiled: &Compiled) -> Result<(), String> {
    let limits = Limits { own: OwnRules::of(written.clone(), compiled.clone()), ..Limits::default() };
    let inspector = Inspector::without_built_in(limits);
    let parts = written.parts();
    let matches = |example: &String| {
        let mut spots = SPOTS.iter().filter(|spot| parts.meets(spot.parts()));
        spots.any(|spot| is_found(&inspector, written, *spot, example.as_bytes()))
    };
    let wrong = |example: &String, what: &str, mend: &str| {
        let shown: String = example.chars().take(80).flat_map(char::escape_debug).collect();
        Err(format!("`{}`: the example `{shown}` {what}; {mend}", written.id))
    };
    if let Some(example) = written.examples.hit.iter().find(|example| !matches(example)) {
        return wrong(example, "in `hit` is not matched", "mend the match, the place or the transformation");
    }
    if let Some(example) = written.examples.miss.iter().find(|example| matches(example)) {
        return wrong(example, "in `miss` is matched", "make the match narrower");
    }
    Ok(())
}

fn is_found(inspector: &Inspector, written: &Written, spot: Spot, example: &[u8]) -> bool {
    let name = written.names.first().map_or("q", String::as_str);
    let route = written.routes.first().map_or("default", String::as_str);
    let found = |target: &[u8], headers: &[(&str, &[u8])], body: &[u8]| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name: name.as_bytes(), value }).collect();
        let inspection =
            inspector.inspect_on(route, &Request { method: b"POST", target, headers: &headers, body });
        !(inspection.findings.is_empty() && inspection.observed.is_empty())
    };
    let file = |filename: &[u8], content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"");
        let body = [head.as_bytes(), filename, b"\"\r\n\r\n", content, b"\r\n--b--\r\n"].concat();
        found(b"/", &[("content-type", b"multipart/form-data; boundary=b")], &body)
    };
    let pair = format!("{}={}", percent(name.as_bytes()), percent(example));
    match spot {
        Spot::Path => {
            let slash = if example.starts_with(b"/") { "" } else { "/" };
            found(format!("{slash}{}", percent(example)).as_bytes(), &[], b"")
        }
        Spot::Query => found(format!("/?{pair}").as_bytes(), &[], b""),
        Spot::Body => found(b"/", &[("content-type", b"application/x-www-form-urlencoded")], pair.as_bytes()),
        Spot::Text => found(b"/", &[("content-type", b"text/html")], example),
        Spot::Cookie => found(b"/", &[("cookie", pair.as_bytes())], b""),
        Spot::Header => found(b"/", &[(if written.names.is_empty() { "x-own" } else { name }, example)], b""),
        Spot::Agent => found(b"/", &[("user-agent", example)], b""),
        Spot::Filename => file(example, b"x"),
        Spot::File => file(b"x", example),
    }
}

/// Every byte but letters and digits percent-encoded; a path keeps its slashes.
fn percent(text: &[u8]) -> String {
    text.iter().fold(String::new(), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
