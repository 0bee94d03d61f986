//! The configuration read again by a daemon that goes on serving.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::daemon::{self, Daemon};
use tests::http::{self, Answer};

use crate::bench::{Bench, said};

const PATIENCE: Duration = Duration::from_secs(10);

fn ask(bench: &Bench, request: &[u8]) -> Result<Answer> {
    Ok(http::ask([127, 0, 0, 1].into(), bench.gateway, request, PATIENCE)?)
}

fn add(bench: &Bench, section: &str) -> Result<String> {
    let before = fs::read_to_string(bench.config())?;
    fs::write(bench.config(), format!("{before}\n{section}"))?;
    Ok(before)
}

/// The value of the metric that begins with `name`.
fn metric(daemon: &Daemon, name: &str) -> Result<f64> {
    let page = daemon.get("/api/v1/monitoring/prometheus/")?;
    let line = page.lines().find(|line| line.starts_with(name)).with_context(|| name.to_owned())?;
    Ok(line.rsplit(' ').next().context("no value")?.parse()?)
}

#[test]
fn what_can_be_swapped_is_and_the_rest_is_named() -> Result<()> {
    let bench = Bench::new()?;
    let daemon = bench.start()?;
    let login = http::post("shop", "/login", "application/x-www-form-urlencoded", "a=b");
    for _ in 0..3 {
        assert_eq!(ask(&bench, &login)?.status, 200);
    }
    let attack = http::get("shop", "/?q=%3Cscript%3Ealert(1)%3C/script%3E");
    add(
        &bench,
        "[log]\nlevel = \"info,skyshield::gateway=debug\"\n[inspect]\nmode = \"observe\"\n\
         [dataplane]\nmax_bans = 2000\n[gateway.headers]\nprofile = \"off\"\n",
    )?;
    let told = bench.answer(&["reload"])?;
    assert_eq!(told["applied"], serde_json::json!(["gateway.headers.profile", "inspect.mode", "log.level"]));
    assert_eq!(told["needs_restart"], serde_json::json!(["dataplane.max_bans"]));
    let answer = ask(&bench, &attack)?;
    assert_eq!((answer.status, http::field(&answer.head, "x-frame-options")), (200, None));
    let within = (0..9).filter(|_| ask(&bench, &login).is_ok_and(|answer| answer.status == 200)).count();
    assert_eq!(within, 2, "of five logins three were counted before");
    assert!(ask(&bench, b"GET / HTTP/1.2\r\n\r\n").is_ok());
    daemon.tells("was turned away")?;
    assert!(metric(&daemon, "skyshield_config_reloads_total{result=\"applied\"}")? > 0.5);
    assert_eq!(bench.answer(&["reload"])?["applied"], serde_json::json!([]));
    Ok(())
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_line() -> Result<()> {
    let bench = Bench::new()?;
    let daemon = bench.start()?;
    let since = metric(&daemon, "skyshield_config_last_success_timestamp_seconds")?;
    let before = add(&bench, "[inspect]\nmode = \"off\"\n[risk]\nrefuse = 1.8\n")?;
    let output = bench.skyshield(&["reload"])?;
    assert_eq!(output.status.code(), Some(2));
    let line = before.lines().count() + 5;
    let place = format!("{}:{line}: risk.refuse: 1.8", bench.config().display());
    assert!(said(&output).contains(&place), "{}", said(&output));
    let refused = daemon.ask("POST", "/api/v1/reload", "").unwrap_err().to_string();
    assert!(refused.contains(" 422 ") && refused.contains(&place), "{refused}");
    daemon.tells(&place)?;
    let attack = http::get("shop", "/?q=%3Cscript%3Ealert(1)%3C/script%3E");
    assert_eq!(ask(&bench, &attack)?.status, 403, "not even what was right in it is in force");
    assert!(metric(&daemon, "skyshield_config_reloads_total{result=\"refused\"}")? > 0.5);
    assert!((metric(&daemon, "skyshield_config_last_success_timestamp_seconds")? - since).abs() < 0.5);
    fs::write(bench.config(), before)?;
    bench.answer(&["reload"])?;
    Ok(())
}

#[test]
fn a_service_manager_hears_of_the_start_the_reload_and_the_end() -> Result<()> {
    let bench = Bench::new()?;
    let place = bench.dir().join("notify");
    let manager = UnixDatagram::bind(&place)?;
    manager.set_read_timeout(Some(PATIENCE))?;
    let hear = || -> Result<String> {
        let mut told = [0; 512];
        let length = manager.recv(&mut told)?;
        Ok(String::from_utf8_lossy(&told[..length]).into_owned())
    };
    let mut command = Command::new(daemon::program()?);
    command.env("NOTIFY_SOCKET", &place);
    let daemon = Daemon::start(command, &["--no-kernel"], &bench.config(), bench.dir())?;
    assert_eq!(hear()?, "READY=1");
    kill(Pid::from_raw(daemon.pid().cast_signed()), Signal::SIGHUP)?;
    assert!(hear()?.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear()?, "READY=1");
    daemon.stop()?;
    assert_eq!(hear()?, "STOPPING=1");
    Ok(())
}

#[test]
fn a_request_in_progress_ends_as_it_began() -> Result<()> {
    let bench = Bench::new()?;
    let _daemon = bench.start()?;
    let mut slow = TcpStream::connect(bench.gateway)?;
    slow.set_read_timeout(Some(PATIENCE))?;
    let body = "q=<script>alert(1)</script>";
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes())?;
    let mut kept = TcpStream::connect(bench.gateway)?;
    kept.set_read_timeout(Some(PATIENCE))?;
    assert_eq!(http::exchange(&mut kept, &http::get("shop", "/"))?.status, 200);
    // The head has been read by the time another connection was served.
    thread::sleep(Duration::from_millis(100));
    add(&bench, "[inspect]\nmode = \"off\"\n")?;
    bench.answer(&["reload"])?;
    slow.write_all(body.as_bytes())?;
    let mut answer = [0; 12];
    slow.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 403");
    let next = http::exchange(&mut kept, &http::get("shop", "/?q=%3Cscript%3Ealert(1)%3C/script%3E"))?;
    ensure!(next.status == 200, "the next request of an older connection goes by what is new: {}", next.head);
    Ok(())
}
