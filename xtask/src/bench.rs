//! `cargo xtask bench`: how fast, beside what it replaces.

mod forward_auth;
mod gateway;
mod initramfs;
mod inspect;
mod kernel;
mod own;
mod verifier;

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The kernel's packet path, in namespaces of its own, beside nft and ipset
    Kernel(own::Arguments),
    /// The admin API under a million incidents and a thousand readers
    Admin(own::Arguments),
    /// From an attack's last byte to its ban in the kernel while the gateway serves, and from a word to a way through
    Ban(own::Arguments),
    /// Decisions by the million, over a real kernel and a real disk
    Control(own::Arguments),
    /// Places, lists by the million, and requests beside dead providers
    Knowledge(own::Arguments),
    /// What a scrape costs, business events at a rate and over a kill, requests beside dead receivers
    Monitor(own::Arguments),
    /// What the verifiers of this kernel, and of others under QEMU, make of the kernel object
    Verifier(verifier::Arguments),
    /// CPU time of inspection alone, beside libmodsecurity with Debian's CRS where it is installed
    Inspect(inspect::Arguments),
    /// The gateway beside Debian's nginx, with wrk, in interleaved rounds
    Gateway(gateway::Arguments),
    /// Debian's nginx that asks the daemon before it serves, beside nginx alone, in interleaved rounds
    ForwardAuth(forward_auth::Arguments),
    /// What the tap hears of nginx under wrk's load, and what that costs, in namespaces of its own
    Tap(own::Arguments),
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Kernel(arguments) => kernel::obey(workspace, arguments),
        What::Admin(arguments) => own::ADMIN.obey(workspace, arguments),
        What::Ban(arguments) => own::BAN.obey(workspace, arguments),
        What::Control(arguments) => own::CONTROL.obey(workspace, arguments),
        What::Knowledge(arguments) => own::KNOWLEDGE.obey(workspace, arguments),
        What::Monitor(arguments) => own::MONITOR.obey(workspace, arguments),
        What::Verifier(arguments) => verifier::obey(workspace, arguments),
        What::Inspect(arguments) => inspect::obey(workspace, arguments),
        What::Gateway(arguments) => gateway::obey(workspace, arguments),
        What::ForwardAuth(arguments) => forward_auth::obey(workspace, arguments),
        What::Tap(arguments) => own::TAP.obey(workspace, arguments),
    }
}
