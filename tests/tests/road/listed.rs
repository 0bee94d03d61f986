//! Lists of others and policies on places, down to the packets that the kernel drops.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::ensure;
use tests::http::get;
use tests::loopback::until;
use tests::mmdb::{Mmdb, Value};
use tests::world::{HOST, World};

const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough for an answer, and for a packet that never gets one.
const SHORT: Duration = Duration::from_millis(600);

pub(crate) fn and_placed() -> anyhow::Result<()> {
    let world = World::new("")?;
    // Nobody may list the private addresses that clients have elsewhere in these tests.
    for net in ["45.96.0.0/16", "46.96.0.0/16", "47.96.0.0/16"] {
        world.clients.ip(&["route", "add", "local", net, "dev", "lo"])?;
        world.host.ip(&["route", "add", net, "via", "10.66.255.254"])?;
    }
    let (list, places) = (world.dir().join("drop.netset"), world.dir().join("country.mmdb"));
    fs::write(&list, "# drop\n0.0.0.0/8\n10.0.0.0/8\n45.96.1.0/24\n45.96.2.7\n")?;
    let database = |code: &str| {
        Mmdb::new("GeoLite2-Country", 1_700_000_000).with("46.0.0.0/8", &Value::country(code)).bytes()
    };
    fs::write(&places, database("XK"))?;
    world.configure(
        "",
        &format!(
            "[[feeds.lists]]\nname = \"drop\"\nurl = \"file://{}\"\naction = \"ban\"\n\n\
             [geoip]\ncountry = \"{}\"\ncheck_secs = 1\n\n\
             [[geoip.policies]]\nname = \"away\"\ncountries = [\"XK\"]\naction = \"ban\"\n",
            list.display(),
            places.display(),
        ),
    )?;
    // The kernel's maps are made with the daemon, and have to have room.
    let text = fs::read_to_string(world.config())?;
    let room = "[dataplane]\nmax_listed = 10000\nmax_listed_prefixes = 10000\n";
    fs::write(world.config(), text.replace("[dataplane]\n", room))?;
    let daemon = world.start_daemon()?;
    let ask = |from: &str, patience| world.ask(from.parse::<IpAddr>()?, &get(HOST, "/"), patience);
    let is_dropped = |from: &str| Ok(ask(from, SHORT).is_err());
    until("the list is in the kernel", || is_dropped("45.96.1.9"))?;
    until("the policy is in the kernel", || is_dropped("46.96.0.1"))?;
    ensure!(is_dropped("45.96.2.7")?);
    for spared in ["45.96.2.8", "47.96.0.1", "10.96.1.7"] {
        ensure!(ask(spared, PATIENCE)?.status == 200, "{spared} is not listed");
    }
    // Who is let through is let through, whatever a list says.
    daemon.ask("POST", "/api/v1/allowlist", "{\"whom\":\"45.96.1.9\"}")?;
    ensure!(ask("45.96.1.9", PATIENCE)?.status == 200);
    ensure!(is_dropped("45.96.1.10")?);
    // Neither does a list, a policy or a ban of a prefix stop who is where all are let through.
    daemon.ask("POST", "/api/v1/decisions", "{\"source\":\"46.96.0.0/24\"}")?;
    ensure!(is_dropped("46.96.0.1")?);
    for (address, ban, unwanted_by) in [
        ("46.96.0.1", "46.96.0.0/24", "policy away"),
        ("46.96.9.1", "", "policy away"),
        ("45.96.2.7", "", "list drop"),
    ] {
        let explained = daemon.json(&format!("/api/v1/explain/{address}"))?;
        let subject = explained["ban"]["subject"].as_str().unwrap_or_default();
        ensure!(subject == ban && explained["unwanted_by"] == unwanted_by, "{explained}");
    }
    let allow = "{\"kind\":\"allow\",\"subject\":\"country:XK\"}";
    daemon.ask("POST", "/api/v1/decisions", allow)?;
    until("the place is let through", || Ok(ask("46.96.0.1", SHORT).is_ok_and(|page| page.status == 200)))?;
    ensure!(ask("46.96.1.1", PATIENCE)?.status == 200, "the policy bans whom a decision lets through");
    daemon.ask("POST", "/api/v1/decisions", "{\"source\":\"46.96.1.0/24\"}")?;
    until("the ban spares the place", || Ok(ask("46.96.1.1", SHORT).is_ok_and(|page| page.status == 200)))?;
    ensure!(is_dropped("45.96.1.10")?, "the list is as it was");
    let explained = daemon.json("/api/v1/explain/46.96.0.1")?;
    ensure!(explained["ban"].is_null() && explained["unwanted_by"].is_null(), "{explained}");
    daemon.ask("DELETE", "/api/v1/decisions?subject=country:XK", "")?;
    until("it is over", || Ok(is_dropped("46.96.0.1")? && is_dropped("46.96.1.1")?))?;
    for prefix in ["46.96.0.0/24", "46.96.1.0/24"] {
        daemon.ask("DELETE", &format!("/api/v1/decisions?source={prefix}"), "")?;
    }
    // A place that has moved is let in, and the list goes on to be dropped without the daemon.
    fs::write(&places, database("FR"))?;
    until("the policy means nobody", || Ok(ask("46.96.0.1", SHORT).is_ok_and(|page| page.status == 200)))?;
    daemon.kill()?;
    ensure!(is_dropped("45.96.1.10")? && is_dropped("45.96.2.7")?);
    Ok(())
}
