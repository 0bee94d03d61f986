//! What a test needs of the machine, and the trial that is reported as ignored where it is missing.

use std::process::{Command, Stdio};

use libtest_mimic::{Completion, Failed, Trial};

use crate::bpffs::Bpffs;
use crate::netns::Netns;

/// What a test may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    Nothing,
    /// Root, BPF, network namespaces, and the `ip` and `nsenter` commands.
    Kernel,
}

impl Requirement {
    /// Why this machine does not meet the requirement; `None` if it does.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Kernel => kernel_missing(),
        }
    }
}

fn kernel_missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    for program in ["ip", "nsenter"] {
        let probe = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_err() {
            return Some(format!("needs the command `{program}`"));
        }
    }
    if let Err(error) = Netns::new("probe") {
        return Some(format!("needs network namespaces: {error:#}"));
    }
    Bpffs::new().err().map(|error| format!("needs the BPF file system: {error:#}"))
}

/// A test of this name; ignored, with the reason, where `requirement` says one.
pub fn trial(
    name: &str,
    missing: Option<String>,
    test: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match missing {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => match test() {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => Err(Failed::from(format!("{error:#}"))),
        },
    })
}
