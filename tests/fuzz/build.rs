//! Makes the tables of the built-in rules' patterns, as the daemon's build does.

use std::path::Path;
use std::process::ExitCode;

#[path = "../../skyshield/build/patterns.rs"]
mod patterns;
#[path = "../../skyshield/src/inspect/pattern/tables.rs"]
mod tables;

fn main() -> ExitCode {
    let daemon = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../skyshield");
    for read in ["build/patterns.rs", "src/inspect/pattern/tables.rs", "src/inspect/rules"] {
        println!("cargo::rerun-if-changed={}", daemon.join(read).display());
    }
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let built = variable("OUT_DIR").and_then(|out_dir| {
        let is_big_endian = variable("CARGO_CFG_TARGET_ENDIAN")? == "big";
        patterns::build(&daemon.join("src/inspect/rules"), Path::new(&out_dir), is_big_endian)
    });
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            println!("cargo::error={what}");
            ExitCode::FAILURE
        }
    }
}
