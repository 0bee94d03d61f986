//! `cargo xtask tidy`: the rules of the house that no other tool knows.

mod arrows;
mod lexer;
mod marks;
mod module;
mod paths;
mod purity;

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::Workspace;

/// A tracked file.
pub(crate) struct File {
    /// From the workspace's root, with `/` between folders.
    path: String,
    text: String,
}

/// A rule that a line breaks, and how to mend it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    what: String,
    mend: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    mend: {}", self.path, self.line, self.what, self.mend)
    }
}

pub(crate) fn obey(workspace: &Workspace) -> Result<ExitCode> {
    let count = violations(workspace)?;
    if count > 0 {
        println!("tidy: {count} found");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every violation and gives their number.
pub(crate) fn violations(workspace: &Workspace) -> Result<usize> {
    let found = check(&tracked(&workspace.root)?);
    for violation in &found {
        println!("{violation}");
    }
    Ok(found.len())
}

fn check(files: &[File]) -> Vec<Violation> {
    let modules = module::read(files);
    let mut found = marks::check(files, &modules);
    found.extend(arrows::check(&modules));
    found.extend(purity::check(&modules));
    found.sort();
    found.dedup();
    found
}

/// What git tracks, and what it would if it were added now. Files that are not text are left out.
fn tracked(root: &Path) -> Result<Vec<File>> {
    let listed = process::quiet(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root),
    )
    .context("tidy looks at what git tracks")?;
    let files = listed.split('\0').filter(|path| !path.is_empty()).filter_map(|path| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(File { path: path.to_owned(), text })
    });
    Ok(files.collect())
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_passes() {
        let files = [file(
            "skyshield/src/engine.rs",
            "//! The core.\nuse std::time::Instant;\n\
             /// When a ban ends.\npub fn end(now: Instant) -> Instant {\n    now\n}\n\
             #[cfg(test)]\nmod tests {\n    #[test]\n    fn f() {\n        super::end(std::time::Instant::now());\n    }\n}\n",
        )];
        assert_eq!(check(&files), []);
    }

    #[test]
    fn a_violation_tells_place_fault_and_mending() {
        let files = [file("skyshield/src/engine.rs", "//! The core.\n\nuse tokio::sync::watch;\n")];
        let found = check(&files);
        assert_eq!(found.len(), 1);
        let told = found[0].to_string();
        assert!(told.starts_with("skyshield/src/engine.rs:3: ") && told.contains("mend: "), "{told}");
    }
}
