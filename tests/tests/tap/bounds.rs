//! What the tap costs at its worst: nothing that the server's clients would feel, and no memory without end.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::http::{connect_from, get, post};
use tests::world::{HOST, honest_client};

use crate::place::{PATIENCE, Place};

fn fate(place: &Place, kind: &str, name: &str) -> anyhow::Result<f64> {
    place.metric(&format!("skyshield_tap_{kind}_total{{fate=\"{name}\"}}"))
}

const FATES: [&str; 7] = ["copied", "lost", "sampled_out", "unwanted", "over_flow", "no_socket", "unproven"];

pub(crate) fn stopped() -> anyhow::Result<()> {
    let place = Place::open("ring_bytes = 65536\n")?;
    let before: f64 = FATES.iter().map(|name| fate(&place, "bytes", name)).sum::<anyhow::Result<f64>>()?;
    let pid = Pid::from_raw(place.daemon.pid().cast_signed());
    kill(pid, Signal::SIGSTOP)?;
    // Three times what the ring holds, in requests that are all answered.
    let request = post(HOST, "/up", "application/x-www-form-urlencoded", &"a".repeat(900));
    let sent = 200;
    let answered = (0..sent).filter(|n| {
        let page = place.ask(honest_client(n % 50 * 4 + 1), &request);
        page.is_ok_and(|page| page.status == 200)
    });
    let answered = answered.count();
    kill(pid, Signal::SIGCONT)?;
    ensure!(answered == usize::from(sent), "{answered} of {sent} were answered with the reader stopped");
    let expected = f64::from(sent) * f64::from(u32::try_from(request.len())?);
    Place::until("all is accounted for", || {
        let now: f64 = FATES.iter().map(|name| fate(&place, "bytes", name)).sum::<anyhow::Result<f64>>()?;
        Ok((now - before - expected).abs() < 0.5)
    })?;
    let (copied, lost, sampled) = (
        fate(&place, "bytes", "copied")?,
        fate(&place, "bytes", "lost")?,
        fate(&place, "bytes", "sampled_out")?,
    );
    ensure!(lost + sampled > 0.0 && copied < 65_536.0, "{copied} copied, {lost} lost, {sampled} sampled out");
    crate::report(&format!(
        "{sent} of {sent} answered; of {expected} bytes {copied} copied, {lost} lost, {sampled} sampled out"
    ));
    // And it goes on.
    let whole = "skyshield_tap_requests_total{heard=\"whole\"}";
    let heard = place.metric(whole)?;
    ensure!(place.ask(honest_client(1), &get(HOST, "/"))?.status == 200);
    Place::until("it listens again", || Ok(place.metric(whole)? > heard))?;
    place.daemon.stop().map(|_| ())
}

fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

pub(crate) fn without_end() -> anyhow::Result<()> {
    let place = Place::open("flows = 2048\nheld_bytes = 4194304\n")?;
    let before = resident_kib(place.daemon.pid())?;
    // Heads that never end, on many connections: the server's own are all taken.
    let half = [&b"GET /"[..], &[b'a'; 6_000]].concat();
    let streams = place.world.clients.run(|| {
        let mut streams = Vec::new();
        for n in 0..900_u16 {
            let [high, low] = n.to_be_bytes();
            let from = IpAddr::V4(Ipv4Addr::new(10, 66, 40 + high, low));
            let mut stream = connect_from(from, Place::server(from), PATIENCE)?;
            stream.write_all(&half)?;
            streams.push(stream);
        }
        Ok(streams)
    })?;
    Place::until("they are followed", || Ok(place.metric("skyshield_tap_flows")? > 0.0))?;
    std::thread::sleep(Duration::from_millis(1_500));
    let held = place.metric("skyshield_tap_held_bytes")?;
    let evicted = place.metric("skyshield_tap_streams_total{turn=\"evicted\"}")?;
    let grown = resident_kib(place.daemon.pid())?.saturating_sub(before);
    ensure!(held <= 4_194_304.0, "{held} bytes are held");
    ensure!(evicted > 0.0, "nothing had to go");
    ensure!(grown < 64 << 10, "grown by {grown} KiB");
    crate::report(&format!("{held} bytes held, {evicted} let go, grown by {grown} KiB"));
    drop(streams);
    place.daemon.stop().map(|_| ())
}
