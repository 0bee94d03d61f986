//! Which tests belong to which group, by what they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Tests of one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Nothing: beside the code, the engine through its bench
    Unit,
    /// A router or the daemon's own surfaces, without a kernel program
    Api,
    /// A kernel, and root: `BPF_PROG_TEST_RUN` and namespaces
    Kernel,
    /// Real nginx, Redis, SMTP
    Peers,
    /// Chromium
    Browser,
}

/// The targets of the package `tests` by group; a target stands here before its file exists.
const TARGETS: &[(Group, &[&str])] = &[
    (Group::Api, &["api", "cli", "config", "days", "framing", "gateway", "knowledge", "life", "store"]),
    (Group::Kernel, &["object", "kernel", "road", "limits", "faults", "kill", "restart", "demo"]),
    (Group::Peers, &["forward_auth", "monitor", "peers", "sites", "tap", "tls"]),
    (Group::Browser, &["browser"]),
];

/// Where the units live. The kernel crate's run on the host.
const UNITS: &[&str] = &["skyshield", "skyshield-common", "skyshield-ebpf", "xtask"];

impl Group {
    /// In the order they run: the cheapest first.
    pub(crate) const ALL: &'static [Self] =
        &[Self::Unit, Self::Api, Self::Kernel, Self::Peers, Self::Browser];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Api => "api",
            Self::Kernel => "kernel",
            Self::Peers => "peers",
            Self::Browser => "browser",
        }
    }

    pub(crate) fn makes_namespaces(self) -> bool {
        match self {
            Self::Unit | Self::Api => false,
            Self::Kernel | Self::Peers | Self::Browser => true,
        }
    }

    /// The arguments of each `cargo test` this group needs, of the targets that exist.
    pub(crate) fn runs(self, existing: &BTreeSet<String>) -> Vec<Vec<String>> {
        if self == Self::Unit {
            let packages = UNITS.iter().flat_map(|name| ["--package", name]).map(str::to_owned);
            let harness = ["--package", "tests", "--lib", "--bins"].map(str::to_owned);
            return vec![packages.collect(), harness.into()];
        }
        let targets: Vec<String> = self
            .targets()
            .filter(|target| existing.contains(*target))
            .flat_map(|target| ["--test", target])
            .map(str::to_owned)
            .collect();
        if targets.is_empty() {
            return Vec::new();
        }
        vec![[vec!["--package".to_owned(), "tests".to_owned()], targets].concat()]
    }

    fn targets(self) -> impl Iterator<Item = &'static str> {
        TARGETS
            .iter()
            .filter(move |(group, _)| *group == self)
            .flat_map(|(_, targets)| targets.iter().copied())
    }
}

/// The test targets of the package `tests`. One that no group claims is an error: it would never
/// run, and nobody would miss it.
pub(crate) fn existing(root: &Path) -> Result<BTreeSet<String>> {
    let folder = root.join("tests");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).context("tests/Cargo.toml")?;
    let mut found = declared(&manifest).context("tests/Cargo.toml")?;
    if let Ok(entries) = fs::read_dir(folder.join("tests")) {
        found.extend(entries.filter_map(|entry| target_at(&entry.ok()?.path())));
    }
    unclaimed(&found)?;
    Ok(found)
}

fn unclaimed(found: &BTreeSet<String>) -> Result<()> {
    let claimed: BTreeSet<&str> = Group::ALL.iter().flat_map(|group| group.targets()).collect();
    let lost: Vec<&str> = found.iter().map(String::as_str).filter(|name| !claimed.contains(name)).collect();
    if !lost.is_empty() {
        bail!(
            "tests/tests: {} belongs to no group: name it in TARGETS of xtask/src/test/groups.rs",
            lost.join(", ")
        );
    }
    Ok(())
}

/// The names of `[[test]]`.
fn declared(manifest: &str) -> Result<BTreeSet<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let tests = manifest.get("test").and_then(toml::Value::as_array);
    Ok(tests.into_iter().flatten().filter_map(|test| Some(test.get("name")?.as_str()?.to_owned())).collect())
}

/// The target cargo finds by itself: `name.rs`, or `name/main.rs`.
fn target_at(path: &Path) -> Option<String> {
    let is_target =
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
    is_target.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_group_runs_the_targets_that_exist() {
        let runs = Group::Kernel.runs(&set(&["api", "kernel", "road"]));
        assert_eq!(runs, [["--package", "tests", "--test", "kernel", "--test", "road"]]);
        assert!(Group::Browser.runs(&set(&["api"])).is_empty());
    }

    #[test]
    fn a_target_of_no_group_is_named() {
        let error = unclaimed(&set(&["kernel", "lonely"])).unwrap_err().to_string();
        assert!(error.contains("lonely") && !error.contains("kernel,"), "{error}");
    }

    #[test]
    fn declared_targets_are_seen() {
        let manifest = "[package]\nname = \"tests\"\n[[test]]\nname = \"kernel\"\nharness = false\n";
        assert_eq!(declared(manifest).unwrap(), set(&["kernel"]));
    }
}
