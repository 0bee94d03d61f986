//! Which room of the daemon may know which other. The table has no cycle (a test proves it), so
//! neither have the rooms.

use super::Violation;
use super::module::Module;

/// A room, and the rooms it may name. A new room gets a row here; rooms of one level meet in the
/// engine's types and in channels, never by import. Tests may name any room.
const ARROWS: &[(&str, &[&str])] = &[
    // Pure: nothing but `skyshield-common`, and what a detector claims.
    ("inspect", &[]),
    ("engine", &["inspect"]),
    // Handed the time and the request; counts, and nothing else.
    ("routes", &["engine", "inspect"]),
    ("limits", &["engine", "inspect", "routes"]),
    // What an operator lets through, and what that comes to.
    ("exceptions", &["engine", "inspect", "routes"]),
    // Decisions in other programs' words.
    ("exchange", &["engine"]),
    // Owners of one outside thing each.
    ("clock", &[]),
    ("telemetry", &["clock", "engine", "inspect"]),
    ("dataplane", &["clock", "engine", "telemetry"]),
    ("store", &["clock", "engine", "inspect", "telemetry"]),
    ("cluster", &["clock", "engine", "telemetry"]),
    // What is measured and told of outlives the daemon.
    ("alerts", &["clock", "engine", "monitor", "store", "telemetry"]),
    ("reputation", &["clock", "engine", "telemetry"]),
    ("geoip", &["clock", "engine", "telemetry"]),
    ("indicators", &["clock", "engine", "telemetry"]),
    ("host", &["clock", "engine", "telemetry"]),
    ("monitor", &["clock", "engine", "inspect", "routes", "store", "telemetry"]),
    // The one road to change a decision, and the one judge of a request.
    (
        "control",
        &[
            "alerts",
            "clock",
            "cluster",
            "dataplane",
            "engine",
            "exceptions",
            "geoip",
            "reputation",
            "store",
            "telemetry",
        ],
    ),
    ("response", &["clock", "control", "engine", "indicators", "reputation", "telemetry"]),
    ("verdict", &["clock", "control", "engine", "exceptions", "inspect", "limits", "routes", "telemetry"]),
    // The doors.
    ("gateway", &["clock", "engine", "inspect", "limits", "routes", "telemetry", "verdict"]),
    // Rehearses in a town of its own; nobody else's decisions are touched.
    (
        "rehearsal",
        &[
            "clock",
            "dataplane",
            "engine",
            "exceptions",
            "inspect",
            "limits",
            "routes",
            "telemetry",
            "verdict",
        ],
    ),
    ("forward_auth", &["clock", "engine", "inspect", "limits", "telemetry", "verdict"]),
    ("tap", &["clock", "engine", "inspect", "telemetry", "verdict"]),
    (
        "api",
        &[
            "alerts",
            "clock",
            "control",
            "engine",
            "exceptions",
            "exchange",
            "geoip",
            "indicators",
            "inspect",
            "lifecycle",
            "limits",
            "monitor",
            "rehearsal",
            "reputation",
            "store",
            "telemetry",
        ],
    ),
    ("dashboard", &[]),
    // An operator's commands start the daemon, read its configuration, and look at what a dead one
    // has left in the kernel.
    (
        "cli",
        &[
            "app",
            "clock",
            "config",
            "dataplane",
            "engine",
            "exceptions",
            "exchange",
            "forward_auth",
            "inspect",
            "rehearsal",
            "telemetry",
            "verdict",
        ],
    ),
    // Each room owns its section; config gathers them, and only `app` hands them over.
    (
        "config",
        &[
            "alerts",
            "api",
            "cluster",
            "control",
            "dataplane",
            "engine",
            "forward_auth",
            "gateway",
            "geoip",
            "host",
            "inspect",
            "limits",
            "monitor",
            "rehearsal",
            "reputation",
            "response",
            "routes",
            "store",
            "tap",
            "telemetry",
            "verdict",
        ],
    ),
    ("lifecycle", &["clock"]),
    (
        "app",
        &[
            "alerts",
            "api",
            "clock",
            "cluster",
            "config",
            "control",
            "dashboard",
            "dataplane",
            "engine",
            "forward_auth",
            "gateway",
            "geoip",
            "host",
            "indicators",
            "inspect",
            "lifecycle",
            "limits",
            "monitor",
            "rehearsal",
            "reputation",
            "response",
            "routes",
            "store",
            "tap",
            "telemetry",
            "verdict",
        ],
    ),
    ("main", ANY),
    ("lib", ANY),
];

