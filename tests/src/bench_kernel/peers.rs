//! The peers: nft and ipset, loaded with the same addresses.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, ensure};

use super::field::{FAR_END, Idle, Sources};
use super::figures::{FLOOD, FLOODED};
use super::scattered;
use super::target::{Fate, Run, Target};

const MILLION: u32 = 1_000_000;

/// The peers that are installed, each loaded with the same addresses.
pub(super) fn peers(targets: &mut Vec<Target>, say: &dyn Fn(&str)) {
    let hit = |name: &str, count: u32| {
        let fate = if name.starts_with("nft") { Fate::BeforeTheStack } else { Fate::InTheStack };
        vec![Run::dropped(&format!("{name} {count}"), Sources::v4(0, count), fate)]
    };
    for count in [1_000, MILLION] {
        for (name, build) in [("nft set", nft_set as fn(u32) -> Load), ("ipset", ipset)] {
            add_peer(targets, hit(name, count), &build(count), say);
        }
    }
    for count in [1_000, 100_000] {
        add_peer(targets, hit("nft interval", count), &nft_interval(count), say);
    }
    let limit = Run::dropped("nft limit", Sources::v4(5_000_000, 1), Fate::LimitedBeforeTheStack);
    add_peer(targets, vec![limit], &nft_limit(1_000, 1), say);
    add_peer(targets, vec![Run::passed("nft flood", FLOOD)], &nft_limit(FLOODED.per_sec, FLOODED.burst), say);
}

/// The commands that load a peer, with what they are told.
type Load = Vec<(&'static str, Vec<&'static str>, String)>;

fn add_peer(targets: &mut Vec<Target>, runs: Vec<Run>, load: &Load, say: &dyn Fn(&str)) {
    let name = runs.first().map_or_else(String::new, |run| run.name.clone());
    let added = || -> anyhow::Result<Target> {
        let target = Target::idle("peer", Idle::Pass, runs)?;
        for (program, arguments, told) in load {
            let mut child = target
                .field
                .far
                .command(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            child.stdin.take().context("no pipe")?.write_all(told.as_bytes())?;
            let output = child.wait_with_output()?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{program}: {}", stderr.lines().next().unwrap_or_default());
        }
        Ok(target)
    };
    match added() {
        Ok(target) => targets.push(target),
        Err(error) => say(&format!("bench: {name} is left out: {error:#}")),
    }
}

fn nft(flags: &str, count: u32) -> Load {
    let mut told = format!(
        "table netdev bench {{ set listed {{ type ipv4_addr; {flags} size {count}; }}\n\
         chain in {{ type filter hook ingress device {FAR_END} priority 0; ip saddr @listed drop; }}\n}}\n"
    );
    for first in (0..count).step_by(10_000) {
        told.push_str("add element netdev bench listed { ");
        for n in first..count.min(first + 10_000) {
            let _ = write!(told, "{}, ", scattered(n));
        }
        told.push_str("}\n");
    }
    vec![("nft", vec!["-f", "-"], told)]
}

fn nft_set(count: u32) -> Load {
    nft("", count)
}

fn nft_interval(count: u32) -> Load {
    nft("flags interval;", count)
}

/// What has taken the place of its meters: a set that grows by whoever sends, with room for as many as ours has. When
/// it is full, new sources are not limited.
fn nft_limit(per_sec: u64, burst: u64) -> Load {
    let told = format!(
        "table netdev bench {{ set seen {{ type ipv4_addr; flags dynamic,timeout; timeout 60s; size 1048576; }}\n\
         chain in {{ type filter hook ingress device {FAR_END} priority 0; \
         update @seen {{ ip saddr limit rate over {per_sec}/second burst {burst} packets }} drop; }}\n}}\n"
    );
    vec![("nft", vec!["-f", "-"], told)]
}

fn ipset(count: u32) -> Load {
    let mut told = format!("create listed hash:ip maxelem {count}\n");
    for n in 0..count {
        let _ = writeln!(told, "add listed {}", scattered(n));
    }
    let rule = "-t raw -A PREROUTING -m set --match-set listed src -j DROP";
    vec![("ipset", vec!["restore"], told), ("iptables-legacy", rule.split(' ').collect(), String::new())]
}
