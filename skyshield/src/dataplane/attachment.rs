//! The program on its interfaces: attached, adopted, replaced, and put back when an interface was gone.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::programs::links::LinkType;
use aya::programs::{Program, ProgramFd, TestRun as _, TestRunOptions, loaded_links, loaded_programs};
use nix::libc;
use skyshield_common::{Verdict, maps as names, rate};
use tracing::warn;

use super::bpffs::{PinDir, file, schema_dir};
use super::config::Mode;
use super::error::{Error, OpenError};
use super::interface::{self, Interface, XdpMode};
use super::link::Link;
use super::shared::Shared;
use super::sys::{DRIVER_MODE, SKB_MODE};

/// Where the program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Its number: what survives a change of name.
    pub ifindex: u32,
    /// Where in the receive path the program really runs.
    pub mode: XdpMode,
    /// The link's number in the kernel; stays when a program is replaced.
    pub link_id: u32,
    /// The program's number in the kernel.
    pub program_id: u32,
}

/// What [`Attachment::check`] found of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Still attached.
    None,
    /// The interface was gone, is back, and is guarded again.
    Reattached(Attached),
    /// The interface is gone; nothing is guarded there.
    Gone,
}

/// One interface, as [`Attachment::check`] found it.
#[derive(Debug)]
pub struct Checked {
    /// The interface's name in the configuration.
    pub interface: String,
    /// What has changed; or why it could not be guarded again.
    pub found: Result<Change, OpenError>,
}

/// Keeps the program attached to each interface, and `pin_dir` to this process. Dropped, it leaves
/// the programs where they are.
#[derive(Debug)]
pub struct Attachment {
    pin_dir: PinDir,
    mode: Mode,
    guarded: Vec<Guarded>,
}

/// An interface to be guarded, and what it is if it is there.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) found: Option<Interface>,
}

/// The program in the kernel, attached nowhere yet.
pub(super) struct Loaded {
    /// The object the program is of; its maps live as long.
    pub(super) object: Ebpf,
    pub(super) program: ProgramFd,
    /// The program's name in the object.
    pub(super) name: &'static str,
}

/// An interface and the program that guards it.
#[derive(Debug)]
pub(super) struct Guarded {
    interface: String,
    object: Ebpf,
    program: ProgramFd,
    program_name: &'static str,
    /// None before the interface has first been there.
    link: Option<Link>,
}

impl Attachment {
    /// Takes charge of what [`attach_all`] has attached.
    pub(super) fn new(guarded: Vec<Guarded>, pin_dir: PinDir, mode: Mode) -> Self {
        Self { pin_dir, mode, guarded }
    }

    /// Where the program is attached now on the first interface; `None` while that is gone.
    pub fn status(&self) -> Result<Option<Attached>, OpenError> {
        self.guarded.first().map_or(Ok(None), Guarded::status)
    }

    /// Where the program is attached now, by the interfaces' names in the configuration.
    pub fn all(&self) -> Result<Vec<(String, Option<Attached>)>, OpenError> {
        self.guarded.iter().map(|one| Ok((one.interface.clone(), one.status()?))).collect()
    }

    /// What the loaded program does with `frame`, which counts as if it had come in by the first
    /// interface. A frame has at least 14 bytes and at most a page's worth.
    pub fn judge(&self, frame: &[u8]) -> Result<Verdict, OpenError> {
        self.judge_often(frame, 1)
    }

