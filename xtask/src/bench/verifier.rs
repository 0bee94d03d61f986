//! `cargo xtask bench verifier`: what the verifiers of this kernel and of others make of the object.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::initramfs::Archive;
use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Kernel images to start under QEMU, such as `boot/vmlinuz-…` out of a distribution's package;
    /// without one it is only the running kernel that is asked
    kernels: Vec<PathBuf>,
}

/// Without the processor's help a kernel takes a minute to start.
const PATIENCE_SECS: &str = "300";

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    setup::for_building(workspace)?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--package", "tests", "--bin", "bench-kernel"]);
    process::run(&mut cargo)?;
    let loader = workspace.built(false, "bench-kernel");
    if arguments.kernels.is_empty() {
        let why = "the object is loaded into the kernel, and let go of";
        match process::become_root(&loader, &[], &["--verify".to_owned()], why)? {}
    }
    let image = workspace.target.join("verifier.cpio");
    fs::write(&image, machine(&loader)?)?;
    let mut refused = 0;
    for kernel in &arguments.kernels {
        let told = start(kernel, &image).with_context(|| kernel.display().to_string())?;
        println!("{told}");
        refused += usize::from(told.contains("refused"));
    }
    ensure!(refused == 0, "{refused} of {} kernels refuse the object", arguments.kernels.len());
    Ok(ExitCode::SUCCESS)
}

/// A machine's first files: the loader as the first program, and the libraries it is linked to.
fn machine(loader: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["proc", "sys", "lib", "lib64"] {
        archive.folder(folder);
    }
    let libraries = process::quiet(Command::new("ldd").arg(loader))?;
    for path in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let bytes = fs::read(path).with_context(|| path.to_owned())?;
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        // Where its name says that the dynamic linker is; there the libraries are looked for too.
        archive.file(&format!("lib64/{name}"), &bytes);
    }
    let stripped = loader.with_extension("stripped");
    process::run(Command::new("strip").arg("-o").arg(&stripped).arg(loader))?;
    archive.file("init", &fs::read(&stripped)?);
    Ok(archive.end())
}

/// Starts a kernel with these files and waits for its end: what the loader said.
fn start(kernel: &Path, image: &Path) -> Result<String> {
    let output = Command::new("timeout")
        .args([PATIENCE_SECS, "qemu-system-x86_64", "-m", "1024", "-cpu", "max", "-smp", "1"])
        .args(["-nographic", "-no-reboot", "-nic", "none", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        // The loader's end is the first program's, at which a kernel panics; and then it goes.
        .args(["-append", "console=ttyS0 quiet panic=-1 LD_LIBRARY_PATH=/lib64 -- --verify"])
        .stdin(Stdio::null())
        .output()
        .context("qemu-system-x86_64 does not start; Debian has it in qemu-system-x86")?;
    let console = String::from_utf8_lossy(&output.stdout);
    let Some(from) = console.find("verifier: ") else {
        let last: Vec<_> = console.lines().rev().take(20).collect();
        bail!("the loader said nothing; the console's last lines, backwards:\n{}", last.join("\n"));
    };
    let told = console.get(from..).unwrap_or_default();
    Ok(told.lines().take_while(|line| !line.contains("Kernel panic")).collect::<Vec<_>>().join("\n"))
}
