//! Where bans of a proxy's clients are carried out, with the proxy on the guarded host.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tests::http::{connect_from, exchange, get};
use tests::nginx::Nginx;
use tests::traffic;
use tests::world::{HOST, HOST_V4, World, attacker, honest_client};

const PATIENCE: Duration = Duration::from_secs(10);
const HTTP: &str = include_str!("../../../skyshield/packaging/nginx/skyshield-http.conf");
const AUTH: &str = include_str!("../../../skyshield/packaging/nginx/skyshield-auth.conf");

pub(crate) fn banned() -> anyhow::Result<()> {
    let world = World::new("")?;
    let dir = tempfile::tempdir()?;
    let place = |text: &str| {
        let place = dir.path().display().to_string();
        text.replace("/run/skyshield", &place).replace("/var/log/nginx", &place)
    };
    // nginx is on the guarded host, in the place where the gateway would be.
    let address = SocketAddr::new(HOST_V4.into(), 8000);
    let server = format!("{}\nlocation / {{ proxy_pass http://10.67.0.2:8080; }}\n", place(AUTH));
    let nginx = world.host.command("nginx");
    let nginx = Nginx::by(nginx, address, &format!("\n{}", place(HTTP)), &server)?;
    let ask = |from, request: &[u8]| {
        world.clients.run(|| {
            let mut stream = connect_from(from, nginx.address, PATIENCE)?;
            Ok(exchange(&mut stream, request)?)
        })
    };
    let attacks = traffic::attacks(HOST);
    for (bans, number) in [("door", 1), ("kernel", 2)] {
        configure(&world, dir.path(), bans)?;
        let daemon = world.start_daemon()?;
        let (bad, honest) = (attacker(number), honest_client(number));
        ensure!(ask(honest, &get(HOST, "/"))?.status == 200);
        let refused = ask(bad, &attacks[0].request)?;
        ensure!(refused.status == 403, "{refused:?}");
        let held = world.kernel()?.bans.iter().any(|(source, _)| source.address() == bad);
        ensure!(held == (bans == "kernel"), "bans = \"{bans}\", and the kernel's map says {held}");
        let decisions = daemon.decisions()?;
        let layer = decisions.iter().find(|decision| decision["source"] == bad.to_string());
        let layer = layer.map(|decision| decision["layer"].clone());
        let expected = if bans == "kernel" { "packet" } else { "request" };
        ensure!(layer == Some(expected.into()), "{decisions:?}");
        let again = world.clients.run(|| Ok(connect_from(bad, nginx.address, Duration::from_millis(300))))?;
        ensure!(again.is_err() == (bans == "kernel"), "bans = \"{bans}\": {again:?}");
        if bans == "door" {
            ensure!(ask(bad, &get(HOST, "/"))?.status == 403, "it is banned at the door");
        }
        ensure!(ask(honest, &get(HOST, "/"))?.status == 200);
        daemon.stop()?;
    }
    Ok(())
}

fn configure(world: &World, dir: &Path, bans: &str) -> anyhow::Result<()> {
    let doors = format!(
        "[[forward_auth.doors]]\nlisten = \"unix:{}/nginx.sock\"\nproxy = \"nginx\"\nbans = \"{bans}\"\n",
        dir.display()
    );
    world.configure("", &doors)?;
    // nginx has the clients: the gateway listens for nobody.
    let text = fs::read_to_string(world.config())?;
    let begins = text.find("listen = [").unwrap_or_default();
    let ends = begins + text[begins..].find(']').unwrap_or_default();
    // The second address has brackets of its own.
    let ends = ends + text[ends..].find("\"]").map_or(0, |at| at + 1);
    let text = format!("{}listen = []{}", &text[..begins], &text[ends + 1..]);
    Ok(fs::write(world.config(), text)?)
}
