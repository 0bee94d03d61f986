//! Attacks, honest requests, and what becomes of each.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use skyshield_common::Reason;
use tests::http::{connect_from, field, get};
use tests::shop::MARK;
use tests::traffic;
use tests::world::{HOST, World, attacker, gateway, honest_client};

const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn ends_as_a_dropped_packet() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    for number in [1, 4] {
        let (honest, bad) = (honest_client(number), attacker(number));
        let page = world.ask(honest, &get(HOST, "/products/42"), PATIENCE)?;
        ensure!(page.status == 200 && String::from_utf8_lossy(&page.body).contains(MARK), "{page:?}");
        for (name, value) in [
            ("X-Frame-Options", "DENY"),
            ("X-XSS-Protection", "1; mode=block"),
            ("X-Content-Type-Options", "nosniff"),
        ] {
            ensure!(field(&page.head, name) == Some(value), "{name} in {}", page.head);
        }
        ensure!(field(&page.head, "Content-Security-Policy").is_some(), "{}", page.head);

        let served = world.shop.served();
        let refused = world.ask(bad, &traffic::attacks(HOST)[0].request, PATIENCE)?;
        ensure!(refused.status == 403, "{refused:?}");
        ensure!(world.shop.served() == served, "the attack reached the shop");
        let incident = field(&refused.head, "X-SkyShield-Incident").context("no incident on the page")?;
        ensure!(String::from_utf8_lossy(&refused.body).contains(incident), "{refused:?}");

        // From here on not one packet of it gets in.
        ensure!(is_banned(&world, bad)?, "{bad} is not in the kernel");
        let before = dropped(&world)?;
        let again = world.clients.run(|| Ok(connect_from(bad, gateway(bad), Duration::from_millis(300))))?;
        ensure!(again.is_err(), "{bad} could connect again");
        ensure!(dropped(&world)? > before, "the attempt was not counted as dropped");
        let page = world.ask(honest, &get(HOST, "/"), PATIENCE)?;
        ensure!(page.status == 200, "{honest} was honest all the time: {page:?}");

        let kept = daemon.json(&format!("/api/v1/incidents/{incident}"))?;
        ensure!(kept["address"] == bad.to_string() && kept["findings"][0]["rule"].is_string(), "{kept}");
    }
    daemon.stop().map(|_took| ())
}

pub(crate) fn all_of_both() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    for (request, number) in traffic::honest(HOST).iter().zip(1..) {
        let page = world.ask(honest_client(number), request, PATIENCE)?;
        ensure!(page.status == 200, "{}: {page:?}", String::from_utf8_lossy(request));
    }
    let attacks = traffic::attacks(HOST);
    for (attack, number) in attacks.iter().zip(1..) {
        let from = attacker(number);
        let page = world.ask(from, &attack.request, PATIENCE)?;
        ensure!(page.status == 403, "{}: {page:?}", String::from_utf8_lossy(&attack.request));
        ensure!(is_banned(&world, from)?, "{} was not banned", String::from_utf8_lossy(&attack.request));
    }
    let decisions = daemon.decisions()?;
    ensure!(decisions.len() == attacks.len(), "{} decisions for {} attacks", decisions.len(), attacks.len());
    let metrics = daemon.get("/api/v1/monitoring/prometheus/")?;
    let line = format!("skyshield_enforcement_lag_seconds_count {}", attacks.len());
    ensure!(metrics.contains(&line), "no `{line}` in\n{metrics}");
    daemon.stop().map(|_took| ())
}

pub(crate) fn by_a_trusted_proxy() -> anyhow::Result<()> {
    let world = World::new("")?;
    let proxy = honest_client(1);
    world.configure(&format!("trusted_proxies = [\"{proxy}\"]"), "")?;
    let daemon = world.start_daemon()?;
    let by_proxy = |target: &str, client: &str| {
        let mut request = get(HOST, target);
        request.truncate(request.len() - 2);
        request.extend_from_slice(format!("X-Forwarded-For: {client}\r\n\r\n").as_bytes());
        request
    };
    let attack = "/products?id=1%20UNION%20SELECT%20username,password%20FROM%20users--";
    ensure!(world.ask(proxy, &by_proxy(attack, "203.0.113.7"), PATIENCE)?.status == 403);
    ensure!(
        world.ask(proxy, &by_proxy("/", "203.0.113.7"), PATIENCE)?.status == 403,
        "it is banned at the door"
    );
    ensure!(
        world.ask(proxy, &by_proxy("/", "203.0.113.8"), PATIENCE)?.status == 200,
        "another client of the proxy's"
    );
    ensure!(world.kernel()?.bans.is_empty(), "the kernel never sees that address");
    let [decision] = &daemon.decisions()?[..] else { anyhow::bail!("not one decision") };
    ensure!(decision["source"] == "203.0.113.7" && decision["layer"] == "request", "{decision}");
    // Until it is seen that most clients come by themselves, a private address that speaks for others is in doubt.
    for number in 2..24 {
        ensure!(world.ask(honest_client(number), &get(HOST, "/"), PATIENCE)?.status == 200);
    }
    std::thread::sleep(Duration::from_millis(500));
    // Whoever is not trusted speaks for nobody but himself.
    let stranger = attacker(2);
    ensure!(world.ask(stranger, &by_proxy(attack, "203.0.113.9"), PATIENCE)?.status == 403);
    ensure!(is_banned(&world, stranger)?, "the stranger is whom the packets came from");
    ensure!(daemon.decisions()?.iter().all(|decision| decision["source"] != "203.0.113.9"));
    daemon.stop().map(|_took| ())
}

pub(crate) fn is_banned(world: &World, address: IpAddr) -> anyhow::Result<bool> {
    Ok(world.kernel()?.bans.iter().any(|(source, _)| source.is_host() && source.address() == address))
}

pub(crate) fn dropped(world: &World) -> anyhow::Result<u64> {
    let counters = world.kernel()?.counters;
    let banned = [Reason::BannedExact, Reason::BannedPrefix];
    Ok(counters
        .iter()
        .filter(|(reason, _)| banned.contains(reason))
        .map(|(_, counter)| counter.packets)
        .sum())
}
