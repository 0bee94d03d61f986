//! `skyshield doctor`: what keeps this host from being guarded well; also with the daemon dead.

use std::fs;
use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use super::client::ask;
use super::{Failure, show};
use crate::config;
use crate::dataplane::{OnSilence, Pinned};

/// The oldest kernel that has all that is needed.
const OLDEST_KERNEL: (u32, u32) = (6, 0);

pub(super) fn obey(path: Option<&Path>, socket: &Path, json: bool) -> Result<(), Failure> {
    let mut items = of_the_host();
    items.extend(of_the_configuration(path));
    match ask(socket, Method::GET, "/api/v1/doctor", None) {
        Ok(mut answer) => {
            items.push(check("daemon", "ok", format!("it answers on {}", socket.display()), ""));
            if let Some(Value::Array(found)) = answer.get_mut("items").map(Value::take) {
                items.extend(found);
            }
        }
        Err(failure) => {
            items.push(check("daemon", "failed", failure.to_string(), "start it: `skyshield run`"));
            items.extend(of_what_is_left(path));
        }
    }
    show::diagnosis(&items, json);
    if items.iter().any(|item| item["state"] == "failed") { Err(Failure::Told) } else { Ok(()) }
}

fn check(check: &str, state: &str, found: impl Into<String>, mend: &str) -> Value {
    json!({ "check": check, "state": state, "found": found.into(), "mend": mend })
}

/// What a dead daemon has left in the kernel; nothing where it cannot be read, which other checks say.
fn of_what_is_left(path: Option<&Path>) -> Option<Value> {
    let config = config::load(path).ok()?;
    let left = Pinned::open(&config.dataplane.pin_dir).ok()??.bypass_left().ok()?;
    Some(if left.is_zero() {
        check("bypass", "ok", "the kernel drops what it is to drop", "")
    } else {
        let found = "an operator has everything pass in the kernel for a while";
        check("bypass", "failed", found, "`skyshield bypass off`")
    })
}

fn of_the_host() -> Vec<Value> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let has_bpffs = mounts.lines().any(|line| line.split(' ').nth(2) == Some("bpf"));
    let root = nix::unistd::geteuid().is_root();
    vec![
        if version >= OLDEST_KERNEL {
            check("kernel-version", "ok", release.trim(), "")
        } else {
            let found = format!("{} is older than 6.0", release.trim());
            check("kernel-version", "failed", found, "boot a later kernel")
        },
        if has_bpffs {
            check("bpffs", "ok", "it is mounted: bans outlive the daemon", "")
        } else {
            check(
                "bpffs",
                "warning",
                "it is not mounted; the daemon mounts it at its start",
                "mount -t bpf bpf /sys/fs/bpf",
            )
        },
        if root {
            check("rights", "ok", "root", "")
        } else {
            check("rights", "warning", "not root: what only root sees is not looked at", "run it as root")
        },
    ]
}

fn of_the_configuration(path: Option<&Path>) -> Vec<Value> {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => {
            return vec![check("configuration", "failed", error.to_string(), "`skyshield check` says where")];
        }
    };
    let mut items: Vec<_> =
        config.file_problems().into_iter().map(|found| check("files", "failed", found, "")).collect();
    items.push(check("configuration", "ok", "it is read without a complaint", ""));
    items.push(match config.dataplane.on_silence {
        OnSilence::Disarm => check("silence", "ok", "a silent daemon disarms the kernel side", ""),
        OnSilence::Keep => {
            check("silence", "ok", "the kernel side holds what is banned while the daemon is silent", "")
        }
    });
    items
}
