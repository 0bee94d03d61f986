//! A daemon that speaks TLS before an nginx, and the programs that ask it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::ensure;
use tempfile::TempDir;
use tests::certificates::Authority;
use tests::loopback::{Loopback, free};
use tests::nginx::Nginx;

/// When the certificates here end.
const FAR: i32 = 2090;

/// Why `program` cannot be asked; `None` if it can.
pub(crate) fn missing(program: &str, package: &str) -> Option<String> {
    let probe = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_err().then(|| format!("needs {program} (apt-get install {package})"))
}

/// A guarded site.
pub(crate) struct Guard {
    pub(crate) daemon: Loopback,
    /// Where it speaks TLS.
    pub(crate) tls: SocketAddr,
    pub(crate) nginx: Nginx,
    authority: Authority,
    dir: TempDir,
}

impl Guard {
    /// A daemon before an nginx whose server block holds `server`, with certificates for `shop.example`
    /// and `*.shop.example`.
    pub(crate) fn start(server: &str) -> anyhow::Result<Self> {
        let nginx = Nginx::start(server)?;
        let (authority, dir, tls) = (Authority::new()?, tempfile::tempdir()?, free()?);
        fs::write(dir.path().join("root.pem"), authority.root_pem())?;
        let mut pairs = Vec::new();
        for (name, host) in [("one", "shop.example"), ("many", "*.shop.example")] {
            let files = authority.issue(dir.path(), name, &[host], FAR)?;
            let (chain, key) = (files.chain.display(), files.key.display());
            pairs.push(format!("[[gateway.tls.certificates]]\nchain = \"{chain}\"\nkey = \"{key}\"\n"));
        }
        let daemon = Loopback::start(&format!(
            "upstream = \"{}\"\nbody_over_limit = \"pass-and-count\"\n\
             [gateway.tls]\nlisten = [\"{tls}\"]\npoll_secs = 1\n{}[limits]\nenabled = false\n",
            nginx.address,
            pairs.concat()
        ))?;
        Ok(Self { daemon, tls, nginx, authority, dir })
    }

    /// Puts another certificate, and its key, in the place of that for `shop.example`.
    pub(crate) fn renew(&self) -> anyhow::Result<()> {
        self.authority.issue(self.dir.path(), "one", &["shop.example"], FAR)?;
        Ok(())
    }

    /// The file of the authority that clients trust.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// The address of `path` for curl, which is told where `host` lives.
    pub(crate) fn curl(&self, host: &str, path: &str, words: &[&str]) -> anyhow::Result<Output> {
        let (address, port) = (self.tls.ip(), self.tls.port());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(self.root());
        curl.args(["--resolve", &format!("{host}:{port}:{address}")]).args(words);
        let output = curl.arg(format!("https://{host}:{port}{path}")).output()?;
        Ok(output)
    }

    /// What `openssl s_client` says of the handshake.
    pub(crate) fn s_client(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &self.tls.to_string(), "-CAfile"]).arg(self.root());
        let output = openssl.args(words).stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

/// The standard output of a program that must have ended well.
pub(crate) fn well(output: &Output) -> anyhow::Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
