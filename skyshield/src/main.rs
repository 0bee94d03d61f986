//! Arguments, logging, `app::run`, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    skyshield::cli::main()
}
