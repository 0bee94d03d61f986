//! Builds the kernel object from `skyshield-ebpf`, and the tables of the built-in rules' patterns, into
//! `OUT_DIR`, so that the daemon carries them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[path = "build/patterns.rs"]
mod patterns;
#[path = "src/inspect/pattern/tables.rs"]
mod tables;

const TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "skyshield-xdp";

fn main() -> ExitCode {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for room in ["skyshield-ebpf", "skyshield-common", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(room).display());
    }
    match build(&workspace).and_then(|()| build_patterns()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            // Each line of a build script's error must carry the marker to be shown.
            for line in what.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build_patterns() -> Result<(), String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rooms = own.join("src/inspect/rules");
    for read in [rooms.clone(), own.join("src/inspect/pattern/tables.rs"), own.join("build")] {
        println!("cargo::rerun-if-changed={}", read.display());
    }
    let is_big_endian = variable("CARGO_CFG_TARGET_ENDIAN")? == "big";
    patterns::build(&rooms, Path::new(&variable("OUT_DIR")?), is_big_endian)
}

fn build(workspace: &Path) -> Result<(), String> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target_dir = shared_target_dir(&out_dir)?;
    let tools = target_dir.join("tools");
    let linker = tools.join("bin").join("bpf-linker");
    println!("cargo::rerun-if-changed={}", linker.display());
    if !linker.exists() {
        return Err(format!(
            "{} is missing: the kernel object cannot be linked.\nRun `cargo xtask setup`, which builds it there.",
            linker.display()
        ));
    }

    let ebpf_dir = target_dir.join("ebpf");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace.join("skyshield-ebpf"))
        .args(["build", "--locked", "--profile", "ebpf", "--bin", OBJECT])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(&ebpf_dir)
        // build-std is unstable; the pinned stable compiler carries it all the same.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&linker))
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER");
    let library = tools.join("rust-src").join("library");
    if library.exists() {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    let output = cargo.output().map_err(|error| format!("cargo did not start: {error}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let mend = if told.contains("unable to build with the standard library") {
            "\nRun `cargo xtask setup`, which brings the library's source."
        } else {
            ""
        };
        return Err(format!("the kernel object did not build ({}):\n{told}{mend}", output.status));
    }

    let built = ebpf_dir.join(TARGET).join("ebpf").join(OBJECT);
    let carried = out_dir.join(OBJECT);
    std::fs::copy(&built, &carried)
        .map_err(|error| format!("{} -> {}: {error}", built.display(), carried.display()))?;
    Ok(())
}

/// BTF for the maps' and the program's types; v3 of the instruction set for compare-and-swap; and words
/// loaded as words, of whatever alignment: the kernel's processors have no objection, and a header's
/// words behind an Ethernet header of 14 bytes are never aligned.
fn rustflags(linker: &Path) -> OsString {
    let mut flags = OsString::from(
        "-Cdebuginfo=2\u{1f}-Clink-arg=--btf\u{1f}-Clink-arg=--cpu-features=+allows-misaligned-mem-access\
         \u{1f}-Ctarget-cpu=v3\u{1f}-Clinker=",
    );
    flags.push(linker);
    flags
}

/// The target folder above `OUT_DIR` (`<target>/<profile>/build/<package>/out`): one kernel build
/// serves every profile of the host's.
fn shared_target_dir(out_dir: &Path) -> Result<PathBuf, String> {
    out_dir
        .ancestors()
        .find(|above| {
            above.join("CACHEDIR.TAG").exists() || above.file_name().is_some_and(|name| name == "target")
        })
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no target folder above {}", out_dir.display()))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
