//! Who is measured: nginx as upstream and as plain proxy, with `ModSecurity` where it is installed,
//! and the daemon with inspection and without; all with as many workers.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// One of them, ended when dropped.
pub(in crate::bench) struct Contender {
    pub(in crate::bench) name: &'static str,
    pub(in crate::bench) port: u16,
    /// Where it speaks TLS.
    pub(super) tls_port: u16,
    child: Child,
}

impl Contender {
    /// Its process, and the workers below it.
    pub(super) fn processes(&self) -> Vec<u32> {
        let master = self.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.unwrap_or_default();
        let workers = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(master).chain(workers).collect()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Both nginx and the daemon end their workers when asked; neither is asked twice.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _gone = self.child.kill();
        }
        let _ended = self.child.wait();
    }
}

/// All of them, and the folder they live in.
pub(super) struct Peers {
    pub(super) contenders: Vec<Contender>,
    _upstream: Contender,
    dir: Dir,
}

/// A folder of this run, removed with it.
pub(in crate::bench) struct Dir(pub(in crate::bench) PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// Every request is inspected and counted; the quota is too large to be used up.
pub(in crate::bench) const FULL: &str = "[limits.classes.default]\nrequests = 4294967295\n";
/// None is.
const OFF: &str = "[inspect]\nmode = \"off\"\n[limits]\nenabled = false\n";

impl Dir {
    pub(in crate::bench) fn made() -> Result<Self> {
        let dir = Self(std::env::temp_dir().join(format!("sky-bench-{}", std::process::id())));
        fs::create_dir_all(&dir.0)?;
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755))?;
        certify(&dir.0)?;
        Ok(dir)
    }
}

const MODULE: &str = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";
const RULES: &str = "/usr/share/modsecurity-crs/rules";

impl Peers {
    pub(super) fn start(daemon: &Path) -> Result<Self> {
        for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk"), ("openssl", "openssl")] {
            ensure!(process::find(program).is_some(), "{program} is missing: apt-get install {package}");
        }
        let dir = Dir::made()?;
        fs::write(dir.0.join("100k"), vec![b'x'; 100 * 1024])?;
        let workers = thread::available_parallelism()?.get();

        let root = dir.0.display();
        let upstream = format!(
            "root {root}; location = /100k {{ default_type text/plain; }} location / {{ default_type text/html; \
             return 200 '<!doctype html><title>ok</title><p>hello from upstream</p>'; }}"
        );
        let upstream = nginx(&dir.0, "upstream", workers, "", "", &upstream)?;
        let pool = format!("upstream up {{ server 127.0.0.1:{}; keepalive 64; }}", upstream.port);
        let proxy = "location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; \
            proxy_set_header Host $host; }";
        let mut contenders = vec![nginx(&dir.0, "nginx", workers, "", &pool, proxy)?];
        if Path::new(MODULE).exists() && Path::new(RULES).is_dir() {
            fs::write(dir.0.join("crs.conf"), rules(&dir.0))?;
            let load = format!("load_module {MODULE};");
            let guarded = format!("modsecurity on; modsecurity_rules_file {root}/crs.conf; {proxy}");
            contenders.push(nginx(&dir.0, "modsecurity", workers, &load, &pool, &guarded)?);
        } else {
            eprintln!(
                "bench: no ModSecurity or CRS here: left out (libnginx-mod-http-modsecurity, modsecurity-crs)"
            );
        }
        contenders.push(skyshield(daemon, &dir.0, "skyshield", workers, upstream.port, FULL)?);
        contenders.push(skyshield(daemon, &dir.0, "skyshield_off", workers, upstream.port, OFF)?);
        Ok(Self { contenders, _upstream: upstream, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir.0
    }
}

pub(in crate::bench) fn nginx(
    dir: &Path,
    name: &'static str,
    workers: usize,
    main: &str,
    http: &str,
    server: &str,
) -> Result<Contender> {
    let (port, tls_port) = (free_port()?, free_port()?);
    let root = dir.display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        temporary = format!("{temporary}{kind}_temp_path {root}/{name}-{kind}; ");
    }
    let user = if process::is_root()? { "user www-data;" } else { "" };
    let text = format!(
        "daemon off; worker_processes {workers}; {user} pid {root}/{name}.pid; error_log {root}/{name}.err warn; {main}\n\
         events {{ worker_connections 8192; }}\nhttp {{ access_log off; server_tokens off; client_body_buffer_size 128k; \
         {temporary} keepalive_timeout 65; keepalive_requests 1000000; {http}\n\
         ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;\n\
         server {{ listen 127.0.0.1:{port} backlog=1024; listen 127.0.0.1:{tls_port} ssl backlog=1024; {server} }} }}\n"
    );
    let config = dir.join(format!("{name}.conf"));
    fs::write(&config, text)?;
    let program = process::find("nginx").context("nginx is missing")?;
    let mut command = Command::new(program);
    command.arg("-e").arg(dir.join(format!("{name}.err"))).arg("-c").arg(&config);
    started(command, name, [port, tls_port], dir)
}

