//! What the kernel side has seen, for people.

use serde_json::Value;

use super::{said, span, text};

/// Senders shown.
const SENDERS: usize = 20;

pub(in crate::cli) fn kernel(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let mut told = Vec::new();
        if answer["bypass"]["bypassed"] == true {
            told.push(bypassed(&answer["bypass"]));
        }
        for interface in answer["interfaces"].as_array().into_iter().flatten() {
            let packets = |what: &str| interface[what]["packets"].as_u64().unwrap_or_default();
            told.push(format!(
                "{}: received {} packets = passed {} + dropped {} + answered {}",
                text(&interface["interface"]),
                packets("received"),
                packets("passed"),
                packets("dropped"),
                packets("answered")
            ));
            for (reason, traffic) in interface["reasons"].as_object().into_iter().flatten() {
                told.push(format!(
                    "  {:<28} {:>14} packets {:>16} bytes",
                    reason, traffic["packets"], traffic["bytes"]
                ));
            }
        }
        for hit in answer["hits"].as_array().into_iter().flatten() {
            told.push(format!(
                "{} {:<24} met {} packets, {} bytes",
                text(&hit["kind"]),
                text(&hit["name"]),
                hit["packets"],
                hit["bytes"]
            ));
        }
        let senders = answer["senders"].as_array().map_or(&[][..], Vec::as_slice);
        if !senders.is_empty() {
            told.push(format!("who sent most, by a sample of {} s:", answer["window_seconds"]));
        }
        for sender in senders.iter().take(SENDERS) {
            told.push(format!(
                "  {:<40} {:>10} packets/s, {} of them dropped, {} bytes/s",
                text(&sender["source"]),
                sender["packets_per_second"],
                sender["dropped_per_second"],
                sender["bytes_per_second"]
            ));
        }
        if told.is_empty() { "there is no kernel side".to_owned() } else { told.join("\n") }
    });
}

/// What has come of it.
pub(in crate::cli) fn bypass(now: &Value, as_json: bool) {
    said(now, as_json, || {
        let what =
            if now["bypassed"] == true { bypassed(now) } else { "bans, rules and rates hold".to_owned() };
        if now["audited"] == false {
            return format!(
                "{what}; the daemon does not answer, so this was written into the kernel and into no audit log: who did \
                 it, and why, is kept nowhere"
            );
        }
        what
    });
}

fn bypassed(bypass: &Value) -> String {
    let left = span(bypass["seconds_left"].as_u64().unwrap_or_default());
    format!("BYPASSED: the kernel drops nothing for the next {left}")
}