    /// [`Self::judge`], `times` times in a row; the verdict on the last.
    pub fn judge_often(&self, frame: &[u8], times: u32) -> Result<Verdict, OpenError> {
        const XDP_PASS: u32 = 2;
        const XDP_TX: u32 = 3;
        let failed = |source| OpenError::Load { log: None, source };
        let program = self.guarded.first().and_then(|one| one.object.program(one.program_name));
        let Some(Program::Xdp(program)) = program else {
            return Err(failed("the object has no program of ours".into()));
        };
        let options = TestRunOptions { data_in: Some(frame), repeat: times, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(|error| failed(error.into()))?;
        Ok(match result.return_value {
            XDP_PASS => Verdict::Pass,
            XDP_TX => Verdict::Answer,
            _ => Verdict::Drop,
        })
    }

    /// The cells of rates, and what else there is in the buckets in front, for whoever wants to know what a frame has
    /// changed.
    pub fn cells(&self) -> Result<Vec<[u64; rate::CELLS]>, OpenError> {
        let failed = |error: Error| OpenError::Load { log: None, source: error.into() };
        let rates = Shared::open(&schema_dir(self.pin_dir.path()), names::RATES).map_err(failed)?;
        let (buckets, _) = rates.words().as_chunks();
        Ok(buckets.iter().map(|bucket| bucket.each_ref().map(|cell| cell.load(Ordering::Relaxed))).collect())
    }

    /// Sees to it that the program is attached wherever there is an interface to attach it to. To be
    /// called when the interfaces have changed, and on a period.
    pub fn check(&mut self) -> Vec<Checked> {
        let Self { pin_dir, mode, guarded } = self;
        guarded
            .iter_mut()
            .map(|one| Checked { interface: one.interface.clone(), found: one.check(pin_dir, *mode) })
            .collect()
    }
}

impl Guarded {
    pub(super) const fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    fn status(&self) -> Result<Option<Attached>, OpenError> {
        self.link.as_ref().map_or(Ok(None), describe)
    }

    fn check(&mut self, pin_dir: &PinDir, mode: Mode) -> Result<Change, OpenError> {
        if let Some(link) = &self.link
            && link.info().map_err(file(pin_dir.path()))?.ifindex != 0
        {
            return Ok(Change::None);
        }
        let Some(interface) = interface::by_name(&self.interface).map_err(OpenError::Netlink)? else {
            return Ok(Change::Gone);
        };
        let link = self.link.insert(attach(&self.program, pin_dir, &interface, mode)?);
        Ok(describe(link)?.map_or(Change::Gone, Change::Reattached))
    }
}

/// Attaches each program to its interface, where that is there. What an earlier daemon guarded
/// and is guarded no more is let go last, so that a failure leaves it as it was; `guarded` says how far it got then.
pub(super) fn attach_all(
    loaded: Vec<Loaded>,
    wanted: Vec<Wanted>,
    pin_dir: &PinDir,
    mode: Mode,
    guarded: &mut Vec<Guarded>,
) -> Result<(), OpenError> {
    let present: Vec<u32> = wanted.iter().filter_map(|one| Some(one.found.as_ref()?.ifindex)).collect();
    for (Loaded { object, program, name: program_name }, Wanted { name, found }) in
        loaded.into_iter().zip(wanted)
    {
        let link = found.map(|interface| attach(&program, pin_dir, &interface, mode)).transpose()?;
        guarded.push(Guarded { interface: name, object, program, program_name, link });
    }
    let failed = file(pin_dir.path());
    for (other, info) in Link::pinned(pin_dir.path()).map_err(&failed)? {
        if info.ifindex != 0 && !present.contains(&info.ifindex) {
            warn!(ifindex = info.ifindex, "no longer guarded: another interface is configured");
        }
        if !present.contains(&info.ifindex) {
            other.detach().map_err(&failed)?;
        }
    }
    Ok(())
}

/// Fails where an interface is another's, before anything is done to the others.
pub(super) fn refuse_other_owners(wanted: &[Wanted], pin_dir: &PinDir) -> Result<(), OpenError> {
    let ours: Vec<_> = Link::pinned(pin_dir.path()).map_err(file(pin_dir.path()))?;
    for interface in wanted.iter().filter_map(|one| one.found.as_ref()) {
        if let Some((_, program_id)) = interface.xdp
            && !ours
                .iter()
                .any(|(_, info)| (info.ifindex, info.program_id) == (interface.ifindex, program_id))
        {
            return Err(other_owner(interface, program_id));
        }
    }
    Ok(())
}

/// What the kernel says of a link and of its interface.
pub(super) fn describe(link: &Link) -> Result<Option<Attached>, OpenError> {
    let info = link.info().map_err(OpenError::Netlink)?;
    if info.ifindex == 0 {
        return Ok(None);
    }
    let interface = interface::by_index(info.ifindex).map_err(OpenError::Netlink)?;
    Ok(interface.and_then(|interface| {
        let (mode, program_id) = interface.xdp?;
        // The same number in another network namespace is another interface.
        (program_id == info.program_id).then_some(Attached {
            interface: interface.name,
            ifindex: info.ifindex,
            mode,
            link_id: info.id,
            program_id,
        })
    }))
}

/// Attaches to `interface`, or adopts the link that an earlier daemon has pinned.
fn attach(
    program: &ProgramFd,
    pin_dir: &PinDir,
    interface: &Interface,
    mode: Mode,
) -> Result<Link, OpenError> {
    let failed = file(pin_dir.path());
    let mut adopted = None;
    for (link, info) in Link::pinned(pin_dir.path()).map_err(&failed)? {
        if info.ifindex == 0 {
            // Of an interface that is gone, whatever has its name now.
            link.detach().map_err(&failed)?;
        } else if info.ifindex == interface.ifindex
            && interface.xdp.is_some_and(|(_, program_id)| program_id == info.program_id)
        {
            adopted = Some(link);
        } else if info.ifindex == interface.ifindex {
            // The same number in another network namespace; a link of ours there needs its name.
            warn!(ifindex = info.ifindex, "no longer guarded: it is in another network namespace");
            link.detach().map_err(&failed)?;
        }
    }
    match adopted {
        Some(link) if fits(interface.xdp, mode) => {
            link.update(program.as_fd()).map_err(refused(interface, mode_name(mode)))?;
            Ok(link)
        }
        Some(link) => {
            warn!(interface = interface.name, "the configured mode is another: unguarded for a moment");
            link.detach().map_err(&failed)?;
            // What was seen on it was ours.
            create(program, pin_dir, &Interface { xdp: None, ..interface.clone() }, mode)
        }
        None => create(program, pin_dir, interface, mode),
    }
}

fn fits(in_force: Option<(XdpMode, u32)>, wanted: Mode) -> bool {
    match wanted {
        Mode::Auto => true,
        Mode::Native => in_force.is_some_and(|(mode, _)| mode == XdpMode::Native),
        Mode::Generic => in_force.is_some_and(|(mode, _)| mode == XdpMode::Generic),
    }
}

fn create(
    program: &ProgramFd,
    pin_dir: &PinDir,
    interface: &Interface,
    mode: Mode,
) -> Result<Link, OpenError> {
    if let Some((_, program_id)) = interface.xdp {
        return Err(other_owner(interface, program_id));
    }
    let create = |flags| Link::create(program.as_fd(), interface.ifindex, flags, pin_dir.path());
    match mode {
        Mode::Generic => create(SKB_MODE).map_err(refused(interface, "generic")),
        Mode::Native => create(DRIVER_MODE).map_err(refused(interface, "native")),
        Mode::Auto => match create(DRIVER_MODE) {
            Err(error) if may_work_generic(&error) => {
                warn!(
                    interface = interface.name,
                    %error,
                    "the driver does not take the program: it runs behind the driver, at about a quarter \
                     of the speed (mode = \"native\" refuses to start instead)"
                );
                create(SKB_MODE).map_err(refused(interface, "generic"))
            }
            attempt => attempt.map_err(refused(interface, "native")),
        },
    }
}

fn may_work_generic(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error(),
        Some(libc::EBUSY | libc::EEXIST | libc::EPERM | libc::EACCES | libc::ENODEV | libc::ENOMEM)
    )
}

