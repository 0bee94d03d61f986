//! What the kernel side refuses, in words that help; and what it puts up with.

use std::path::Path;

use anyhow::{Context as _, ensure};
use aya::EbpfLoader;
use aya::programs::Xdp;
use skyshield::dataplane::{Config, Kernel, Mode, OBJECT, OpenError, Pinned, XdpMode};
use skyshield_common::maps;

use crate::bench::{Bench, GUARDED};
use crate::loader::Loader;

fn refused(config: &Config) -> anyhow::Result<OpenError> {
    Kernel::open(config).err().context("not refused")
}

pub(crate) fn named() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.host.run(|| {
        let error = refused(&Config { interface: Some("nosuch0".to_owned()), ..bench.config() })?;
        ensure!(matches!(error, OpenError::UnknownInterface { .. }), "{error}");
        ensure!(error.to_string().contains(GUARDED), "the ones there are: {error}");
        let error = refused(&Config { interface: None, ..bench.config() })?;
        ensure!(error.to_string().contains(GUARDED), "{error}");
        let folder = tempfile::tempdir()?;
        let error = refused(&Config { pin_dir: folder.path().join("pins"), ..bench.config() })?;
        ensure!(matches!(error, OpenError::NotBpffs { .. }), "{error}");
        ensure!(!folder.path().join("pins").exists(), "something was made where nothing can be pinned");

        drop(Kernel::open(&bench.config())?);
        let error = refused(&Config { max_bans: 2048, ..bench.config() })?;
        ensure!(
            matches!(error, OpenError::Capacity { setting: "max_bans", pinned: 1024, wanted: 2048, .. }),
            "{error}"
        );
        let error = refused(&Config { max_prefixes: 10, ..bench.config() })?;
        ensure!(matches!(error, OpenError::Capacity { pinned: 1024, wanted: 10, .. }), "{error}");
        // A rate table is no policy: it is made anew.
        drop(Kernel::open(&Config { max_sources: 2048, ..bench.config() })?);
        Ok(())
    })
}

pub(crate) fn other_owner() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let other = Config { pin_dir: bench.bpffs.path().join("other"), ..bench.config() };
    bench.with_kernel(&other, |kernel| {
        let theirs = kernel.attachment.status()?.context("not attached")?;
        let error = refused(&bench.config())?;
        let text = error.to_string();
        ensure!(matches!(error, OpenError::OtherOwner { program_id, .. } if program_id == theirs.program_id));
        for part in [GUARDED, "`skyshield`", &format!("bpf_link {}", theirs.link_id)] {
            ensure!(text.contains(part), "{part} is not in: {text}");
        }
        ensure!(kernel.attachment.status()? == Some(theirs), "the other was not left alone");
        ensure!(!bench.config().pin_dir.exists(), "pins were left behind");

        let error = refused(&other)?;
        ensure!(matches!(error, OpenError::InUse { .. }), "{error}");
        Ok(())
    })
}

/// One attached by netlink, as `ip link set … xdp` does, which a careless attach replaces in silence.
pub(crate) fn netlink_owner() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let pin = bench.bpffs.path().join("theirs");
    let program_id = load_and_pin(&pin)?;
    for hook in ["xdpdrv", "xdpgeneric"] {
        let pinned = pin.to_string_lossy();
        ip_inside(&bench, &["link", "set", "dev", GUARDED, hook, "pinned", &pinned])?;
        bench.host.run(|| {
            let error = refused(&bench.config())?;
            let text = error.to_string();
            ensure!(matches!(error, OpenError::OtherOwner { program_id: id, .. } if id == program_id));
            ensure!(text.contains("by netlink") && text.contains("xdp off"), "{text}");
            Ok(())
        })?;
        ip_inside(&bench, &["link", "set", "dev", GUARDED, hook, "off"])?;
    }
    bench.with_kernel(&bench.config(), |_| Ok(()))
}

fn load_and_pin(pin: &Path) -> anyhow::Result<u32> {
    let mut object = EbpfLoader::new().load(OBJECT)?;
    let program: &mut Xdp = object.program_mut(maps::PROGRAM).context("no program")?.try_into()?;
    program.load()?;
    program.pin(pin)?;
    Ok(program.info()?.id())
}