pub(in crate::bench) fn skyshield(
    daemon: &Path,
    dir: &Path,
    name: &'static str,
    workers: usize,
    upstream: u16,
    more: &str,
) -> Result<Contender> {
    let (port, tls_port) = (free_port()?, free_port()?);
    let state = dir.join(name);
    fs::create_dir_all(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
    let (place, root) = (state.display(), dir.display());
    // All load comes from one address: what holds one source to a measure would be measured instead.
    let text = format!(
        "[gateway]\nlisten = [\"127.0.0.1:{port}\"]\nupstream = \"127.0.0.1:{upstream}\"\n\
         [gateway.limits]\nconnections_per_source = 4096\n\
         [gateway.tls]\nlisten = [\"127.0.0.1:{tls_port}\"]\n\
         [[gateway.tls.certificates]]\nchain = \"{root}/chain.pem\"\nkey = \"{root}/key.pem\"\n\
         [store]\ndir = \"{place}/state\"\n[api]\nlisten = \"127.0.0.1:{}\"\nmetrics_listen = \"127.0.0.1:{}\"\n\
         socket = \"{place}/admin.sock\"\n{more}",
        free_port()?,
        free_port()?,
    );
    let config = state.join("skyshield.toml");
    fs::write(&config, text)?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
    let mut command = Command::new(daemon);
    command.args(["run", "--no-kernel", "--config"]).arg(&config);
    command.env("TOKIO_WORKER_THREADS", workers.to_string());
    started(command, name, [port, tls_port], dir)
}

/// Starts it and waits until it accepts.
fn started(
    mut command: Command,
    name: &'static str,
    [port, tls_port]: [u16; 2],
    dir: &Path,
) -> Result<Contender> {
    let log = fs::File::create(dir.join(format!("{name}.log")))?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    let mut contender =
        Contender { name, port, tls_port, child: child.with_context(|| process::told(&command))? };
    for _ in 0..500 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(contender);
        }
        if let Some(status) = contender.child.try_wait()? {
            let log = fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
            bail!("{name} ended with {status}:\n{log}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("{name} does not accept connections")
}

/// One certificate for all of them, with a key that costs all of them the same.
fn certify(dir: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("chain.pem"));
    process::quiet(&mut openssl)?;
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The core rule set as Debian ships it, at its first paranoia level, blocking.
fn rules(dir: &Path) -> String {
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 13107200\n\
         SecRequestBodyNoFilesLimit 131072\nSecResponseBodyAccess Off\nSecTmpDir {dir}\nSecDataDir {dir}\n\
         SecAuditEngine Off\n\
         SecRule REQUEST_HEADERS:Content-Type \"application/json\" \
         \"id:1200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         Include /etc/modsecurity/crs/crs-setup.conf\nInclude {RULES}/*.conf\n",
        dir = dir.display()
    )
}
