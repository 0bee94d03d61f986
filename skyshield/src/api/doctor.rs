//! `GET /api/v1/doctor`: what keeps this host from being guarded well, and how to mend it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Facts, UpstreamStates};
use crate::control::{Control, Health};
use crate::engine::never_ban::{NeverBan, Protection};
use crate::engine::upstream::State as UpstreamState;

/// From this share on a table is told to be nearly full, in percent.
const NEARLY_FULL: usize = 80;

/// What was looked at.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Check {
    /// Its name, always the same.
    #[serde(rename = "check")]
    name: &'static str,
    /// `ok`, `warning` or `failed`.
    state: &'static str,
    /// What was found.
    found: String,
    /// How to mend it; empty where nothing is to be.
    mend: &'static str,
}

impl Check {
    fn new(name: &'static str, state: &'static str, found: impl Into<String>, mend: &'static str) -> Self {
        Self { name, state, found: found.into(), mend }
    }

    fn of(name: &'static str, is_well: bool, well: &str, ill: &str, mend: &'static str) -> Self {
        if is_well { Self::new(name, "ok", well, "") } else { Self::new(name, "failed", ill, mend) }
    }
}

/// All that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Diagnosis {
    /// The worst of them.
    state: &'static str,
    items: Vec<Check>,
}

/// What keeps this host from being guarded well, and how to mend it.
#[utoipa::path(get, path = "/api/v1/doctor", tag = "monitoring", responses((status = 200, body = Diagnosis)))]
pub(super) async fn examine(
    State(control): State<Control>,
    State(facts): State<Arc<Facts>>,
    State(UpstreamStates(upstreams)): State<UpstreamStates>,
) -> Json<Diagnosis> {
    let mut items = Vec::new();
    match (control.health().await, control.never_ban().await) {
        (Ok(health), Ok(never_ban)) => {
            of_control(&health, &mut items);
            items.push(of_never_ban(&never_ban, health.left_out));
        }
        (Err(error), _) | (_, Err(error)) => {
            items.push(Check::new("control", "failed", error.to_string(), "look into the log, and restart"));
        }
    }
    items.push(of_interfaces(&facts));
    items.extend(upstreams().into_iter().filter(|one| one.state != UpstreamState::Up).map(|one| {
        let found = format!("{} of the site {} is {}", one.upstream, one.site, one.state.name());
        Check::new("upstreams", "failed", found, "see whether it runs, and what its health check asks for")
    }));
    let worst = ["failed", "warning"].into_iter().find(|&state| items.iter().any(|item| item.state == state));
    Json(Diagnosis { state: worst.unwrap_or("ok"), items })
}

fn of_control(health: &Health, items: &mut Vec<Check>) {
    items.push(Check::of(
        "store",
        health.store_writes,
        "the disk takes what is to be kept",
        "the disk does not take what is to be kept: bans hold, and are lost at a reboot",
        "make room in store.dir, or mount it writable",
    ));
    items.push(Check::of(
        "kernel",
        health.dataplane_answers,
        "the kernel's maps answer",
        "the kernel's maps do not answer",
        "look into the log; `skyshield detach` and a start make them anew",
    ));
    items.push(Check::of(
        "bypass",
        health.bypass_left.is_zero(),
        "the kernel drops what it is to drop",
        "an operator has everything pass in the kernel for a while",
        "`skyshield bypass off`",
    ));
    items.push(if health.unmended > 0 {
        let found = format!(
            "{} of the kernel's entries are not as decided, and could not be mended",
            health.unmended
        );
        Check::new("drift", "failed", found, "the log says why")
    } else {
        Check::of(
            "drift",
            health.drift == 0,
            "what the kernel holds is what was decided",
            "the kernel held something else than what was decided at the last look; it was mended",
            "if it comes again, something else writes into the maps",
        )
    });
    items.push(match &health.not_armed {
        Some(why) => Check::new(
            "address-bans",
            "failed",
            format!("detectors do not ban the addresses of proxies: {why}"),
            "name the proxy in gateway.trusted_proxies, and reload",
        ),
        None => Check::new("address-bans", "ok", "addresses are clients', as far as can be seen", ""),
    });
    let percent = health.decisions_in_force * 100 / health.capacity.max(1);
    let found = format!("{} of {} bans are in force", health.decisions_in_force, health.capacity);
    items.push(if health.waiting_for_room > 0 {
        let found = format!("{found}, {} of them at the doors only: the kernel has no room", health.waiting_for_room);
        let mend = "lift some, or raise dataplane.max_prefixes or max_bans (the log says which), `skyshield detach`, and start";
        Check::new("room", "failed", found, mend)
    } else if percent >= NEARLY_FULL {
        Check::new("room", "warning", found, "raise dataplane.max_bans, or lift some")
    } else {
        Check::new("room", "ok", found, "")
    });
}

