//! What became of requests, by every way that it is told.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::http::{exchange, get, post};
use tests::loopback::{free, until};
use tests::nginx::Nginx;

use crate::stand::{HOST, Stand, ask_as, asking, guarded, nginx_doors, sending};

/// What journal files are made with.
const REMOTE: &str = "/lib/systemd/systemd-journal-remote";

/// Lines of `source` of which this was made.
fn told(stand: &Stand, source: &str, result: &str) -> anyhow::Result<u64> {
    stand.count(&format!("skyshield_forward_auth_outcomes_total{{result=\"{result}\",source=\"{source}\"}}"))
}

/// An application whose logins all fail.
fn application() -> anyhow::Result<Nginx> {
    Nginx::start("location = /login { return 401; } location / { return 200 'ok'; }")
}

fn login(account: u32) -> Vec<u8> {
    post(HOST, "/login", "application/x-www-form-urlencoded", &format!("user=person{account}&password=a"))
}

const LIMITS: &str = "[limits.classes.auth]\nrequests = 1000\n";

pub(crate) fn by_file() -> anyhow::Result<()> {
    let stand = Stand::start(|dir| {
        format!(
            "{}[[forward_auth.outcomes]]\nfrom = \"file\"\npath = \"{}/skyshield.log\"\n{LIMITS}",
            nginx_doors(dir),
            dir.display()
        )
    })?;
    let app = application()?;
    let nginx = asking(stand.dir.path(), app.address)?;
    for account in 0..10 {
        ensure!(ask_as("203.0.113.1", nginx.address, &login(account))?.status == 401);
    }
    until("ten outcomes are told by their ids", || Ok(told(&stand, "file", "awaited")? == 10))?;
    // Rotated as logrotate does it: renamed, and nginx is told a while later.
    let (log, old) = (stand.path("skyshield.log"), stand.path("skyshield.log.1"));
    fs::rename(&log, &old)?;
    ensure!(ask_as("203.0.113.1", nginx.address, &login(10))?.status == 401);
    fs::write(&log, "")?;
    let pid: i32 = fs::read_to_string(nginx.dir().join("pid"))?.trim().parse()?;
    ensure!(ask_as("203.0.113.1", nginx.address, &login(11))?.status == 401);
    kill(Pid::from_raw(pid), Signal::SIGUSR1)?;
    for account in 12..20 {
        ensure!(ask_as("203.0.113.1", nginx.address, &login(account))?.status == 401);
    }
    until("twenty are", || Ok(told(&stand, "file", "awaited")? == 20))?;
    let family = "skyshield_forward_auth_request_duration_seconds_count{family=\"4xx\",site=\"forward_auth\",source=\"file\"}";
    ensure!(stand.count(family)? == 20, "they are not measured");
    until("who fails that often is under suspicion", || {
        let explained = stand.daemon.daemon.json("/api/v1/explain/203.0.113.1")?;
        Ok(explained["score"].as_f64() > Some(0.5))
    })?;
    let other = stand.daemon.daemon.json("/api/v1/explain/203.0.113.2")?;
    ensure!(other["score"].as_f64() == Some(0.0), "{other}");
    // Our own refusals are evidence against nobody.
    let attack = get(HOST, "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E");
    ensure!(ask_as("203.0.113.3", nginx.address, &attack)?.status == 403);
    until("a refusal is known for ours", || Ok(told(&stand, "file", "ours")? >= 1))?;
    ensure!(told(&stand, "file", "unparsed")? == 0, "lines that are not understood");
    // Where requests are sent whole, no id comes with the line: it speaks for itself.
    let whole = sending(stand.dir.path(), app.address)?;
    ensure!(ask_as("203.0.113.4", whole.address, &login(1))?.status == 401);
    until("a line without an id is read", || Ok(told(&stand, "file", "read")? == 1))?;
    ensure!(ask_as("203.0.113.5", whole.address, &attack)?.status == 403);
    until("a refusal there is known for ours", || Ok(told(&stand, "file", "ours")? >= 2))
}

