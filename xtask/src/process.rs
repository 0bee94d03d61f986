//! Starting other programs, and saying which one failed.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::workspace::Workspace;

/// Cargo, in the workspace's root.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root);
    // `cargo run` describes xtask in the environment. A build script that watches one of these
    // would be run again at each change between `cargo xtask` and plain cargo.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Runs to the end with our own stdin and stderr; its stdout goes to stderr, which is where
/// progress belongs.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(io::stderr()).status().with_context(|| told(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", told(command));
    }
    Ok(())
}

/// Runs to the end unseen, and gives its stdout; what it said is shown only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| told(command))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{}{}",
            told(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Becomes `program` with `variables` in its environment, through sudo when not root; returns only
/// when that failed. `why` says what root is needed for.
pub(crate) fn become_root(
    program: &Path,
    variables: &[(&str, &OsStr)],
    arguments: &[String],
    why: &str,
) -> Result<Infallible> {
    let root = is_root()?;
    if !root {
        if find("sudo").is_none() {
            bail!("{why}, and there is no sudo here: start this command as root");
        }
        eprintln!("sudo: {why}");
    }
    become_it(&mut as_root(program, variables, arguments, root))
}

/// Becomes what `command` starts; returns only when that failed.
pub(crate) fn become_it(command: &mut Command) -> Result<Infallible> {
    let error = command.exec();
    Err(anyhow!(error).context(format!("`{}` did not start", told(command))))
}

fn as_root(program: &Path, variables: &[(&str, &OsStr)], arguments: &[String], root: bool) -> Command {
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        // sudo clears the environment: `env` sets it anew on the other side.
        command.arg("env");
    }
    for (name, value) in variables {
        let mut pair = OsString::from(name);
        pair.push("=");
        pair.push(value);
        command.arg(pair);
    }
    command.arg(program).args(arguments);
    command
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").context("/proc/self")?.uid() == 0)
}

/// Where `program` lies on the PATH, or in the folders that a plain user's PATH leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The command as one would type it.
pub(crate) fn told(command: &Command) -> String {
    let program = Path::new(command.get_program());
    std::iter::once(program.file_name().unwrap_or(program.as_os_str()))
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_root_keeps_its_variables_through_sudo() {
        let tell = |root| {
            let variables = [("SKYSHIELD_BIN", OsStr::new("/t/skyshield"))];
            told(&as_root(Path::new("/t/demo"), &variables, &["--json".to_owned()], root))
        };
        assert_eq!(tell(false), "sudo env SKYSHIELD_BIN=/t/skyshield /t/demo --json");
        assert_eq!(tell(true), "env SKYSHIELD_BIN=/t/skyshield /t/demo --json");
    }

    #[test]
    fn a_failing_program_tells_what_it_said() {
        let error = quiet(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("exit status: 3") && told.contains("out") && told.contains("err"), "{told}");
    }
}
