//! Starts that must fail: each says why, and changes nothing.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use anyhow::ensure;
use skyshield::dataplane::{Kernel, Pinned};
use tests::bpffs::Bpffs;
use tests::daemon;
use tests::world::{HOST_V4, INTERFACE, World};

/// Nobody in particular.
const NOBODY: u32 = 65_534;

/// Starts the daemon, which must end by itself; what it said.
fn failed_start(world: &World, change: impl FnOnce(&mut Command)) -> anyhow::Result<String> {
    let mut command = world.host.command(&daemon::program()?.display().to_string());
    change(command.args(["run", "--config"]).arg(world.config()).stdin(Stdio::null()));
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "it started: {told}");
    ensure!(world.kernel().is_err(), "something was left in the kernel after: {told}");
    Ok(told)
}

pub(crate) fn attaches_nothing() -> anyhow::Result<()> {
    let world = World::new("")?;
    let told = |told: String, parts: &[&str]| {
        ensure!(parts.iter().all(|part| told.contains(part)), "expected {parts:?} in: {told}");
        Ok(())
    };

    world.configure("", "[risk]\nrefuze = 0.8\n")?;
    told(
        failed_start(&world, |_| {})?,
        &["skyshield.toml:", "unknown key `refuze`", "did you mean `refuse`"],
    )?;

    world.configure("", "")?;
    let original = std::fs::read_to_string(world.config())?;
    std::fs::write(world.config(), original.replace(INTERFACE, "eth7"))?;
    told(failed_start(&world, |_| {})?, &["`eth7` does not exist", INTERFACE])?;

    std::fs::write(world.config(), original.replace("pin_dir = \"", "pin_dir = \"/tmp"))?;
    told(failed_start(&world, |_| {})?, &["not on a BPF file system"])?;

    std::fs::write(world.config(), &original)?;
    let taken = world.host.run(|| Ok(TcpListener::bind((HOST_V4, 80))?))?;
    told(failed_start(&world, |_| {})?, &["10.66.0.1:80", "in use"])?;
    drop(taken);

    // Unprivileged, on a port and in a folder that it may have.
    let shared = tempfile::tempdir()?;
    std::os::unix::fs::chown(shared.path(), Some(NOBODY), None)?;
    let unprivileged = original
        .replace(":80\"", ":8080\"")
        .replace(&world.dir().display().to_string(), &shared.path().display().to_string());
    let config = shared.path().join("skyshield.toml");
    std::fs::write(&config, unprivileged)?;
    std::os::unix::fs::chown(&config, Some(NOBODY), None)?;
    let mut command = world.host.command("setpriv");
    command.args(["--reuid", &NOBODY.to_string(), "--clear-groups"]);
    command.arg(daemon::program()?).args(["run", "--config"]).arg(&config).stdin(Stdio::null());
    let output = command.output()?;
    ensure!(!output.status.success());
    told(String::from_utf8_lossy(&output.stderr).into_owned(), &["CAP_BPF", "CAP_NET_ADMIN"])?;
    Ok(())
}

pub(crate) fn another_owner() -> anyhow::Result<()> {
    let world = World::new("")?;
    // Ours too, but of another folder of pins: as foreign as anybody's.
    let elsewhere = Bpffs::new()?;
    let pin_dir = elsewhere.pin_dir();
    let config = skyshield::dataplane::Config {
        interface: Some(INTERFACE.to_owned()),
        pin_dir: pin_dir.clone(),
        ..Default::default()
    };
    let other = world.host.run(|| Ok(Kernel::open(&config)?))?;
    let told = failed_start(&world, |_| {})?;
    ensure!(told.contains("already guarded by the XDP program `skyshield`"), "{told}");
    drop(other);
    let other = Pinned::open(&pin_dir)?.ok_or_else(|| anyhow::anyhow!("its pins are gone"))?;
    let attached = world.host.run(|| Ok(other.remains()?.attached))?;
    ensure!(attached.len() == 1, "the other owner was not left alone");
    Ok(())
}
