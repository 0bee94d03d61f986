//! The same attacks at the gateway and to the server behind its back.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::http::connect_from;
use tests::traffic;
use tests::world::{HOST, attacker, honest_client};

use crate::place::{PATIENCE, Place};

fn is_banned(place: &Place, address: IpAddr) -> anyhow::Result<bool> {
    let bans = place.world.kernel()?.bans;
    Ok(bans.iter().any(|(source, _)| source.is_host() && source.address() == address))
}

pub(crate) fn as_at_the_gateway() -> anyhow::Result<()> {
    let place = Place::open("")?;
    for (request, number) in traffic::honest(HOST).iter().zip(1..) {
        let page = place.ask(honest_client(number), request)?;
        ensure!(page.status == 200, "{page:?}");
    }
    let attacks = traffic::attacks(HOST);
    for (attack, number) in attacks.iter().zip(1_u16..) {
        let (direct, by_gateway) = (attacker(number * 8 + 1), attacker(number * 8 + 2));
        let what = String::from_utf8_lossy(&attack.request).into_owned();
        ensure!(place.world.ask(by_gateway, &attack.request, PATIENCE)?.status == 403, "{what}");
        ensure!(place.ask(direct, &attack.request)?.status == 200, "nobody refuses at the server: {what}");
        let (mut seen, mut refused) = (None, None);
        Place::until(&what, || {
            seen = place.incident_of(direct)?;
            refused = place.incident_of(by_gateway)?;
            Ok(seen.is_some() && refused.is_some())
        })?;
        let (seen, refused) = (seen.context("none")?, refused.context("none")?);
        ensure!(seen["door"] == "tap" && refused["door"] == "gateway", "{seen}");
        for same in ["score", "act"] {
            ensure!(seen[same] == refused[same], "{same} of {what}: {seen}\n{refused}");
        }
        let rules = |one: &serde_json::Value| {
            one["findings"]
                .as_array()
                .map(|all| all.iter().map(|finding| finding["rule"].to_string()).collect::<Vec<_>>())
        };
        ensure!(rules(&seen) == rules(&refused), "{what}: {seen}\n{refused}");
        Place::until("the ban", || is_banned(&place, direct))?;
    }
    // From the next packet on it is shut out, the server's door as well.
    let again = place
        .world
        .clients
        .run(|| Ok(connect_from(attacker(9), Place::server(attacker(9)), Duration::from_millis(300))))?;
    ensure!(again.is_err(), "a banned source could connect");
    let tap = place.metric("skyshield_tap_verdicts_total{verdict=\"banned\"}")?;
    crate::report(&format!("{} attacks, {tap} sources banned by the tap", attacks.len()));
    let flagged = place.metric("skyshield_tap_verdicts_total{verdict=\"flagged\"}")?;
    ensure!(flagged == 0.0, "honest requests were flagged");
    place.daemon.stop().map(|_| ())
}

pub(crate) fn tls() -> anyhow::Result<()> {
    let place = Place::open("")?;
    let from = honest_client(1);
    place.world.clients.run(|| {
        let mut stream = connect_from(from, Place::server(from), PATIENCE)?;
        std::io::Write::write_all(&mut stream, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")?;
        Ok(())
    })?;
    Place::until("it is heard", || Ok(place.metric("skyshield_tap_streams_total{turn=\"tls\"}")? > 0.5))?;
    Place::until("it is said in health", || {
        let health = place.daemon.json("/api/v1/monitoring/health/")?;
        Ok(health["components"]["tap"]["tls_ports"] == serde_json::json!([8080]))
    })?;
    ensure!(place.daemon.log().contains("TLS on a tapped port"), "{}", place.daemon.log());
    place.daemon.stop().map(|_| ())
}
