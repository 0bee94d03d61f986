//! A daemon with doors, and Debian's nginx before it by the snippets that are shipped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;
use tests::http::{self, Answer, field};
use tests::loopback::{Loopback, free, until};
use tests::nginx::Nginx;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const HOST: &str = "shop.example";

const HTTP: &str = include_str!("../../../skyshield/packaging/nginx/skyshield-http.conf");
const AUTH: &str = include_str!("../../../skyshield/packaging/nginx/skyshield-auth.conf");
const WHOLE: &str = include_str!("../../../skyshield/packaging/nginx/skyshield-whole.conf");

/// A daemon with doors in a folder.
pub(crate) struct Stand {
    pub(crate) daemon: Loopback,
    pub(crate) dir: TempDir,
}

/// The tables of both doors that nginx's snippets ask at, in `dir`.
pub(crate) fn nginx_doors(dir: &Path) -> String {
    let place = dir.display();
    format!(
        "[[forward_auth.doors]]\nlisten = \"unix:{place}/nginx.sock\"\nproxy = \"nginx\"\n\
         [[forward_auth.doors]]\nlisten = \"unix:{place}/nginx-whole.sock\"\nproxy = \"nginx-accel\"\n"
    )
}

impl Stand {
    /// Starts a daemon whose configuration has `tables`, made for its folder.
    pub(crate) fn start(tables: impl FnOnce(&Path) -> String) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let tables = tables(dir.path());
        let gateway = format!("trusted_proxies = [\"127.0.0.1\"]\nupstream = \"{}\"\n\n{tables}", free()?);
        Ok(Self { daemon: Loopback::start(&gateway)?, dir })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The count of the metric whose line begins with `series`.
    pub(crate) fn count(&self, series: &str) -> anyhow::Result<u64> {
        Ok(format!("{:.0}", self.daemon.metric(series)?).parse()?)
    }

    /// The incident of a refusal, as the API shows it.
    pub(crate) fn incident(&self, answer: &Answer) -> anyhow::Result<Value> {
        let id = field(&answer.head, "X-SkyShield-Incident").context("no incident in the answer")?;
        let path = format!("/api/v1/incidents/{id}");
        until("the incident is kept", || Ok(self.daemon.daemon.get(&path).is_ok()))?;
        self.daemon.daemon.json(&path)
    }

    /// The answer to `question` at the door `socket`.
    pub(crate) fn ask(&self, socket: &str, question: &str) -> anyhow::Result<Answer> {
        ask_at(&self.path(socket), question)
    }
}

/// The answer to `question` at the socket `path`.
pub(crate) fn ask_at(path: &Path, question: &str) -> anyhow::Result<Answer> {
    use std::io::{Read, Write};
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    let mut bytes = Vec::new();
    // Where the connection stays open, the answer's length says where it ends.
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = field(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
                return Ok(Answer { status, head: head.to_owned(), body: body.as_bytes().to_vec() });
            }
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        anyhow::ensure!(count > 0, "the connection ended: {text}");
        bytes.extend_from_slice(&chunk[..count]);
    }
}

/// nginx whose clients are whoever `X-Test-Client` says, guarded as the snippet `server` has it, with the
/// sockets and logs in `dir`.
pub(crate) fn guarded(dir: &Path, server: &str) -> anyhow::Result<Nginx> {
    let place = |text: &str| {
        let place = dir.display().to_string();
        text.replace("/run/skyshield", &place).replace("/var/log/nginx", &place)
    };
    let clients = "set_real_ip_from 127.0.0.0/8; real_ip_header X-Test-Client;";
    let server = format!("{clients}\n{}", place(server));
    Nginx::by(Command::new("nginx"), free()?, &format!("\n{}", place(HTTP)), &server)
}

/// The same, which asks before it serves what `upstream` says.
pub(crate) fn asking(dir: &Path, upstream: SocketAddr) -> anyhow::Result<Nginx> {
    guarded(dir, &format!("{AUTH}\nlocation / {{ proxy_pass http://{upstream}; }}\n"))
}

/// The same, where nobody refuses while there is no answer.
pub(crate) fn asking_open(dir: &Path, upstream: SocketAddr) -> anyhow::Result<Nginx> {
    let open = AUTH.replace("# error_page 500 502 503 504 =204", "error_page 500 502 503 504 =204");
    guarded(dir, &format!("{open}\nlocation / {{ proxy_pass http://{upstream}; }}\n"))
}

/// The same, which sends requests whole.
pub(crate) fn sending(dir: &Path, upstream: SocketAddr) -> anyhow::Result<Nginx> {
    guarded(dir, &format!("{WHOLE}\nlocation @skyshield_pass {{ proxy_pass http://{upstream}; }}\n"))
}

/// The same, where nobody refuses while there is no answer.
pub(crate) fn sending_open(dir: &Path, upstream: SocketAddr) -> anyhow::Result<Nginx> {
    let open = WHOLE
        .replace("# proxy_intercept_errors", "proxy_intercept_errors")
        .replace("# error_page", "error_page");
    guarded(dir, &format!("{open}\nlocation @skyshield_pass {{ proxy_pass http://{upstream}; }}\n"))
}

/// `request` with the line `name: value` more.
pub(crate) fn with(request: &[u8], name: &str, value: &str) -> Vec<u8> {
    let text_at = request.windows(2).position(|window| window == b"\r\n").map_or(0, |at| at + 2);
    let (line, rest) = request.split_at(text_at);
    [line, format!("{name}: {value}\r\n").as_bytes(), rest].concat()
}

/// The answer of `server` to `request` of `client`.
pub(crate) fn ask_as(client: &str, server: SocketAddr, request: &[u8]) -> anyhow::Result<Answer> {
    let request = with(&with(request, "X-Test-Client", client), "Connection", "close");
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    http::ask(from, server, &request, PATIENCE)
        .with_context(|| String::from_utf8_lossy(&request).into_owned())
}
