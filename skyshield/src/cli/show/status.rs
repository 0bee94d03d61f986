//! How the daemon and the kernel are.

use serde_json::{Value, json};
use skyshield_common::Verdict;

use super::{said, span, text};
use crate::cli::Failure;
use crate::dataplane::Remains;

/// What the daemon says of itself, and what the kernel holds of it.
pub(in crate::cli) fn status(health: &Result<Value, Failure>, remains: Option<&Remains>, as_json: bool) {
    let body = json!({
        "daemon": health.as_ref().ok(),
        "error": health.as_ref().err().map(ToString::to_string),
        "kernel": remains.map(|remains| json!({
            "attached": remains.attached.iter().map(|attached| json!({
                "interface": attached.interface,
                "mode": attached.mode.name(),
                "program_id": attached.program_id,
            })).collect::<Vec<_>>(),
            "bans": remains.bans.len(),
            "allowed": remains.allowed.len(),
            "bypass_seconds_left": remains.bypass_left.as_secs(),
            "packets": remains.counters.iter().map(|(reason, counter)| {
                (reason.name().to_owned(), json!({ "packets": counter.packets, "bytes": counter.bytes }))
            }).collect::<serde_json::Map<_, _>>(),
        })),
    });
    said(&body, as_json, || {
        let mut told = vec![daemon_line(health)];
        if let Ok(health) = health {
            let doors = health["components"]["doors"].as_array();
            told.extend(doors.into_iter().flatten().map(door));
        }
        match remains {
            None => told.push("kernel    nothing of SkyShield's is in the kernel".to_owned()),
            Some(remains) => kernel_lines(remains, &mut told),
        }
        told.join("\n")
    });
}

fn daemon_line(health: &Result<Value, Failure>) -> String {
    let health = match health {
        Ok(health) => health,
        Err(failure) => {
            let told = failure.to_string();
            return format!("daemon    {}", told.strip_prefix("the daemon ").unwrap_or(&told));
        }
    };
    let waiting = match health["waiting_for_room"].as_u64() {
        Some(bans @ 1..) => format!(", {bans} of them at the doors only for want of room in the kernel"),
        Some(0) | None => String::new(),
    };
    let left_out = match health["left_out"].as_u64() {
        Some(sources @ 1..) => format!(", {sources} not let through for want of room in the kernel"),
        Some(0) | None => String::new(),
    };
    format!(
        "daemon    {}, version {}, up {}, {} of {} decisions in force{waiting}, drift {}{left_out}",
        text(&health["status"]),
        text(&health["version"]),
        span(health["uptime_seconds"].as_u64().unwrap_or_default()),
        health["decisions_in_force"],
        health["decisions_capacity"],
        health["drift"]
    )
}

/// How far a door sees, in words.
pub(super) fn door(sight: &Value) -> String {
    let sees = if sight["sees_bodies"] == true { "heads and bodies" } else { "heads, no bodies" };
    let [name, place, mode, bans] = ["name", "place", "mode", "bans"].map(|key| text(&sight[key]));
    let mut told = format!("door      {name}: {mode} at {place}; sees {sees}; bans at the {bans}");
    for what in sight["cannot"].as_array().into_iter().flatten() {
        told = format!("{told}\n          cannot: {}", text(what));
    }
    told
}

fn kernel_lines(remains: &Remains, told: &mut Vec<String>) {
    for attached in &remains.attached {
        told.push(format!(
            "kernel    attached to {} ({}, program {})",
            attached.interface,
            attached.mode.name(),
            attached.program_id
        ));
    }
    if remains.attached.is_empty() {
        let elsewhere = match remains.elsewhere {
            0 => "attached to nothing",
            _ => "attached in another network namespace, or to an interface that is gone",
        };
        told.push(format!("kernel    {elsewhere}"));
    }
    if !remains.bypass_left.is_zero() {
        let left = span(remains.bypass_left.as_secs());
        told.push(format!(
            "          BYPASSED: nothing is dropped for the next {left}; `skyshield bypass off` ends it"
        ));
    }
    told.push(format!("          {} bans, {} on the allow list", remains.bans.len(), remains.allowed.len()));
    for (reason, counter) in remains.counters.iter().filter(|(_, counter)| counter.packets > 0) {
        let verdict = match reason.verdict() {
            Verdict::Pass => "passed",
            Verdict::Drop => "dropped",
            Verdict::Answer => "answered",
        };
        told.push(format!(
            "          {verdict} {} packets, {} bytes: {}",
            counter.packets,
            counter.bytes,
            reason.name()
        ));
    }
}
