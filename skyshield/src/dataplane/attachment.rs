//! The program on its interface: attached, adopted, replaced, and put back when the interface was gone.

use std::io;
use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::programs::links::LinkType;
use aya::programs::{Program, ProgramFd, TestRun as _, TestRunOptions, loaded_links, loaded_programs};
use nix::libc;
use skyshield_common::{Verdict, maps as names};
use tracing::warn;

use super::bpffs::{PinDir, file};
use super::config::Mode;
use super::error::OpenError;
use super::interface::{self, Interface, XdpMode};
use super::link::Link;
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

/// What [`Attachment::check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Still attached.
    None,
    /// The interface was gone, is back, and is guarded again.
    Reattached(Attached),
    /// The interface is gone; nothing is guarded.
    Gone,
}

/// Keeps the program attached, and `pin_dir` to this process. Dropped, it leaves the program where
/// it is.
#[derive(Debug)]
pub struct Attachment {
    program: ProgramFd,
    /// The object the program is of; its maps live as long.
    object: Ebpf,
    pin_dir: PinDir,
    interface: String,
    mode: Mode,
    link: Link,
}

impl Attachment {
    /// Takes charge of a program that [`attach`] has attached.
    pub(super) fn new(
        (object, program): (Ebpf, ProgramFd),
        pin_dir: PinDir,
        interface: String,
        mode: Mode,
        link: Link,
    ) -> Self {
        Self { program, object, pin_dir, interface, mode, link }
    }

    /// Where the program is attached now; `None` while the interface is gone.
    pub fn status(&self) -> Result<Option<Attached>, OpenError> {
        describe(&self.link)
    }

    /// What the loaded program does with `frame`, which counts as if it had come in by the interface.
    /// A frame has at least 14 bytes and at most a page's worth.
    pub fn judge(&self, frame: &[u8]) -> Result<Verdict, OpenError> {
        self.judge_often(frame, 1)
    }

    /// [`Self::judge`], `times` times in a row; the verdict on the last.
    pub fn judge_often(&self, frame: &[u8], times: u32) -> Result<Verdict, OpenError> {
        const XDP_PASS: u32 = 2;
        let failed = |source| OpenError::Load { log: None, source };
        let Some(Program::Xdp(program)) = self.object.program(names::PROGRAM) else {
            return Err(failed("the object has no program of ours".into()));
        };
        let options = TestRunOptions { data_in: Some(frame), repeat: times, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(|error| failed(error.into()))?;
        Ok(if result.return_value == XDP_PASS { Verdict::Pass } else { Verdict::Drop })
    }

    /// Sees to it that the program is attached, if there is an interface to attach it to. To be
    /// called when the interfaces have changed, and on a period.
    pub fn check(&mut self) -> Result<Change, OpenError> {
        let info = self.link.info().map_err(file(self.pin_dir.path()))?;
        if info.ifindex != 0 {
            return Ok(Change::None);
        }
        let Some(interface) = interface::by_name(&self.interface).map_err(OpenError::Netlink)? else {
            return Ok(Change::Gone);
        };
        self.link = attach(&self.program, &self.pin_dir, &interface, self.mode)?;
        Ok(describe(&self.link)?.map_or(Change::Gone, Change::Reattached))
    }
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
pub(super) fn attach(
    program: &ProgramFd,
    pin_dir: &PinDir,
    interface: &Interface,
    mode: Mode,
) -> Result<Link, OpenError> {
    let failed = file(pin_dir.path());
    let mut adopted = None;
    let mut elsewhere = Vec::new();
    for (link, info) in Link::pinned(pin_dir.path()).map_err(&failed)? {
        if info.ifindex == 0 {
            // Of an interface that is gone, whatever has its name now.
            link.detach().map_err(&failed)?;
        } else if info.ifindex == interface.ifindex
            && interface.xdp.is_some_and(|(_, program_id)| program_id == info.program_id)
        {
            adopted = Some(link);
        } else {
            elsewhere.push((link, info.ifindex));
        }
    }
    let link = match adopted {
        Some(link) if fits(interface.xdp, mode) => {
            link.update(program.as_fd()).map_err(refused(interface, mode_name(mode)))?;
            link
        }
        Some(link) => {
            warn!(interface = interface.name, "the configured mode is another: unguarded for a moment");
            link.detach().map_err(&failed)?;
            // What was seen on it was ours.
            create(program, pin_dir, &Interface { xdp: None, ..interface.clone() }, mode)?
        }
        None => create(program, pin_dir, interface, mode)?,
    };
    // Only now, so that a failure leaves the old interface guarded.
    for (other, ifindex) in elsewhere {
        warn!(ifindex, "no longer guarded: another interface is configured");
        other.detach().map_err(&failed)?;
    }
    Ok(link)
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
                " (the kernel or the driver does not take it: Linux 5.18 or later is needed, and LRO off)"
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
