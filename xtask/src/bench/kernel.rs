//! `cargo xtask bench kernel`: builds the bench of the packet path and becomes it.

use std::process::ExitCode;

use anyhow::Result;

use super::own::{Arguments, KERNEL};
use crate::process;
use crate::workspace::{BPF_TARGET, Workspace};

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    KERNEL.build(workspace)?;
    let linker = workspace.tools().join("bin").join("bpf-linker");
    let mut cargo = process::cargo(workspace);
    cargo
        .args(["build", "--locked", "--package", "skyshield-ebpf", "--bin", "bench-generator"])
        .args(["--profile", "ebpf", "--target", BPF_TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(workspace.target.join("ebpf"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(
            "RUSTFLAGS",
            format!("-Cdebuginfo=2 -Clink-arg=--btf -Clink-arg=--cpu-features=+allows-misaligned-mem-access -Ctarget-cpu=v3 -Clinker={}", linker.display()),
        );
    let library = workspace.tools().join("rust-src").join("library");
    if library.exists() {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    process::run(&mut cargo)?;
    let generator = workspace.target.join("ebpf").join(BPF_TARGET).join("ebpf").join("bench-generator");
    KERNEL.start(workspace, &[("SKYSHIELD_GENERATOR", generator.as_os_str())], arguments)
}
