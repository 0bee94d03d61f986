//! A guarded host and a client, each in a namespace, joined by a veth pair.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::socket::{setsockopt, sockopt};
use skyshield::dataplane::{Config, Entry, Kernel};
use skyshield::engine::decision::{DecisionId, Origin};
use skyshield::engine::source::Source;
use skyshield_common::{Counter, Reason};
use tests::bpffs::Bpffs;
use tests::netns::{End, Netns, Veth};

/// The guarded interface.
pub(crate) const GUARDED: &str = "guarded0";
pub(crate) const HOST_V4: &str = "10.99.0.1";
pub(crate) const HOST_V6: &str = "fd99::1";
/// The client's addresses: two of each family, the IPv6 ones of one /64.
pub(crate) const CLIENT_V4: &str = "10.99.0.2";
pub(crate) const OTHER_V4: &str = "10.99.0.3";
pub(crate) const CLIENT_V6: &str = "fd99::2";
pub(crate) const OTHER_V6: &str = "fd99::3";

/// Frames that went out by an interface, by where the kernel tells of them.
#[derive(Clone, Copy)]
pub(crate) enum Frames {
    Sent = 9,
    /// They never came to the other end, which had no time for them.
    Dropped = 11,
}

pub(crate) struct Bench {
    pub(crate) client: Netns,
    pub(crate) host: Netns,
    pub(crate) bpffs: Bpffs,
}

impl Bench {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (client, host) = (Netns::new("client")?, Netns::new("host")?);
        let bench = Self { client, host, bpffs: Bpffs::new()? };
        bench.join()?;
        Ok(bench)
    }

    /// One with the client's end down: nothing comes in but what a test runs, where otherwise the
    /// client's neighbour discovery does.
    pub(crate) fn quiet() -> anyhow::Result<Self> {
        let bench = Self::new()?;
        bench.client.ip(&["link", "set", "client0", "down"])?;
        Ok(bench)
    }

    /// Makes the interface; again, after it was removed.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        let client = ["10.99.0.2/24", "10.99.0.3/24", "fd99::2/64", "fd99::3/64"];
        Veth::join(
            End { netns: &self.client, interface: "client0", addresses: &client },
            End { netns: &self.host, interface: GUARDED, addresses: &["10.99.0.1/24", "fd99::1/64"] },
        )?;
        Ok(())
    }

    /// Small maps, so that a test does not wait for memory; no rate unless it asks for one.
    pub(crate) fn config(&self) -> Config {
        Config {
            interface: Some(GUARDED.to_owned()),
            pin_dir: self.bpffs.pin_dir(),
            max_bans: 1024,
            max_prefixes: 1024,
            max_sources: 1024,
            rate_packets_per_sec: 0,
            ..Config::default()
        }
    }

    /// Runs `work` in the host's namespace with the kernel side up.
    pub(crate) fn with_kernel<T: Send>(
        &self,
        config: &Config,
        work: impl FnOnce(&mut Kernel) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        self.host.run(|| {
            let mut kernel = Kernel::open(config)?;
            work(&mut kernel)
        })
    }

    /// Sends `count` datagrams from the client's address `from`; how many the kernel took.
    pub(crate) fn send(&self, from: &str, to: SocketAddr, count: usize) -> anyhow::Result<usize> {
        let from: IpAddr = from.parse()?;
        self.client
            .run(|| {
                let socket = UdpSocket::bind((from, 0))?;
                (0..count).map(|_| Ok(socket.send_to(b"skyshield", to)?)).collect::<anyhow::Result<Vec<_>>>()
            })
            .map(|sent| sent.len())
    }

    /// What has become of frames on the client's end of an interface, as the kernel counts them.
    pub(crate) fn frames(&self, end: &str, which: Frames) -> anyhow::Result<u64> {
        self.client.run(|| {
            let text = fs::read_to_string("/proc/thread-self/net/dev")?;
            let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{end}:")));
            let told = line.context("no such end")?.split_whitespace().nth(which as usize);
            Ok(told.context("too short")?.parse()?)
        })
    }

    /// A socket on the host that never waits long.
    pub(crate) fn receiver(&self, address: &str) -> anyhow::Result<UdpSocket> {
        let address: IpAddr = address.parse()?;
        self.host.run(|| {
            let socket = UdpSocket::bind((address, 0))?;
            socket.set_read_timeout(Some(Duration::from_millis(200)))?;
            // A burst must not overflow it while the test's thread waits for a core.
            setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20))?;
            Ok(socket)
        })
    }
}

/// Takes datagrams until none comes for as long as the socket waits.
pub(crate) fn drain(socket: &UdpSocket) -> anyhow::Result<usize> {
    let mut buffer = [0; 64];
    let mut received = 0;
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => received += 1,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(received);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn source(text: &str) -> anyhow::Result<Source> {
    text.parse().with_context(|| text.to_owned())
}

pub(crate) fn entry(decision: u64, ttl: Option<Duration>) -> Entry {
    Entry { decision: DecisionId(decision), origin: Origin::Operator, ttl }
}

/// Counters by reason; differences of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted(BTreeMap<Reason, Counter>);

impl Counted {
    pub(crate) fn now(kernel: &Kernel) -> anyhow::Result<Self> {
        Ok(Self(kernel.enforcer.counters()?.into_iter().collect()))
    }

    pub(crate) fn packets(&self, reason: Reason) -> u64 {
        self.0.get(&reason).map_or(0, |counter| counter.packets)
    }

    /// What has been counted since `earlier`, reasons with nothing left out.
    pub(crate) fn since(&self, earlier: &Self) -> BTreeMap<Reason, (u64, u64)> {
        self.0
            .iter()
            .map(|(reason, counter)| {
                let before = earlier.0.get(reason).copied().unwrap_or_default();
                (*reason, (counter.packets - before.packets, counter.bytes - before.bytes))
            })
            .filter(|(_, counted)| *counted != (0, 0))
            .collect()
    }
}
