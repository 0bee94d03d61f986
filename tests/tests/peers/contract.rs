//! The admin API before `schemathesis`: whatever is asked, the answer is one that the document says, and never a failure
//! of the daemon's own.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::daemon::{self, Daemon};
use tests::loopback::free;
use tests::shop::Shop;

use crate::report;

/// The release that is asked for.
const RELEASE: &str = "schemathesis==4.32.5";
/// Cases of each operation and phase in an ordinary run; `SKYSHIELD_CASES` asks for more.
const CASES: u32 = 8;

/// The program in a folder of its own below `target`, brought by pip where it is not there yet.
fn program() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = venv.join("bin/schemathesis");
    if program.exists() {
        return Ok(program);
    }
    let run = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !run(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        return Err("needs python3 with venv (apt-get install python3-venv)".to_owned());
    }
    if !run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", RELEASE])) {
        return Err(format!("needs {RELEASE}, and pip does not bring it"));
    }
    Ok(program)
}

pub(crate) fn missing() -> Option<String> {
    program().err()
}

pub(crate) fn every_answer_is_one_that_the_document_says() -> anyhow::Result<()> {
    let program = program().map_err(anyhow::Error::msg)?;
    let dir = tempfile::tempdir()?;
    let shop = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (upstream, api) = (shop.local_addr()?, free()?);
    let _shop = Shop::open(shop);
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
    let token = token["token"].as_str().context("no token")?;
    let document = dir.path().join("openapi.json");
    fs::write(&document, daemon.get("/openapi.json")?)?;
    let cases = env::var("SKYSHIELD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let output = Command::new(program)
        .current_dir(dir.path())
        .arg("run")
        .arg(&document)
        .args(["--url", &format!("http://{api}"), "-H", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &cases.to_string(), "--seed", "7"])
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
            "--request-timeout",
            "20",
        ])
        .args(["--generation-database", "none", "--no-color"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let generated = told.lines().find(|line| line.contains("generated")).unwrap_or("no cases were generated");
    report(generated.trim());
    ensure!(output.status.success(), "{told}\n{}\n{}", String::from_utf8_lossy(&output.stderr), daemon.log());
    ensure!(daemon.get("/readyz").is_ok(), "the daemon is not well afterwards");
    daemon.stop().map(|_took| ())
}