const ANY: &[&str] = &["*"];

pub(super) fn check(modules: &[Module]) -> Vec<Violation> {
    modules
        .iter()
        .filter_map(|module| Some((module, module.room()?)))
        .flat_map(|(module, room)| match row(room) {
            None => vec![Violation {
                path: module.path.clone(),
                line: 1,
                what: format!("the room `{room}` has no row in the table of arrows"),
                mend: "give it one in ARROWS of xtask/src/tidy/arrows.rs, with the rooms it needs to know",
            }],
            Some(may) => wrong_turns(module, room, may),
        })
        .collect()
}

fn wrong_turns(module: &Module, room: &str, may: &[&str]) -> Vec<Violation> {
    let mut found = Vec::new();
    for path in &module.paths {
        let [origin, other, ..] = path.segments.as_slice() else { continue };
        // The binary sees the library under its own name. What is no room is an item of `lib.rs`.
        if (origin != "crate" && origin != "skyshield") || other == room || row(other).is_none() {
            continue;
        }
        if may != ANY && !may.contains(&other.as_str()) {
            found.push(Violation {
                path: module.path.clone(),
                line: path.line,
                what: format!(
                    "`{room}` names `{other}` ({}), which lies beside or above it",
                    path.segments.join("::")
                ),
                mend: "meet in a type of `engine`, or have `app` hand it over; where the arrow is right, \
                       add it to ARROWS of xtask/src/tidy/arrows.rs",
            });
        }
    }
    found
}

fn row(room: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may)
}

#[cfg(test)]
mod tests {
    use super::super::{file, module};
    use super::*;

    fn told(path: &str, text: &str) -> Vec<String> {
        let modules = module::read(&[file(path, text)]);
        check(&modules)
            .into_iter()
            .map(|violation| format!("{} {}", violation.line, violation.what))
            .collect()
    }

    #[test]
    fn the_table_has_no_cycle_and_no_unknown_room() {
        fn visit(room: &str, above: &mut Vec<String>) {
            assert!(!above.iter().any(|name| name == room), "a cycle: {} -> {room}", above.join(" -> "));
            let may = row(room).unwrap_or_else(|| panic!("`{room}` has no row"));
            above.push(room.to_owned());
            for next in may.iter().filter(|next| **next != "*") {
                visit(next, above);
            }
            above.pop();
        }
        for (room, _) in ARROWS {
            visit(room, &mut Vec::new());
        }
    }

    #[test]
    fn a_door_may_ask_the_judge_and_not_the_store() {
        assert!(
            told("skyshield/src/gateway/tls.rs", "use crate::verdict::Permit;\nuse super::listen;")
                .is_empty()
        );
        let found =
            told("skyshield/src/gateway.rs", "use crate::{\n    engine::view::View,\n    store::Row,\n};");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("3 `gateway` names `store`"), "{found:?}");
    }

    #[test]
    fn rooms_of_one_level_do_not_meet() {
        assert_eq!(told("skyshield/src/tap.rs", "fn f() { super::gateway::listen(); }").len(), 1);
        assert_eq!(told("skyshield/src/store.rs", "fn f() { crate::dataplane::load(); }").len(), 1);
    }

    #[test]
    fn app_and_tests_may_name_everything() {
        assert!(told("skyshield/src/app.rs", "use crate::store; use crate::gateway;").is_empty());
        assert!(told("skyshield/src/main.rs", "use skyshield::app;").is_empty());
        assert!(
            told("skyshield/src/api.rs", "#[cfg(test)]\nmod tests { use crate::dataplane::Memory; }")
                .is_empty()
        );
    }

    #[test]
    fn a_room_without_a_row_is_asked_for_one() {
        let found = told("skyshield/src/attic.rs", "");
        assert!(found.len() == 1 && found[0].contains("`attic` has no row"), "{found:?}");
    }
}
