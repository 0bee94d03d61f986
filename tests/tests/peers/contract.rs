//! The admin API before programs that know its document alone: whatever `schemathesis` asks, the answer is one that the
//! document says, and never a failure of the daemon's own; and a typed client made of it understands every answer.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::daemon::{self, Daemon};
use tests::loopback::free;
use tests::shop::Shop;

use crate::report;

/// The releases that are asked for.
const RELEASES: [&str; 2] = ["schemathesis==4.32.5", "openapi-python-client==0.29.1"];
/// Cases of each operation in an ordinary run. `SKYSHIELD_CASES` asks for more, and for one of every kind beside them,
/// which takes minutes.
const CASES: u32 = 2;

/// The programs' folder, of its own below `target`; brought by pip where they are not there yet.
fn programs() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract");
    let programs = venv.join("bin");
    if ["schemathesis", "openapi-python-client"].iter().all(|program| programs.join(program).exists()) {
        return Ok(programs);
    }
    let run = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !run(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        return Err("needs python3 with venv (apt-get install python3-venv)".to_owned());
    }
    if !run(Command::new(programs.join("pip")).args(["install", "--quiet"]).args(RELEASES)) {
        return Err(format!("needs {}, and pip does not bring them", RELEASES.join(" and ")));
    }
    Ok(programs)
}

pub(crate) fn missing() -> Option<String> {
    programs().err()
}

/// A daemon, its document in a file, and a token that may do everything.
struct Bench {
    daemon: Daemon,
    api: SocketAddr,
    token: String,
    document: PathBuf,
    _shop: Shop,
    dir: TempDir,
}

impl Bench {
    fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let shop = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (upstream, api) = (shop.local_addr()?, free()?);
        let shop = Shop::open(shop);
        let place = dir.path().display();
        let config = dir.path().join("skyshield.toml");
        fs::write(
            &config,
            format!(
                "[store]\ndir = \"{place}/state\"\n[api]\nlisten = \"{api}\"\nmetrics_listen = \"{}\"\nsocket = \"{place}/admin.sock\"\n\
                 [gateway]\nlisten = [\"{}\"]\nupstream = \"{upstream}\"\n",
                free()?,
                free()?,
            ),
        )?;
        let daemon = Daemon::start(Command::new(daemon::program()?), &["--no-kernel"], &config, dir.path())?;
        let token: Value = serde_json::from_str(&daemon.ask(
            "POST",
            "/api/v1/tokens",
            "{\"name\":\"contract\",\"role\":\"admin\"}",
        )?)?;
        let token = token["token"].as_str().context("no token")?.to_owned();
        let document = dir.path().join("openapi.json");
        fs::write(&document, daemon.get("/openapi.json")?)?;
        Ok(Self { daemon, api, token, document, _shop: shop, dir })
    }

    /// What a program says that ends well.
    fn well(&self, program: &mut Command) -> anyhow::Result<String> {
        program.current_dir(self.dir.path()).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        let output = program.output()?;
        let [told, more] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "{told}\n{more}\n{}", self.daemon.log());
        Ok(told)
    }

    fn end_well(self) -> anyhow::Result<()> {
        ensure!(self.daemon.get("/readyz").is_ok(), "the daemon is not well afterwards");
        self.daemon.stop().map(|_took| ())
    }
}

pub(crate) fn a_typed_client_understands_every_answer() -> anyhow::Result<()> {
    let programs = programs().map_err(anyhow::Error::msg)?;
    let bench = Bench::start()?;
    let mut make = Command::new(programs.join("openapi-python-client"));
    let make = make.args(["generate", "--meta", "none", "--output-path", "client", "--path"]);
    let made = bench.well(make.arg(&bench.document))?;
    let left_out: Vec<_> = made.lines().filter(|line| line.contains("will not be generated")).collect();
    // The generator has no word for a body of plain text.
    let known = ["POST /api/v1/decisions/import", "PUT /api/v1/config", "POST /api/v1/config/check"];
    let is_known = |line: &&str| known.iter().any(|known| line.contains(known));
    ensure!(left_out.iter().all(is_known), "{made}");
    let mut client = Command::new(programs.join("python3"));
    client.arg("-c").arg(include_str!("typed.py"));
    let asked = bench.well(client.arg(format!("http://{}", bench.api)).arg(&bench.token))?;
    report(&format!("{} routes asked by a typed client", asked.trim()));
    ensure!(asked.trim().parse::<u32>()? >= 25, "only {asked} routes were asked");
    bench.end_well()
}

pub(crate) fn every_answer_is_one_that_the_document_says() -> anyhow::Result<()> {
    let programs = programs().map_err(anyhow::Error::msg)?;
    let bench = Bench::start()?;
    let asked = env::var("SKYSHIELD_CASES").ok().and_then(|cases| cases.parse().ok());
    let phases = if asked.is_some() { "examples,coverage,fuzzing" } else { "examples,fuzzing" };
    let cases = asked.unwrap_or(CASES);
    let mut program = Command::new(programs.join("schemathesis"));
    program
        .arg("run")
        .arg(&bench.document)
        .args(["--url", &format!("http://{}", bench.api)])
        .args(["-H", &format!("Authorization: Bearer {}", bench.token)])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", phases, "--max-examples", &cases.to_string(), "--seed", "7"])
        // A successor would take the daemon's place, a stream has no end, and each rehearsal takes the time of all others.
        .args([
            "--exclude-path",
            "/api/v1/upgrade",
            "--exclude-path",
            "/api/v1/stream",
            "--exclude-path",
            "/api/v1/rehearsals",
        ])
        .args([
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--continue-on-failure",
            // Of a daemon that was built without optimisation a password's hash takes its time.
            "--request-timeout",
            "60",
        ])
        .args(["--generation-database", "none", "--no-color"]);
    let told = bench.well(&mut program)?;
    let generated = told.lines().find(|line| line.contains("generated")).unwrap_or("no cases were generated");
    report(generated.trim());
    bench.end_well()
}
