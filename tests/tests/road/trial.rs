//! A configuration on trial: one that cuts off its own operator is rolled back, one that does not is kept.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::http::connect_from;
use tests::world::{HOST_V4, World};

const OPERATOR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 66, 32, 9));
/// Where the operator comes in, as by SSH: what he asks goes on to the admin socket.
const DOOR: SocketAddr = SocketAddr::new(IpAddr::V4(HOST_V4), 2222);
const PATIENCE: Duration = Duration::from_secs(2);
const ALLOWED: &str = "[never_ban]\nallow = [\"10.66.32.9\"]\n";

pub(crate) fn is_rolled_back_or_kept() -> anyhow::Result<()> {
    let world = World::new(ALLOWED)?;
    let daemon = world.start_daemon()?;
    open_door(&world)?;
    // Everybody around the operator is banned; he is on the allow list.
    daemon.ask("POST", "/api/v1/decisions", r#"{"source":"10.66.32.0/24"}"#)?;
    let original = fs::read_to_string(world.config())?;

    let mut session = connect(&world)?;
    ensure!(ask(&mut session, "GET", "/api/v1/doctor", "")?.starts_with("HTTP/1.1 200"), "no session");
    let cuts = write(&world, "cuts.toml", &original.replace(ALLOWED, ""))?;
    let applied = ask(&mut session, "POST", "/api/v1/apply", &on_trial(&cuts, "3s"))?;
    ensure!(applied.contains("\"confirm_within_secs\":3"), "{applied}");
    ensure!(ask(&mut session, "GET", "/api/v1/doctor", "").is_err(), "his own connection was not cut");
    ensure!(connect(&world).is_err(), "he could connect anew");
    // Nobody confirms, because nobody can.
    thread::sleep(Duration::from_secs(4));
    let mut back = connect(&world).context("nothing was rolled back")?;
    ensure!(ask(&mut back, "GET", "/api/v1/doctor", "")?.starts_with("HTTP/1.1 200"));
    ensure!(fs::read_to_string(world.config())? == original, "the file was touched");

    let keeps = write(&world, "keeps.toml", &format!("{original}\n[risk]\nban_secs = 77\n"))?;
    let applied = ask(&mut back, "POST", "/api/v1/apply", &on_trial(&keeps, "4s"))?;
    ensure!(applied.contains("risk.ban_secs"), "{applied}");
    let same = ask(&mut back, "POST", "/api/v1/apply/confirm", "")?;
    ensure!(same.starts_with("HTTP/1.1 422") && same.contains("connect anew"), "{same}");
    let meanwhile = ask(&mut back, "POST", "/api/v1/reload", "")?;
    ensure!(meanwhile.contains("on trial"), "{meanwhile}");
    // Whom a bypass lets in is not shown to get in.
    ask(&mut back, "PUT", "/api/v1/kernel/bypass", "{}")?;
    let bypassed = ask(&mut connect(&world)?, "POST", "/api/v1/apply/confirm", "")?;
    ensure!(bypassed.starts_with("HTTP/1.1 422") && bypassed.contains("skyshield bypass off"), "{bypassed}");
    ask(&mut back, "DELETE", "/api/v1/kernel/bypass", "")?;
    let confirmed = ask(&mut connect(&world)?, "POST", "/api/v1/apply/confirm", "")?;
    ensure!(confirmed.starts_with("HTTP/1.1 200"), "{confirmed}");
    ensure!(fs::read_to_string(world.config())? == fs::read_to_string(&keeps)?, "it is not in its place");
    let previous = world.config().with_extension("toml.previous");
    ensure!(fs::read_to_string(previous)? == original, "the one before was not kept");
    thread::sleep(Duration::from_secs(5));
    // What was confirmed is what is in force: reading it again changes nothing.
    let again = ask(&mut connect(&world)?, "POST", "/api/v1/reload", "")?;
    ensure!(again.contains("\"applied\":[]"), "{again}");
    daemon.stop().map(|_took| ())
}

fn on_trial(file: &std::path::Path, confirm: &str) -> String {
    format!("{{\"file\":\"{}\",\"confirm\":\"{confirm}\"}}", file.display())
}

fn write(world: &World, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = world.dir().join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// Lets the operator in: each connection goes on to the admin socket.
fn open_door(world: &World) -> anyhow::Result<()> {
    let listener = world.host.run(|| Ok(TcpListener::bind(DOOR)?))?;
    let socket = world.dir().join("admin.sock");
    thread::spawn(move || {
        for client in listener.incoming().flatten().take(32) {
            let Ok(server) = UnixStream::connect(&socket) else { return };
            let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
            thread::spawn(move || {
                let _ended = io::copy(&mut from, &mut to);
                let _gone = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let (mut from, mut to) = (server, client);
                let _ended = io::copy(&mut from, &mut to);
            });
        }
    });
    Ok(())
}

fn connect(world: &World) -> anyhow::Result<TcpStream> {
    let stream = world.clients.run(|| Ok(connect_from(OPERATOR, DOOR, Duration::from_millis(500))?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The answer to one request, the connection left open.
fn ask(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: skyshield\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the connection ended");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let len = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if rest.len() >= len.unwrap_or(0_usize) {
            return Ok(text);
        }
    }
}
