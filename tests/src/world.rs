//! Three hosts of our own: clients, the guarded host, and the shop behind it.
//!
//! Nothing outside of the three namespaces is touched, and they go when this goes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skyshield::dataplane::{Pinned, Remains};
use tempfile::TempDir;

use crate::bpffs::Bpffs;
use crate::daemon::{self, Daemon};
use crate::http::{self, Answer};
use crate::netns::{End, Netns, Veth};
use crate::shop::Shop;

/// The guarded host's name in requests.
pub const HOST: &str = "shop.example";
/// The guarded host, to its clients.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// The same over IPv6.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 1);
/// The interface of the guarded host's that faces its clients.
pub const INTERFACE: &str = "sky-front";

/// Clients, a guarded host, a shop.
#[derive(Debug)]
pub struct World {
    /// Where honest people and attackers are.
    pub clients: Netns,
    /// Where the daemon runs.
    pub host: Netns,
    _shop_side: Netns,
    /// What runs behind the gateway.
    pub shop: Shop,
    bpffs: Bpffs,
    dir: TempDir,
}

impl World {
    /// Builds the three hosts and opens the shop. `extra` is added to the daemon's configuration,
    /// which is the default one but for names and places.
    pub fn new(extra: &str) -> anyhow::Result<Self> {
        let (clients, host, shop_side) = (Netns::new("clients")?, Netns::new("host")?, Netns::new("shop")?);
        for netns in [&clients, &host] {
            // Nobody else is there to have taken an address; looking for him takes a second.
            netns.run(|| Ok(fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")?))?;
        }
        Veth::join(
            End {
                netns: &clients,
                interface: "sky-clients",
                addresses: &["10.66.255.254/16", "fd66::ffff:fffe/32"],
            },
            End { netns: &host, interface: INTERFACE, addresses: &["10.66.0.1/16", "fd66::1/32"] },
        )?;
        Veth::join(
            End { netns: &host, interface: "sky-back", addresses: &["10.67.0.1/24"] },
            End { netns: &shop_side, interface: "sky-shop", addresses: &["10.67.0.2/24"] },
        )?;
        // Clients speak from any address of these prefixes without each being set up. IPv6 has no
        // neighbour discovery for such, so the host is told the way.
        for prefix in ["10.66.32.0/19", "10.96.0.0/12", "fd66:1::/32"] {
            clients.ip(&["route", "add", "local", prefix, "dev", "lo"])?;
        }
        clients.run(|| Ok(fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1")?))?;
        host.ip(&["route", "add", "fd66:1::/32", "via", "fd66::ffff:fffe"])?;
        host.ip(&["route", "add", "10.96.0.0/12", "via", "10.66.255.254"])?;
        let listener = shop_side.run(|| Ok(TcpListener::bind("10.67.0.2:8080")?))?;
        let dir = tempfile::Builder::new().prefix("sky-world-").tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700))?;
        let world = Self {
            clients,
            host,
            _shop_side: shop_side,
            shop: Shop::open(listener),
            bpffs: Bpffs::new()?,
            dir,
        };
        world.configure("", extra)?;
        Ok(world)
    }

    /// Writes the daemon's configuration anew, with these lines more for the gateway and these sections.
    pub fn configure(&self, gateway: &str, sections: &str) -> anyhow::Result<()> {
        let text = format!(
            "[dataplane]\ninterface = \"{INTERFACE}\"\npin_dir = \"{}\"\n\n\
             [gateway]\nlisten = [\"{HOST_V4}:80\", \"[{HOST_V6}]:80\"]\nupstream = \"10.67.0.2:8080\"\n{gateway}\n\n\
             [store]\ndir = \"{}\"\n\n[api]\nsocket = \"{}\"\n\n{sections}",
            self.bpffs.pin_dir().display(),
            self.dir.path().join("state").display(),
            self.dir.path().join("admin.sock").display(),
        );
        Ok(fs::write(self.config(), text)?)
    }

    /// Where the daemon's state, socket and configuration are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("skyshield.toml")
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start_daemon(&self) -> anyhow::Result<Daemon> {
        let command = self.host.command(&daemon::program()?.display().to_string());
        Daemon::start(command, &[], &self.config(), self.dir.path())
    }

    /// What the kernel holds and has counted, daemon or no daemon.
    pub fn kernel(&self) -> anyhow::Result<Remains> {
        let pinned = Pinned::open(&self.bpffs.pin_dir())?;
        let pinned = pinned.ok_or_else(|| anyhow::anyhow!("nothing is pinned"))?;
        self.host.run(|| Ok(pinned.remains()?))
    }

    /// One request from `from` to the gateway, over the same family.
    pub fn ask(&self, from: IpAddr, request: &[u8], patience: Duration) -> anyhow::Result<Answer> {
        self.clients.run(|| Ok(http::ask(from, gateway(from), request, patience)?))
    }
}

/// The gateway's address in the family of `from`.
pub fn gateway(from: IpAddr) -> SocketAddr {
    match from {
        IpAddr::V4(_) => (HOST_V4, 80).into(),
        IpAddr::V6(_) => (HOST_V6, 80).into(),
    }
}

/// The `number`th honest client, every fourth of them by IPv6; neighbours all.
pub fn honest_client(number: u16) -> IpAddr {
    if number.is_multiple_of(4) {
        return Ipv6Addr::new(0xfd66, 1, 32, number, 0, 0, 0, 7).into();
    }
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 66, 32_u8.saturating_add(high), low).into()
}

/// The `number`th attacker, every fourth of them by IPv6; each from a network of his own, so that none
/// is banned for his neighbours.
pub fn attacker(number: u16) -> IpAddr {
    if number.is_multiple_of(4) {
        return Ipv6Addr::new(0xfd66, 1, 0x8000 | number, 0, 0, 0, 0, 7).into();
    }
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 96_u8.saturating_add(high.min(15)), low, 7).into()
}
