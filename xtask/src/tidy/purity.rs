//! `engine` and `inspect` are functions of their arguments: no IO, no clock, no chance.

use super::Violation;
use super::module::Module;

const PURE: &[&str] = &["engine", "exceptions", "inspect"];

/// What no path in a pure room may begin with. Addresses of `std::net` and points in time are
/// values, and fine.
const OUTSIDE: &[&str] = &[
    "aya",
    "axum",
    "getrandom",
    "hyper",
    "hyper_util",
    "nix",
    "reqwest",
    "rusqlite",
    "socket2",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "tokio",
    "tokio_util",
];

/// Methods that read a clock behind one's back.
const CLOCK_METHODS: &[&str] = &["elapsed"];

/// What no path may end with, however it was imported.
const CLOCKS: &[&[&str]] = &[&["Instant", "now"], &["SystemTime", "now"]];

pub(super) fn check(modules: &[Module]) -> Vec<Violation> {
    let mut found = Vec::new();
    for module in modules {
        let Some(room) = module.room().filter(|room| PURE.contains(room)) else { continue };
        let mut tell = |line, what: &str| {
            found.push(Violation {
                path: module.path.clone(),
                line,
                what: format!("`{room}` is pure and names {what}"),
                mend: "take the time and the data as arguments, give what is to be done as a value; \
                       IO belongs to the room that calls",
            });
        };
        for path in module.paths.iter().filter(|path| is_impure(&path.segments)) {
            tell(path.line, &path.segments.join("::"));
        }
        for (line, method) in clock_methods(module) {
            tell(line, &format!(".{method}()"));
        }
    }
    found
}

fn clock_methods(module: &Module) -> impl Iterator<Item = (usize, &str)> {
    module.tokens.windows(3).zip(&module.in_test).filter_map(|(window, in_test)| {
        let [dot, method, open] = window else { return None };
        let is_call = dot.text == "." && open.text == "(" && CLOCK_METHODS.contains(&method.text.as_str());
        (is_call && !in_test).then_some((method.line, method.text.as_str()))
    })
}

fn is_impure(segments: &[String]) -> bool {
    let outside = OUTSIDE.iter().any(|prefix| {
        let prefix: Vec<&str> = prefix.split("::").collect();
        segments.len() >= prefix.len() && segments.iter().zip(&prefix).all(|(segment, part)| segment == part)
    });
    let ends_with = |clock: &&[&str]| {
        segments.len() >= clock.len()
            && segments[segments.len() - clock.len()..]
                .iter()
                .zip(*clock)
                .all(|(segment, part)| segment == part)
    };
    outside || CLOCKS.iter().any(ends_with)
}

#[cfg(test)]
mod tests {
    use super::super::{file, module};
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&module::read(&[file(path, text)])).len()
    }

    #[test]
    fn a_pure_room_has_no_clock_no_file_and_no_runtime() {
        for text in [
            "use tokio::sync::mpsc;",
            "use std::{collections::BTreeMap, fs};",
            "use std::net::{IpAddr, TcpStream};",
            "use std::time::Instant;\nfn f() { Instant::now(); }",
            "fn f() { std::time::SystemTime::now(); }",
            "fn f(since: std::time::Instant) { since.elapsed(); }",
        ] {
            assert_eq!(count("skyshield/src/inspect/decode.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn values_are_pure_and_other_rooms_are_free() {
        assert_eq!(
            count("skyshield/src/engine.rs", "use std::net::IpAddr;\nuse std::time::{Duration, Instant};"),
            0
        );
        assert_eq!(count("skyshield/src/store.rs", "use std::fs;"), 0);
    }
}
