//! What happens without a verdict: never a refusal in our name.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::http::{exchange, field, get};
use tests::loopback::{free, until};
use tests::nginx::Nginx;

use crate::stand::{HOST, Stand, ask_as, asking, asking_open, nginx_doors, sending, sending_open};

pub(crate) fn absent() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let app = Nginx::saying("the application")?;
    let ask = |nginx: &Nginx| ask_as("203.0.113.1", nginx.address, &get(HOST, "/"));
    let closed = ask(&asking(dir.path(), app.address)?)?;
    ensure!(closed.status == 500, "{closed:?}");
    let closed = ask(&sending(dir.path(), app.address)?)?;
    ensure!(closed.status == 502, "{closed:?}");
    for open in [asking_open(dir.path(), app.address)?, sending_open(dir.path(), app.address)?] {
        let served = ask(&open)?;
        ensure!(served.status == 200 && served.body == b"the application", "{served:?}");
    }
    Ok(())
}

const QUESTION: &str = "POST /comments HTTP/1.1\r\nHost: shop.example\r\nX-Real-IP: 203.0.113.1\r\n\
    Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf";

pub(crate) fn too_late() -> anyhow::Result<()> {
    for (on_failure, status) in [("error", 503), ("pass", 200)] {
        let stand = Stand::start(|dir| {
            format!(
                "[forward_auth]\ndeadline_millis = 50\non_failure = \"{on_failure}\"\nheld_body_bytes = 1048576\n{}",
                nginx_doors(dir)
            )
        })?;
        // The other half never comes.
        let answer = stand.ask("nginx-whole.sock", QUESTION)?;
        ensure!(answer.status == status, "{answer:?}");
        ensure!(field(&answer.head, "X-SkyShield-Failure") == Some("deadline"), "{answer:?}");
        let is_sent_on = field(&answer.head, "X-Accel-Redirect").is_some();
        ensure!(is_sent_on == (status == 200), "{answer:?}");
        let series = "skyshield_forward_auth_failures_total{door=\"nginx-accel\",kind=\"deadline\"}";
        ensure!(stand.count(series)? == 1, "it is not counted");
        // What others hold leaves no room: that is no reason to refuse either.
        let mut holders = Vec::new();
        for _ in 0..2 {
            let mut holder = UnixStream::connect(stand.path("nginx-whole.sock"))?;
            holder.write_all(QUESTION.replace("Length: 10", "Length: 1048576").as_bytes())?;
            holders.push(holder);
        }
        until("one of them is told so", || {
            let series = "skyshield_forward_auth_failures_total{door=\"nginx-accel\",kind=\"no_room\"}";
            Ok(stand.count(series)? == 1)
        })?;
        until("there is room again", || {
            let answer = stand.ask("nginx-whole.sock", &QUESTION.replace("half", "whole body"))?;
            Ok(answer.status == 200 && field(&answer.head, "X-SkyShield-Failure").is_none())
        })?;
    }
    Ok(())
}

pub(crate) fn wrong_callers() -> anyhow::Result<()> {
    let (open, shut) = (free()?, free()?);
    let stand = Stand::start(|dir| {
        format!(
            "{}[[forward_auth.doors]]\nname = \"open\"\nlisten = \"{open}\"\nproxy = \"traefik\"\n\
             [[forward_auth.doors]]\nname = \"shut\"\nlisten = \"{shut}\"\nproxy = \"traefik\"\n\
             trusted_callers = [\"192.0.2.1\"]\n",
            nginx_doors(dir)
        )
    })?;
    let question = "GET / HTTP/1.1\r\nHost: auth\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\n\
        X-Forwarded-For: 203.0.113.1\r\n\r\n";
    let ask = |address: SocketAddr, question: &str| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        exchange(&mut stream, question.as_bytes())
    };
    ensure!(ask(open, question)?.status == 200);
    ensure!(ask(shut, question).is_err(), "who is not trusted is not answered");
    let series = "skyshield_forward_auth_connections_refused_total{door=\"shut\",reason=\"untrusted\"}";
    ensure!(stand.count(series)? == 1, "it is not counted");
    // A proxy that is not set up is told what is missing, and its client is refused by nobody's name.
    let wrong = ask(open, &question.replace("X-Forwarded-Method: GET\r\n", ""))?;
    ensure!(wrong.status == 500, "{wrong:?}");
    let said = String::from_utf8_lossy(&wrong.body).into_owned();
    ensure!(said.contains("x-forwarded-method"), "{said}");
    stand.daemon.daemon.tells("x-forwarded-method")?;
    // Two framings, and the next question of a connection that is kept.
    let two = question.replace("\r\n\r\n", "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc");
    ensure!(ask(open, &two)?.status == 500);
    let mut stream = TcpStream::connect(open)?;
    for _ in 0..3 {
        ensure!(exchange(&mut stream, question.as_bytes())?.status == 200);
    }
    let chunked = question.replace(
        "\r\n\r\n",
        "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na=%3\r\n19\r\nCscript%3Ealert(1)%3C/scr\r\n0\r\n\r\n",
    );
    let chunked = chunked.replace("Uri: /", "Uri: /x").replace("Method: GET", "Method: POST");
    let chunked =
        chunked.replace("Host: auth", "Content-Type: application/x-www-form-urlencoded\r\nHost: auth");
    let refused = exchange(&mut stream, chunked.as_bytes())?;
    ensure!(refused.status == 403, "an attack in a chunked body: {refused:?}");
    Ok(())
}

/// A process that is no child of ours, ended when dropped.
struct Successor(Option<Pid>);

impl Drop for Successor {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.0.map(|pid| kill(pid, Signal::SIGKILL));
    }
}

pub(crate) fn handed_over() -> anyhow::Result<()> {
    let stand = Stand::start(nginx_doors)?;
    let app = Nginx::saying("the application")?;
    let nginx = asking(stand.dir.path(), app.address)?;
    let ask = |target: &str, client: &str| ask_as(client, nginx.address, &get(HOST, target));
    ensure!(ask("/", "203.0.113.1")?.status == 200);
    kill(Pid::from_raw(stand.daemon.daemon.pid().cast_signed()), Signal::SIGUSR2)?;
    let mut successor = Successor(None);
    until("a successor serves", || {
        let log = stand.daemon.daemon.log();
        let pid = log.split("pid=").nth(1).and_then(|rest| rest.split_whitespace().next());
        successor.0 = pid.and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
        Ok(successor.0.is_some())
    })?;
    ensure!(ask("/", "203.0.113.1")?.status == 200, "the successor answers at the same door");
    // A rule that is new is in force with the next question.
    let config = stand.daemon.dir().join("skyshield.toml");
    let text = fs::read_to_string(&config)?;
    ensure!(ask("/internal", "203.0.113.2")?.status == 200);
    let rules = stand.path("rules.toml");
    fs::write(
        &rules,
        "[[rule]]\nid = \"own.internal\"\ndescription = \"not from outside\"\nplace = [\"path\"]\n\
         match = { contains = [\"/internal\"] }\naction = \"refuse\"\nconfidence = 0.5\n\
         examples = { hit = [\"/internal\"], miss = [\"/\"] }\n",
    )?;
    fs::write(&config, format!("{text}\n[inspect]\nrules = [\"{}\"]\n", rules.display()))?;
    stand.daemon.daemon.ask("POST", "/api/v1/reload", "").context("reload")?;
    let refused = ask("/internal", "203.0.113.2")?;
    ensure!(refused.status == 403, "{refused:?}");
    ensure!(field(&refused.head, "X-SkyShield-Incident").is_some(), "{refused:?}");
    Ok(())
}
