//! Servers that answer each request with what they take it for: method, target, length of the body.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tests::loopback::free;
use tests::nginx::Nginx;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Node,
}

impl Kind {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Node => "node",
        }
    }

    /// Why there is none to test with; `None` if there is one.
    pub(crate) fn missing(self) -> Option<String> {
        let program = self.program();
        let probe = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let package = if self == Self::Node { "nodejs" } else { program };
        probe.is_err().then(|| format!("needs {program} (apt-get install {package})"))
    }
}

/// A running one, ended when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _running: Running,
}

enum Running {
    Nginx { _held: Nginx },
    Other { child: Child, _dir: TempDir },
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Other { child, .. } = self {
            // Where it has ended already there is nothing to end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const NODE: &str = "
require('http').createServer((request, response) => {
  let length = 0;
  request.on('data', part => { length += part.length; });
  request.on('end', () => {
    const text = `${request.method} ${request.url} ${length}\\n`;
    response.writeHead(200, {'Content-Length': Buffer.byteLength(text)});
    response.end(text);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
";

impl Server {
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        if kind == Kind::Nginx {
            let echo = "location / { default_type text/plain; \
                        return 200 '$request_method $request_uri ?\\n'; }";
            let nginx = Nginx::start(echo)?;
            return Ok(Self { address: nginx.address, _running: Running::Nginx { _held: nginx } });
        }
        let (address, dir) = (free()?, tempfile::tempdir()?);
        let file = dir.path().join("setup");
        let mut command = Command::new(kind.program());
        let text = if kind == Kind::Node {
            command.arg(&file).arg(address.port().to_string());
            NODE.to_owned()
        } else {
            command.arg("-db").arg("-f").arg(&file);
            format!(
                "global\n maxconn 200\ndefaults\n mode http\n option http-buffer-request\n timeout client 20s\n \
                 timeout http-request 20s\n timeout connect 5s\n timeout server 5s\n\
                 frontend f\n bind {address}\n http-request return status 200 content-type text/plain \
                 lf-string \"%[method] %[url] %[req.body_size]\\n\"\n"
            )
        };
        std::fs::File::create(&file)?.write_all(text.as_bytes())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| kind.program())?;
        let server = Self { address, _running: Running::Other { child, _dir: dir } };
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("{} does not listen at {address}", kind.program())
    }
}
