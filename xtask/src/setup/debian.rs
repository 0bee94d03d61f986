//! `rust-src` out of a newer Debian release's package, through the mirror apt is configured with.
//! apt gets folders of its own: the machine's lists, caches and sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Where a newer compiler's package appears, the most settled suite first.
const SUITES: &[&str] = &["trixie-backports", "forky-backports", "forky", "sid"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Unpacks the library of Rust `release` to `folder/library`; `scratch` holds apt's folders
/// meanwhile.
pub(super) fn unpack_rust_src(scratch: &Path, release: &str, folder: &Path) -> Result<()> {
    for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
        if process::find(tool).is_none() {
            bail!("there is no {tool} here");
        }
    }
    let mirrors = mirrors()?;
    let scratch = scratch.join("apt");
    let unpacked = mirrors
        .iter()
        .flat_map(|mirror| SUITES.iter().map(move |suite| (mirror, suite)))
        .find_map(|(mirror, suite)| {
            eprintln!("setup: looking for rust-src {release} in Debian's {suite}");
            match fetch(&scratch, mirror, suite, release) {
                Ok(unpacked) => Some(unpacked),
                Err(error) => {
                    eprintln!("setup: {error:#}");
                    None
                }
            }
        })
        .with_context(|| format!("no suite of {} has rust-src {release}", mirrors.join(", ")))?;

    let library = library_in(&unpacked.join("usr/src"))?;
    fs::create_dir_all(folder)?;
    fs::rename(&library, folder.join("library"))
        .with_context(|| format!("{} -> {}", library.display(), folder.display()))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("{}: not removed", scratch.display()))
}

/// The archives apt has this machine's own release from (its `main`, not the security archive).
fn mirrors() -> Result<Vec<String>> {
    let about = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let codename = about
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no VERSION_CODENAME")?
        .trim_matches('"');
    let format = "$(RELEASE) $(COMPONENT) $(REPO_URI)";
    let told = process::quiet(Command::new("apt-get").args(["indextargets", "--format", format]))?;
    let mirrors = mirrors_of(&told, codename);
    if mirrors.is_empty() {
        bail!("apt has no archive for {codename} main");
    }
    Ok(mirrors)
}

fn mirrors_of(targets: &str, codename: &str) -> Vec<String> {
    let mut mirrors: Vec<String> = targets
        .lines()
        .filter_map(|line| line.strip_prefix(codename)?.strip_prefix(" main "))
        .map(str::to_owned)
        .collect();
    mirrors.sort();
    mirrors.dedup();
    mirrors
}

/// Downloads and unpacks the package; gives the folder it was unpacked to.
fn fetch(scratch: &Path, mirror: &str, suite: &str, release: &str) -> Result<PathBuf> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    for folder in ["state/lists/partial", "cache/archives/partial", "package"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    let signed = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    fs::write(scratch.join("sources.list"), format!("deb {signed}{mirror} {suite} main\n"))?;
    let configuration = scratch.join("apt.conf");
    fs::write(&configuration, apt_configuration(scratch))?;
    let apt = |tool: &str, arguments: &[&str]| {
        process::quiet(
            Command::new(tool)
                .arg("--config-file")
                .arg(&configuration)
                .args(arguments)
                .current_dir(scratch.join("package")),
        )
    };

    apt("apt-get", &["update", "--quiet", "--error-on=any"])?;
    let version = version_in(&apt("apt-cache", &["show", "rust-src"])?, release)
        .with_context(|| format!("{suite} has another version of rust-src"))?;
    apt("apt-get", &["download", "--quiet", &format!("rust-src={version}")])?;
    let package = fs::read_dir(scratch.join("package"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    let unpacked = scratch.join("unpacked");
    process::quiet(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    Ok(unpacked)
}

/// Read after the machine's own configuration, so that its proxy and keys hold while its folders
/// and hooks do not.
fn apt_configuration(scratch: &Path) -> String {
    let at = |name: &str| scratch.join(name).display().to_string();
    format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear APT::Default-Release;\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         Dir::Etc::sourcelist \"{}\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::Etc::preferences \"-\";\n\
         Dir::Etc::preferencesparts \"-\";\n\
         Dir::State \"{}\";\n\
         Dir::Cache \"{}\";\n",
        at("sources.list"),
        at("state"),
        at("cache"),
    )
}

/// Debian's version of this upstream release, such as `1.95.0+dfsg1-1~bpo13+1`.
fn version_in(shown: &str, release: &str) -> Option<String> {
    shown
        .lines()
        .filter_map(|line| line.strip_prefix("Version: "))
        .find(|version| version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~'])))
        .map(str::to_owned)
}

/// The package has one `rustc-<release>` folder.
fn library_in(folder: &Path) -> Result<PathBuf> {
    fs::read_dir(folder)
        .with_context(|| format!("{}: not readable", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("library")))
        .find(|library| library.join("core").is_dir())
        .with_context(|| format!("{}: no library in it", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_apt_has_for_this_release() {
        let targets = "bookworm main http://mirror.example/debian/\n\
                       bookworm main http://mirror.example/debian/\n\
                       bookworm-updates main http://mirror.example/debian/\n\
                       bookworm-security main http://mirror.example/security/\n\
                       nodistro main http://other.example/\n";
        assert_eq!(mirrors_of(targets, "bookworm"), ["http://mirror.example/debian/"]);
    }

    #[test]
    fn only_the_very_release_is_taken() {
        let shown =
            "Package: rust-src\nVersion: 1.95.01-1\n\nPackage: rust-src\nVersion: 1.95.0+dfsg1-1~bpo13+1\n";
        assert_eq!(version_in(shown, "1.95.0").as_deref(), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(version_in(shown, "1.96.0"), None);
    }
}
