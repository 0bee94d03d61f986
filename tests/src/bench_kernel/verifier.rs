//! What the verifier of the kernel at hand makes of the object: it loads or it does not, and how many
//! instructions were walked.

use std::process::ExitCode;

use anyhow::Context as _;
use aya::programs::{ProgramError, Xdp};
use nix::mount::MsFlags;
use skyshield::dataplane::{Config, object};
use skyshield_common::maps;

use crate::bpffs::Bpffs;

const ASKED: &str = "--verify";

/// Loads the object and says what it took, if this process was started for that; as the first one of
/// a machine too, where nothing else is.
pub fn verify_if_asked(say: &dyn Fn(&str)) -> Option<ExitCode> {
    if std::env::args().nth(1)? != ASKED {
        return None;
    }
    if std::process::id() == 1 {
        for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys")] {
            // Without them it is the kernel's name that is missing, and what it says of its types.
            let _ = nix::mount::mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
        }
        let _ = std::fs::create_dir_all(std::env::temp_dir());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    // As large as a daemon's: the verifier goes by what it knows of the tables, and walks what asks the roster only where
    // there is one.
    let preset = Config::default();
    let configs =
        [("as preset", preset.clone()), ("a million listed", Config { max_listed: 1_000_000, ..preset })];
    let mut exit = ExitCode::SUCCESS;
    for (tables, config) in configs {
        match verified(&config) {
            Ok(told) => say(&format!("verifier: {release}, {tables}: {told}")),
            Err(error) => {
                say(&format!("verifier: {release}, {tables}: refused: {error:#}"));
                exit = ExitCode::FAILURE;
            }
        }
    }
    Some(exit)
}

fn verified(config: &Config) -> anyhow::Result<String> {
    let bpffs = Bpffs::new()?;
    let dir = bpffs.pin_dir();
    std::fs::create_dir(&dir)?;
    let mut object = object(&dir, config)?;
    let mut told = Vec::new();
    let programs = [
        maps::PROGRAM,
        maps::COOKIES_PROGRAM,
        maps::TAP_PROGRAM,
        maps::TAP_COOKIES_PROGRAM,
        maps::ANCHOR_PROGRAM,
    ];
    for name in programs {
        let program = object.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        if let Err(error) = program.load() {
            return Err(last_words(error).context(name));
        }
        let info = program.info()?;
        let walked = info.verified_instruction_count().context("this kernel does not say")?;
        let size = info.size_translated().unwrap_or_default() / 8;
        told.push(format!("{name} {walked} instructions walked of {size}"));
    }
    Ok(told.join("; "))
}

/// The end of the verifier's log, where it says what it stumbled over.
fn last_words(error: ProgramError) -> anyhow::Error {
    const LINES: usize = 30;
    let ProgramError::LoadError { io_error, verifier_log } = error else { return error.into() };
    let log = verifier_log.to_string();
    let lines: Vec<_> = log.lines().collect();
    anyhow::anyhow!("{io_error}\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
}