fn refused(interface: &Interface, mode: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| {
        let hint = match source.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => {
                // Somebody was faster than the look we took.
                if let Ok(Some(Interface { xdp: Some((_, program_id)), .. })) =
                    interface::by_index(interface.ifindex)
                {
                    return other_owner(interface, program_id);
                }
                ""
            }
            Some(libc::EOPNOTSUPP) => " (the driver does not know XDP: mode = \"generic\" works everywhere)",
            Some(libc::ERANGE) => " (the interface's MTU is too large for its driver)",
            Some(libc::EINVAL) => {
                " (the kernel or the driver does not take it: Linux 6.0 or later is needed, and LRO off)"
            }
            Some(_) | None => "",
        };
        OpenError::Attach { interface: interface.name.clone(), mode, hint, source }
    }
}

fn other_owner(interface: &Interface, program_id: u32) -> OpenError {
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == program_id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "without a name".to_owned());
    let link = loaded_links()
        .flatten()
        .filter(|link| matches!(link.link_type(), Ok(LinkType::Xdp)))
        .find(|link| link.program_id() == program_id);
    let how = match link {
        Some(link) => format!("by bpf_link {}", link.id()),
        None => format!("by netlink: `ip link set dev {} xdp off` removes it", interface.name),
    };
    OpenError::OtherOwner { interface: interface.name.clone(), program, program_id, how }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "the present",
        Mode::Native => "native",
        Mode::Generic => "generic",
    }
}
