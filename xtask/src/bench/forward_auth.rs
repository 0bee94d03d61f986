//! `cargo xtask bench forward-auth`: nginx that asks before it serves, over nginx alone, in one run.
//!
//! nginx is set up by the snippets that are shipped. Requests per second are measured with both cores
//! busy, the time of a request with two connections: with more, it says how long the queue is.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::gateway::load::{self, Measured, Workload};
use super::gateway::peers::{Contender, Dir, FULL, nginx, skyshield};
use crate::workspace::Workspace;
use crate::{build, process};

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

const WORKLOADS: [Workload; 2] = [Workload::get("busy", 32), Workload::get("calm", 2)];

/// Who asks, and whom it is compared with: both without a log, and both with one that is read.
const PAIRS: [(&str, &str); 3] =
    [("asking", "nginx"), ("sending_whole", "nginx"), ("asking_logged", "nginx_logged")];

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let daemon = build::daemon(workspace, true)?;
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk"), ("openssl", "openssl")] {
        ensure!(process::find(program).is_some(), "{program} is missing: apt-get install {package}");
    }
    let dir = Dir::made()?;
    let contenders = contenders(workspace, &daemon, &dir.0)?;
    for contender in &contenders {
        load::awaited(contender)?;
    }
    let mut workloads = Map::new();
    for workload in &WORKLOADS {
        let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); contenders.len()];
        for round in 0..arguments.rounds {
            eprint!("bench: {} round {} of {}\r", workload.name, round + 1, arguments.rounds);
            for (contender, measured) in contenders.iter().zip(&mut rounds) {
                if contender.name != "upstream" && !contender.name.starts_with("skyshield") {
                    measured.push(load::measure(&dir.0, contender, workload, arguments.seconds)?);
                }
            }
        }
        workloads.insert(workload.name.to_owned(), told(&contenders, &rounds));
    }
    drop(contenders);
    let report = json!({ "workloads": workloads });
    println!("{}", if arguments.json { report.to_string() } else { format!("{report:#}") });
    Ok(ExitCode::SUCCESS)
}

/// The medians, and what they make of each other.
fn told(contenders: &[Contender], rounds: &[Vec<Measured>]) -> Value {
    let median_of = |name: &str| {
        let at = contenders.iter().position(|contender| contender.name == name)?;
        Measured::median(rounds.get(at)?)
    };
    let mut all = Map::new();
    for name in PAIRS.iter().flat_map(|&(asking, alone)| [asking, alone]) {
        all.insert(name.to_owned(), median_of(name).map_or(Value::Null, |measured| measured.json()));
    }
    for (asking, alone) in PAIRS {
        if let Some((ours, peer)) = median_of(asking).zip(median_of(alone)) {
            all.insert(format!("{asking}_rps_ratio"), load::rounded(ours.rps / peer.rps));
            all.insert(format!("{asking}_p50_added_ms"), load::rounded(ours.p50_ms - peer.p50_ms));
        }
    }
    Value::Object(all)
}

fn contenders(workspace: &Workspace, daemon: &Path, dir: &Path) -> Result<Vec<Contender>> {
    let workers = thread::available_parallelism()?.get();
    let place = dir.display().to_string();
    let snippet = |name: &str| {
        let path = workspace.root.join("skyshield/packaging/nginx").join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        anyhow::Ok(text.replace("/run/skyshield", &place).replace("/var/log/nginx", &place))
    };
    let (http, asking, whole) =
        (snippet("skyshield-http.conf")?, snippet("skyshield-auth.conf")?, snippet("skyshield-whole.conf")?);
    let silent = |text: &str| text.replace("access_log /", "# access_log /");
    let page = "location / { default_type text/html; \
        return 200 '<!doctype html><title>ok</title><p>hello from upstream</p>'; }";
    let upstream = nginx(dir, "upstream", workers, "", "", page)?;
    let doors = |logged: bool| {
        let suffix = if logged { "-logged" } else { "" };
        let group = if process::is_root().unwrap_or(false) { "group = \"www-data\"\n" } else { "" };
        let mut text = format!(
            "[[forward_auth.doors]]\nlisten = \"unix:{place}/nginx{suffix}.sock\"\nproxy = \"nginx\"\n{group}\
             [[forward_auth.doors]]\nlisten = \"unix:{place}/nginx-whole{suffix}.sock\"\nproxy = \"nginx-accel\"\n{group}"
        );
        if logged {
            text = format!(
                "{text}[[forward_auth.outcomes]]\nfrom = \"file\"\npath = \"{place}/skyshield.log\"\n"
            );
        }
        format!("{FULL}{text}")
    };
    let logged = |text: &str| {
        text.replace("nginx.sock", "nginx-logged.sock").replace("nginx-whole.sock", "nginx-whole-logged.sock")
    };
    let judge = skyshield(daemon, dir, "skyshield", workers, upstream.port, &doors(false))?;
    let reader = skyshield(daemon, dir, "skyshield_logged", workers, upstream.port, &doors(true))?;
    let pool = format!("upstream up {{ server 127.0.0.1:{}; keepalive 64; }}\n", upstream.port);
    let proxy = "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;";
    let everything = format!("location / {{ {proxy} }}");
    let log = format!("access_log {place}/alone.log combined; {everything}");
    let asks = format!("{asking}\n{everything}");
    let sends = format!("{}\nlocation @skyshield_pass {{ {proxy} }}", silent(&whole));
    let guarded = format!("{pool}{http}");
    Ok(vec![
        nginx(dir, "nginx", workers, "", &pool, &everything)?,
        nginx(dir, "asking", workers, "", &guarded, &silent(&asks))?,
        nginx(dir, "sending_whole", workers, "", &guarded, &sends)?,
        nginx(dir, "nginx_logged", workers, "", &pool, &log)?,
        nginx(dir, "asking_logged", workers, "", &logged(&guarded), &asks)?,
        judge,
        reader,
        upstream,
    ])
}