pub(crate) fn by_syslog_and_http() -> anyhow::Result<()> {
    let (udp, http) = (free()?, free()?);
    let stand = Stand::start(|dir| {
        format!(
            "{}[[forward_auth.outcomes]]\nfrom = \"syslog\"\nformat = \"combined\"\nlisten = \"{udp}\"\n\
             [[forward_auth.outcomes]]\nfrom = \"http\"\nlisten = \"{http}\"\n{LIMITS}",
            nginx_doors(dir)
        )
    })?;
    let app = application()?;
    let nginx = guarded(
        stand.dir.path(),
        &format!(
            "access_log syslog:server={udp} combined; location / {{ proxy_pass http://{}; }}\n\
             set $skyshield_request ''; set $skyshield_incident '';",
            app.address
        ),
    )?;
    for account in 0..20 {
        ensure!(ask_as("203.0.113.1", nginx.address, &login(account))?.status == 401);
    }
    until("the datagrams are read", || Ok(told(&stand, "syslog", "read")? == 20))?;
    let nonsense = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    nonsense.send_to(b"<190>Nov 28 00:00:00 nginx: nonsense", udp)?;
    until("nonsense is counted", || Ok(told(&stand, "syslog", "unparsed")? == 1))?;
    until("who fails that often is under suspicion", || {
        let explained = stand.daemon.daemon.json("/api/v1/explain/203.0.113.1")?;
        Ok(explained["score"].as_f64() > Some(0.0))
    })?;
    let line = "{\"remote_addr\":\"203.0.113.9\",\"method\":\"GET\",\"uri\":\"/a\",\"host\":\"shop\",\"status\":404,\"request_time\":0.01}";
    ensure!(tell(http, &format!("{line}\n{line}"))? == 204);
    ensure!(told(&stand, "http", "read")? == 2, "two lines were told");
    ensure!(tell(http, &"x".repeat(5 << 20))? == 413, "more than is taken at once");
    Ok(())
}

fn tell(to: SocketAddr, lines: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{lines}", lines.len());
    Ok(exchange(&mut stream, request.as_bytes())?.status)
}

pub(crate) fn journal_missing() -> Option<String> {
    let has_reader = Command::new("journalctl").arg("--version").stdout(Stdio::null()).status().is_ok();
    let has_writer = Path::new(REMOTE).exists();
    (!has_reader || !has_writer)
        .then(|| "needs journalctl and systemd-journal-remote (apt-get install both)".to_owned())
}

pub(crate) fn by_journal() -> anyhow::Result<()> {
    let stand = Stand::start(|dir| {
        let place = dir.join("journal");
        // Where the folder is not there, it is not followed.
        let _ = fs::create_dir(&place);
        format!(
            "[[forward_auth.outcomes]]\nfrom = \"journal\"\nidentifier = \"proxy\"\ndirectory = \"{}\"\n{LIMITS}{}",
            place.display(),
            nginx_doors(dir)
        )
    })?;
    let mut writer = Command::new(REMOTE);
    writer.arg("--output").arg(stand.path("journal").join("remote.journal")).arg("-");
    let mut writer = writer.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut entries = writer.stdin.take().context("no stdin")?;
    let mut at = 0_u64;
    let outcome = until("lines in the journal are read", || {
        at += 1;
        let line = "{\"remote_addr\":\"203.0.113.9\",\"method\":\"GET\",\"uri\":\"/a\",\"status\":404}";
        let stamp = 1_795_000_000_000_000_u64 + at;
        write!(
            entries,
            "__REALTIME_TIMESTAMP={stamp}\n__MONOTONIC_TIMESTAMP={at}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             SYSLOG_IDENTIFIER=proxy\nMESSAGE={line}\n\n"
        )?;
        entries.flush()?;
        Ok(told(&stand, "journal", "read")? >= 1)
    });
    drop(entries);
    let mut rest = String::new();
    let _ = writer.stdout.take().map(|mut out| out.read_to_string(&mut rest));
    writer.wait()?;
    outcome
}
