//! Debian's `HAProxy` with the Lua action and the configuration that are shipped.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tests::http::{self, field, get};
use tests::loopback::{free, until};
use tests::nginx::Nginx;
use tests::traffic;

use crate::stand::{HOST, PATIENCE, Stand};

const LUA: &str = include_str!("../../../skyshield/packaging/haproxy/skyshield.lua");
const CONFIG: &str = include_str!("../../../skyshield/packaging/haproxy/skyshield.cfg");

struct Haproxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &Path, app: SocketAddr, change: impl FnOnce(String) -> String) -> anyhow::Result<Haproxy> {
    let (address, place) = (free()?, dir.display().to_string());
    let lua = dir.join("skyshield.lua");
    fs::write(&lua, LUA.replace("/run/skyshield", &place))?;
    let config = CONFIG
        .replace("/etc/haproxy/skyshield.lua", &lua.display().to_string())
        .replace("/run/skyshield", &place)
        .replace("bind :80", &format!("bind {address}"))
        .replace("127.0.0.1:8080", &app.to_string());
    let path = dir.join(format!("haproxy-{}.cfg", address.port()));
    fs::write(&path, change(config))?;
    let said = fs::File::create(dir.join("haproxy.log"))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    let mut haproxy = Haproxy { child: command.spawn().context("haproxy")?, address };
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return Ok(haproxy);
        }
        if haproxy.child.try_wait()?.is_some() {
            bail!("haproxy ended: {}", fs::read_to_string(dir.join("haproxy.log"))?);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("haproxy does not listen")
}

pub(crate) fn asks() -> anyhow::Result<()> {
    let stand = Stand::start(|dir| {
        let place = dir.display();
        format!(
            "[[forward_auth.doors]]\nlisten = \"unix:{place}/haproxy.sock\"\nproxy = \"haproxy\"\n\
             [[forward_auth.outcomes]]\nfrom = \"syslog\"\nlisten = \"unix:{place}/haproxy-log.sock\"\n\
             [limits.classes.default]\nrequests = 40\nwindow_secs = 600\n"
        )
    })?;
    let app = Nginx::saying("the application")?;
    let haproxy = start(stand.dir.path(), app.address, |config| config)?;
    let ask = |last: u8, request: &[u8]| {
        Ok::<_, anyhow::Error>(http::ask(
            Ipv4Addr::new(127, 0, 7, last).into(),
            haproxy.address,
            request,
            PATIENCE,
        )?)
    };
    for request in traffic::honest(HOST) {
        let page = ask(1, &request)?;
        ensure!(
            page.status == 200 && page.body == b"the application",
            "{}\n{page:?}",
            String::from_utf8_lossy(&request)
        );
    }
    for attack in traffic::attacks(HOST) {
        let refused = ask(2, &attack.request)?;
        ensure!(refused.status == 403, "{}\n{refused:?}", String::from_utf8_lossy(&attack.request));
        let incident = stand.incident(&refused)?;
        ensure!(incident["door"] == "forward_auth" && incident["address"] == "127.0.7.2", "{incident}");
        ensure!(incident["host"] == HOST, "{incident}");
    }
    let answers = (0..60).map(|_| ask(3, &get(HOST, "/"))).collect::<anyhow::Result<Vec<_>>>()?;
    let last = answers.last().context("none")?;
    ensure!(last.status == 429 && field(&last.head, "Retry-After").is_some(), "{last:?}");
    let outcomes = |result: &str| {
        stand
            .count(&format!("skyshield_forward_auth_outcomes_total{{result=\"{result}\",source=\"syslog\"}}"))
    };
    until("outcomes are told by their ids", || Ok(outcomes("awaited")? >= 10 && outcomes("ours")? >= 10))?;
    ensure!(outcomes("unparsed")? == 0, "lines that are not understood");
    // Without SkyShield: closed by default, open where the action says so.
    let Stand { daemon, dir } = stand;
    daemon.daemon.terminate()?;
    let closed = ask(4, &get(HOST, "/"))?;
    ensure!(closed.status == 503, "{closed:?}");
    let open =
        start(dir.path(), app.address, |config| config.replace("lua.skyshield\n", "lua.skyshield_open\n"))?;
    let served = http::ask(Ipv4Addr::new(127, 0, 7, 5).into(), open.address, &get(HOST, "/"), PATIENCE)?;
    ensure!(served.status == 200, "{served:?}");
    Ok(())
}