/// `ip -n` would look for the pin on a `/sys` of its own.
fn ip_inside(bench: &Bench, arguments: &[&str]) -> anyhow::Result<()> {
    let output = bench.host.command("ip").args(arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A driver without XDP: `auto` runs behind it, `native` says so.
pub(crate) fn no_driver() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.host.ip(&["link", "add", "bridge0", "type", "bridge"])?;
    bench.host.ip(&["link", "set", "bridge0", "up"])?;
    let on_bridge = Config { interface: Some("bridge0".to_owned()), ..bench.config() };
    bench.host.run(|| {
        let error = refused(&Config { mode: Mode::Native, ..on_bridge.clone() })?;
        ensure!(error.to_string().contains("mode = \"generic\""), "{error}");
        Ok(())
    })?;
    bench.with_kernel(&on_bridge, |kernel| {
        let at = kernel.attachment.status()?.context("not attached")?;
        ensure!(at.mode == XdpMode::Generic && at.interface == "bridge0", "{at:?}");
        Ok(())
    })?;
    // Another interface in the configuration: the old one is let go.
    bench.with_kernel(&Config { mode: Mode::Generic, ..bench.config() }, |kernel| {
        let at = kernel.attachment.status()?.context("not attached")?;
        ensure!(at.mode == XdpMode::Generic && at.interface == GUARDED, "{at:?}");
        ensure!(refused(&Config { pin_dir: bench.bpffs.path().join("other"), ..bench.config() }).is_ok());
        Kernel::open(&Config { pin_dir: bench.bpffs.path().join("free"), ..on_bridge.clone() })?;
        Ok(())
    })?;
    // And another mode for the same one.
    bench.with_kernel(&Config { mode: Mode::Native, ..bench.config() }, |kernel| {
        ensure!(kernel.attachment.status()?.is_some_and(|at| at.mode == XdpMode::Native));
        Ok(())
    })
}

pub(crate) fn capabilities() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    for (dropped, named, unnamed) in [
        ("-bpf,-perfmon,-sys_admin", "CAP_BPF, CAP_PERFMON", "CAP_NET_ADMIN"),
        ("-net_admin", "CAP_NET_ADMIN", "CAP_BPF"),
    ] {
        let wrapper = ["setpriv", "--bounding-set", dropped];
        let Err(error) = Loader::start_under(&bench, &wrapper, &bench.config(), &[]) else {
            anyhow::bail!("started without {named}")
        };
        let told = error.to_string();
        ensure!(told.contains("missing capabilities") && told.contains(named), "{told}");
        ensure!(!told.contains(unnamed), "{told}");
    }
    ensure!(!bench.config().pin_dir.exists(), "something was made before the capabilities were known");

    // With exactly those named it starts.
    let only = ["setpriv", "--bounding-set", "-all,+bpf,+perfmon,+net_admin"];
    Loader::start_under(&bench, &only, &bench.config(), &[])?.kill()
}

/// Nothing is mounted where the pins belong, in a mount namespace that dies with its program, as
/// `ip netns exec` makes one: the pins are where they stay.
pub(crate) fn mounts() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let was_mounted = is_bpffs("/sys/fs/bpf");
    let script = "umount /sys/fs/bpf 2>/dev/null; exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"];
    let config = Config { pin_dir: "/sys/fs/bpf/skyshield-test".into(), ..bench.config() };
    let outcome = outlives(&bench, &wrapper, &config);
    if let Some(pinned) = Pinned::open(&config.pin_dir)? {
        bench.host.run(|| Ok(pinned.detach()?))?;
    }
    if !was_mounted {
        // It is not among our mounts where we have been given some of our own.
        let _elsewhere = nix::mount::umount("/sys/fs/bpf");
    }
    outcome
}

fn outlives(bench: &Bench, wrapper: &[&str], config: &Config) -> anyhow::Result<()> {
    let bans = [("203.0.113.7".parse()?, None)];
    Loader::start_under(bench, wrapper, config, &bans)?.kill()?;
    let pinned = Pinned::open(&config.pin_dir)?.context("the pins died with the program's mounts")?;
    let remains = bench.host.run(|| Ok(pinned.remains()?))?;
    ensure!(remains.attached.len() == 1 && remains.bans.len() == 1, "{remains:?}");
    // The next one, run the same way, takes them up.
    Loader::start_under(bench, wrapper, config, &[])?.kill()?;
    let again = bench.host.run(|| Ok(pinned.remains()?))?;
    ensure!(again.attached[0].link_id == remains.attached[0].link_id && again.bans.len() == 1, "{again:?}");
    Ok(())
}

fn is_bpffs(path: &str) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|stat| stat.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}
