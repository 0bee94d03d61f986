//! `skyshield completions` and `skyshield man`: the commands as shells and readers know them.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Arguments, Failure};

pub(super) fn completions(shell: Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "skyshield", &mut text);
    super::show::raw(&text);
}

/// The pages of all commands into `folder`, or the first page to standard output.
pub(super) fn pages(folder: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Refused(format!("the manual cannot be written: {error}"));
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(failed)?;
        return clap_mangen::generate_to(Arguments::command(), folder).map_err(failed);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut text).map_err(failed)?;
    super::show::raw(&text);
    Ok(())
}