fn of_never_ban(never_ban: &NeverBan, left_out: usize) -> Check {
    if left_out > 0 {
        let found = format!(
            "the kernel does not know of {left_out} whom nothing is to cut off: its allow list has no room, and rates, rules \
             and bans of prefixes reach them"
        );
        let mend =
            "take entries off the allow list, or raise dataplane.max_allowed, `skyshield detach`, and start";
        return Check::new("never-ban", "failed", found, mend);
    }
    let is_of_operator = |why: Protection| matches!(why, Protection::AllowList | Protection::OperatorSession);
    let count = never_ban.entries().iter().filter(|&&(_, why)| is_of_operator(why)).count();
    if count == 0 {
        let found = "nobody who operates this host is protected from bans";
        return Check::new("never-ban", "warning", found, "`skyshield allow add` where you come from");
    }
    Check::new("never-ban", "ok", format!("{count} entries protect who operates this host"), "")
}

fn of_interfaces(facts: &Facts) -> Check {
    let Some(interfaces) = facts.interfaces.as_ref().map(|interfaces| interfaces.borrow().clone()) else {
        let found = "there is no kernel side: bans hold at the doors only";
        return Check::new("interfaces", "warning", found, "run without --no-kernel");
    };
    let named = |mode: Option<&str>| {
        let found = interfaces.iter().filter(|one| one.xdp_mode == mode).map(|one| one.name.as_str());
        found.collect::<Vec<_>>().join(", ")
    };
    let (gone, generic) = (named(None), named(Some("generic")));
    if !gone.is_empty() {
        return Check::new(
            "interfaces",
            "failed",
            format!("{gone} is gone and not guarded"),
            "bring it back",
        );
    }
    if !generic.is_empty() {
        let found = format!("{generic} is guarded in generic mode, which costs more for each packet");
        return Check::new("interfaces", "warning", found, "use a driver that runs XDP by itself");
    }
    Check::new("interfaces", "ok", format!("guarded in the driver: {}", named(Some("native"))), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_the_kernel_has_no_room_to_let_through_is_named_with_what_to_do() {
        let never_ban = NeverBan::new([("192.0.2.1".parse().unwrap(), Protection::AllowList)]);
        assert_eq!(of_never_ban(&never_ban, 0).state, "ok");
        let Check { state, found, mend, .. } = of_never_ban(&never_ban, 3);
        assert_eq!((state, found.contains("does not know of 3")), ("failed", true), "{found}");
        assert!(mend.contains("max_allowed") && mend.contains("skyshield detach"), "{mend}");
    }

    #[test]
    fn bans_that_wait_for_room_and_entries_that_cannot_be_mended_are_named_with_what_to_do() {
        let state = |health: &Health, name: &str| {
            let mut items = Vec::new();
            of_control(health, &mut items);
            let found = items.into_iter().find(|item| item.name == name).unwrap();
            (found.state, found.found, found.mend)
        };
        let well = Health { decisions_in_force: 5, capacity: 100, ..Health::default() };
        assert_eq!((state(&well, "room").0, state(&well, "drift").0), ("ok", "ok"));
        let (is, found, mend) = state(&Health { waiting_for_room: 3, ..well.clone() }, "room");
        assert_eq!((is, found.contains("3 of them at the doors only")), ("failed", true), "{found}");
        assert!(mend.contains("max_prefixes") && mend.contains("skyshield detach"), "{mend}");
        let (is, found, _) = state(&Health { drift: 3, unmended: 2, ..well }, "drift");
        assert_eq!(
            (is, found.contains("2 of") && !found.contains("was mended")),
            ("failed", true),
            "{found}"
        );
    }
}
