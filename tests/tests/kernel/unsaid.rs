//! Writes that the kernel refuses: what was not taken must not come with what is said next.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::Path;

use anyhow::{Context as _, ensure};
use aya::maps::MapInfo;
use nix::libc;
use skyshield::dataplane::{Config, Error, Kernel, List, Rule, Settings, Shape};
use skyshield::engine::place::{PlaceAct, Places};
use skyshield::engine::source::Source;
use skyshield_common::maps::{SCHEMA, SETTINGS};
use skyshield_common::{Limit, Verdict};
use tests::packet;

use crate::bench::{Bench, entry, source};
use crate::places::policy;
use crate::table::address;

const BANNED: &str = "203.0.113.7";
const STRANGER: &str = "198.51.100.7";
const LISTED: &str = "198.18.0.1";
const PLACED: &str = "11.0.0.1";

pub(crate) fn forgotten() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config {
        rules: vec![rule("kept", 9)?],
        max_listed_prefixes: 16,
        max_place_prefixes: 16,
        ..bench.config()
    };
    let pin = config.pin_dir.join(format!("v{SCHEMA}")).join(SETTINGS);
    bench.with_kernel(&config, |kernel| all(kernel, &pin, config.settings()))
}

fn all(kernel: &mut Kernel, pin: &Path, settings: Settings) -> anyhow::Result<()> {
    kernel.enforcer.install(source(BANNED)?, entry(1, None))?;
    holds(kernel)?;
    let dry_run = Settings { dry_run: true, ..settings };
    refused(kernel, pin, "a dry run", |kernel: &mut Kernel| kernel.enforcer.set_settings(dry_run))?;
    let mut strict = settings;
    strict.limit(Limit::Packets).per_sec = 1;
    refused(kernel, pin, "a rate", |kernel: &mut Kernel| kernel.enforcer.set_settings(strict))?;
    let rules = [rule("refused", 53)?];
    refused(kernel, pin, "rules", |kernel: &mut Kernel| kernel.enforcer.set_rules(&rules))?;
    let shape = Some(Shape { packets_per_sec: 1, burst: 1 });
    refused(kernel, pin, "a rate of its own", |kernel: &mut Kernel| {
        kernel.enforcer.shape(address(STRANGER), shape)
    })?;
    let list = List::of(&["198.18.0.0/15".parse()?]);
    refused(kernel, pin, "a list", |kernel: &mut Kernel| kernel.enforcer.load_list(&list).map(|_| ()))?;
    let policies = vec![policy("refused", PlaceAct::Ban)];
    let places = Places { policies, prefixes: vec![("11.0.0.0/8".parse()?, 0)] };
    refused(kernel, pin, "places", |kernel: &mut Kernel| kernel.enforcer.set_places(&places))?;

    // What stays on a list because that was refused is taken off when it is asked for again.
    kernel.enforcer.load_list(&list)?;
    let emptied = unreachable(pin, || kernel.enforcer.load_list(&List::default()))?;
    ensure!(matches!(emptied, Err(Error::Map { .. })), "an empty list: {emptied:?}");
    let listed = kernel.attachment.judge(&packet::udp(address(LISTED)))?;
    ensure!(listed == Verdict::Drop, "{LISTED} was let go by what was refused");
    kernel.enforcer.load_list(&List::default())?;
    holds(kernel).context("an empty list, asked for again")
}

fn rule(name: &str, port: u16) -> anyhow::Result<Rule> {
    let text = format!("name = \"{name}\"\nprotocol = \"udp\"\nport = {port}\naction = \"drop\"");
    Ok(toml::from_str(&text)?)
}

/// Has the kernel refuse to be told, and tells it something else after.
fn refused(
    kernel: &mut Kernel,
    pin: &Path,
    what: &str,
    work: impl FnOnce(&mut Kernel) -> Result<(), Error>,
) -> anyhow::Result<()> {
    let outcome = unreachable(pin, || work(kernel))?;
    ensure!(matches!(outcome, Err(Error::Map { .. })), "{what}: not refused by the kernel: {outcome:?}");
    let allowed = u8::try_from(kernel.enforcer.allowed().len())?;
    let more = (0..=allowed).map(|n| Source::host(Ipv4Addr::new(192, 0, 2, n).into()));
    kernel.enforcer.set_allowed(&more.collect::<Vec<_>>())?;
    holds(kernel).with_context(|| format!("{what}: it was refused, and is in force"))
}

/// Whether all is as it was before anything was refused.
fn holds(kernel: &Kernel) -> anyhow::Result<()> {
    let judged = |text: &str, frames| kernel.attachment.judge_often(&packet::udp(address(text)), frames);
    ensure!(judged(BANNED, 1)? == Verdict::Drop, "a ban does not hold");
    for text in [STRANGER, LISTED, PLACED] {
        ensure!(judged(text, 10)? == Verdict::Pass, "{text} is dropped");
    }
    let hits = kernel.enforcer.reader()?.hits()?;
    let names: Vec<_> = hits.iter().map(|hit| hit.name.as_str()).collect();
    ensure!(names == ["kept"], "{names:?}");
    Ok(())
}

/// Does `work` while no descriptor of this process leads to the map that is pinned there.
fn unreachable<T>(pin: &Path, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let nowhere = fs::File::open("/dev/null")?;
    let map_id = format!("map_id:\t{}", MapInfo::from_pin(pin)?.id());
    let mut led_there = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        // The folder's own descriptor is among them, and gone.
        let is_it =
            fs::read_to_string(entry.path()).is_ok_and(|told| told.lines().any(|line| line == map_id));
        if is_it {
            led_there.push(entry.file_name().to_string_lossy().parse::<RawFd>()?);
        }
    }
    ensure!(!led_there.is_empty(), "nobody has the map open");
    let map = aya::maps::MapData::from_pin(pin)?;
    led_there.iter().try_for_each(|place| take_place(*place, nowhere.as_raw_fd()))?;
    let done = work();
    led_there.iter().try_for_each(|place| take_place(*place, map.fd().as_fd().as_raw_fd()))?;
    Ok(done)
}

/// Has the number of a descriptor mean another.
fn take_place(place: RawFd, other: RawFd) -> anyhow::Result<()> {
    // SAFETY: both are open; whoever owns the first goes on to own it, whatever it means.
    #[expect(unsafe_code, reason = "a system call")]
    let answer = unsafe { libc::dup3(other, place, libc::O_CLOEXEC) };
    ensure!(answer == place, "{}", std::io::Error::last_os_error());
    Ok(())
}
