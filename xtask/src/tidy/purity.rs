//! `engine` and `inspect` are functions of their arguments: no IO, no clock, no chance.

use super::Violation;
use super::module::Module;

const PURE: &[&str] = &["engine", "inspect"];

/// What no path in a pure room may begin with. Address types of `std::net` are values, and fine.
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
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
];

/// What no path may end with, however it was imported.
const CLOCKS: &[&[&str]] = &[&["Instant", "now"], &["SystemTime", "now"]];

pub(super) fn check(modules: &[Module]) -> Vec<Violation> {
    modules
        .iter()
        .filter_map(|module| Some((module, module.room().filter(|room| PURE.contains(room))?)))
        .flat_map(|(module, room)| {
            module.paths.iter().filter(|path| is_impure(&path.segments)).map(move |path| Violation {
                path: module.path.clone(),
                line: path.line,
                what: format!("`{room}` is pure and names {}", path.segments.join("::")),
                mend: "take the time and the data as arguments, give what is to be done as a value; \
                       IO belongs to the room that calls",
            })
        })
        .collect()
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
