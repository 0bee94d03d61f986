//! `cargo xtask bench gateway`: requests per CPU-second of the gateway over nginx's, in one run.
//!
//! Everything listens on 127.0.0.1 and ends with the run. Each round measures every contender once,
//! one after the other, so that what else the machine does meets all of them alike.

pub(super) mod load;
pub(super) mod peers;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value, json};

use self::load::{Measured, WORKLOADS, Workload};
use self::peers::{Contender, Peers};
use crate::build;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends with one JSON object on stdout's last line
    #[arg(long)]
    json: bool,
    /// Rounds; each measures every contender once
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load in each measurement
    #[arg(long, default_value_t = 2)]
    seconds: u32,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let daemon = build::daemon(workspace, true)?;
    let peers = Peers::start(&daemon)?;
    for contender in &peers.contenders {
        load::awaited(contender)?;
    }
    let mut workloads = Map::new();
    for workload in WORKLOADS {
        let result = compare(&peers, workload, arguments)?;
        eprintln!("bench: {} {result}", workload.name);
        workloads.insert(workload.name.to_owned(), result);
    }
    drop(peers);
    let report = json!({ "workloads": workloads });
    println!("{}", if arguments.json { report.to_string() } else { format!("{report:#}") });
    Ok(ExitCode::SUCCESS)
}

/// The medians of every contender, and what they make of each other.
fn compare(peers: &Peers, workload: &Workload, arguments: &Arguments) -> Result<Value> {
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); peers.contenders.len()];
    for round in 0..arguments.rounds {
        eprint!("bench: {} round {} of {}\r", workload.name, round + 1, arguments.rounds);
        for (contender, measured) in peers.contenders.iter().zip(&mut rounds) {
            measured.push(load::measure(peers.dir(), contender, workload, arguments.seconds)?);
        }
    }
    let names = ["nginx", "modsecurity", "skyshield", "skyshield_off"];
    let median_of = |name: &str| {
        let at = peers.contenders.iter().position(|contender: &Contender| contender.name == name)?;
        Measured::median(&rounds[at])
    };
    let mut result: Map<String, Value> = names
        .iter()
        .map(|&name| (name.to_owned(), median_of(name).map_or(Value::Null, |m| m.json())))
        .collect();
    let ours = median_of("skyshield");
    for (key, peer) in [("ratio_cpu_vs_nginx", "nginx"), ("ratio_cpu_vs_modsecurity", "modsecurity")] {
        let ratio = ours.as_ref().zip(median_of(peer)).map(|(ours, peer)| peer.cpu_us / ours.cpu_us);
        result.insert(key.to_owned(), ratio.map_or(Value::Null, load::rounded));
    }
    Ok(Value::Object(result))
}
