//! SYN cookies: honest clients connect in the middle of a flood of spoofed SYNs, which nothing is kept of.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};
use skyshield::dataplane::{Config, Kernel, OpenError, Tapped};
use skyshield_common::Reason;
use skyshield_ebpf::handshake;

use crate::bench::{Bench, CLIENT_V4, CLIENT_V6, Counted, HOST_V4, HOST_V6};

pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// SYNs a second above which the test's ports are shielded.
const ABOVE: u64 = 2_000;

pub(crate) fn config(bench: &Bench) -> Config {
    Config { syn_cookies_above: ABOVE, ..bench.config() }
}

pub(crate) fn set_syncookies(bench: &Bench, value: &str) -> anyhow::Result<()> {
    bench.host.run(|| Ok(fs::write("/proc/sys/net/ipv4/tcp_syncookies", value)?))
}

/// One on the client's end as well: a veth takes what is sent back only where its peer reads by polling,
/// as one with a program does.
pub(crate) fn polling_client(bench: &Bench) -> anyhow::Result<Kernel> {
    let config = Config {
        interface: Some("client0".to_owned()),
        pin_dir: bench.bpffs.path().join("client"),
        ..bench.config()
    };
    bench.client.run(|| Ok(Kernel::open(&config)?))
}

/// Answers each connection with what it sends, until the test ends.
pub(crate) fn echo(bench: &Bench, address: &str) -> anyhow::Result<SocketAddr> {
    echo_at(bench, SocketAddr::new(address.parse()?, 0))
}

pub(crate) fn echo_at(bench: &Bench, address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = bench.host.run(|| Ok(TcpListener::bind(address)?))?;
    let at = listener.local_addr()?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut bytes = [0; 4];
                while let Ok(()) = stream.read_exact(&mut bytes) {
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(at)
}

/// Connects `count` times one after another, each time with a word that must come back; how many did.
pub(crate) fn honest(bench: &Bench, to: SocketAddr, count: usize) -> anyhow::Result<usize> {
    let once = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"ping")?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes)
    };
    bench.client.run(|| Ok((0..count).filter(|_| once().is_ok()).count()))
}

/// The `n`th spoofed SYN to `to`, from an address that nobody has; with a checksum that is right, or not.
fn syn(n: u32, to: SocketAddr, is_summed: bool) -> anyhow::Result<Vec<u8>> {
    let IpAddr::V4(host) = to.ip() else { anyhow::bail!("not IPv4") };
    let from = Ipv4Addr::from_bits(0x0b00_0000 | n.wrapping_mul(0x9e37_79b1) >> 8).to_bits();
    let port = 1_024 + (n % 60_000);
    let mut words = [
        0x4500_002c,
        n << 16 | 0x4000,
        0x4006_0000,
        from,
        host.to_bits(),
        port << 16 | u32::from(to.port()),
        n,
        0,
        0x6002_7210,
        0,
        0x0204_05b4,
    ];
    let sum = handshake::sum(&words[3..].first_chunk::<8>().copied().context("short")?) + 6 + 24;
    let sum = (sum & 0xffff) + (sum >> 16);
    words[9] = (!((sum & 0xffff) + (sum >> 16)) & 0xffff) << 16;
    if !is_summed {
        words[9] ^= 0x1111_0000;
    }
    Ok(words.iter().flat_map(|word| word.to_be_bytes()).collect())
}

/// Sends a packet from where it says it comes from. A full queue is no matter here.
pub(crate) fn send(to: IpAddr, packet: &[u8]) -> anyhow::Result<()> {
    Sender::to(to)?.send(packet);
    Ok(())
}

/// A raw socket, and where its packets go.
enum Sender {
    V4(OwnedFd, SockaddrIn),
    V6(OwnedFd, SockaddrIn6),
}

impl Sender {
    fn to(address: IpAddr) -> anyhow::Result<Self> {
        let raw = |family| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw);
        Ok(match address {
            IpAddr::V4(host) => Self::V4(raw(AddressFamily::Inet)?, SocketAddrV4::new(host, 0).into()),
            IpAddr::V6(host) => Self::V6(raw(AddressFamily::Inet6)?, SocketAddrV6::new(host, 0, 0, 0).into()),
        })
    }

    fn send(&self, packet: &[u8]) -> bool {
        match self {
            Self::V4(raw, to) => sendto(raw.as_raw_fd(), packet, to, MsgFlags::empty()).is_ok(),
            Self::V6(raw, to) => sendto(raw.as_raw_fd(), packet, to, MsgFlags::empty()).is_ok(),
        }
    }
}

/// Runs `work` while SYNs are sent as fast as they go; how many were.
pub(crate) fn under_flood<T: Send>(
    bench: &Bench,
    to: SocketAddr,
    is_summed: bool,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<(T, u64)> {
    under(bench, to.ip(), &|n| syn(n, to, is_summed), work)
}

/// The same while such packets are, each by its number.
pub(crate) fn under<T: Send>(
    bench: &Bench,
    to: IpAddr,
    packet: &(dyn Fn(u32) -> anyhow::Result<Vec<u8>> + Sync),
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<(T, u64)> {
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            bench.client.run(|| {
                let sender = Sender::to(to)?;
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..50 {
                        n += 1;
                        sent.fetch_add(u64::from(sender.send(&packet(n)?)), Ordering::Relaxed);
                    }
                    thread::sleep(Duration::from_micros(500));
                }
                Ok(())
            })
        });
        thread::sleep(Duration::from_millis(300));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
        Ok((done?, sent.load(Ordering::Relaxed)))
    })
}

pub(crate) fn connect() -> anyhow::Result<()> {
    const CLIENTS: usize = 200;
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let (v4, other, v6) = (echo(&bench, HOST_V4)?, echo(&bench, HOST_V4)?, echo(&bench, HOST_V6)?);
    bench.with_kernel(&config(&bench), |kernel| {
        // Below the rate nobody notices.
        let before = Counted::now(kernel)?;
        ensure!(honest(&bench, v4, 20)? == 20 && honest(&bench, v6, 5)? == 5);
        let counted = Counted::now(kernel)?.since(&before);
        ensure!(!counted.contains_key(&Reason::SynAnswered), "armed too early");
        for is_summed in [true, false] {
            let before = Counted::now(kernel)?;
            let (connected, sent) = under_flood(&bench, v4, is_summed, || {
                Ok([honest(&bench, v4, CLIENTS)?, honest(&bench, other, 20)?])
            })?;
            let counted = Counted::now(kernel)?.since(&before);
            let answered = counted.get(&Reason::SynAnswered).map_or(0, |c| c.0);
            crate::report(&format!(
                "{sent} spoofed SYNs ({}), {answered} answered with cookies, {} of {CLIENTS} honest clients connected",
                if is_summed { "well summed" } else { "badly summed" },
                connected[0],
            ));
            ensure!(connected == [CLIENTS, 20], "{connected:?} connected");
            ensure!(answered * 10 > sent * 9, "{answered} of {sent} were answered: it did not arm");
            ensure!(!counted.contains_key(&Reason::CookieRefused), "honest cookies were refused: {counted:?}");
        }
        Ok(())
    })
}

/// Both at once: what honest clients send in the flood is copied, and of the flood nothing.
pub(crate) fn beside_the_tap() -> anyhow::Result<()> {
    const CLIENTS: usize = 100;
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let to = echo(&bench, HOST_V4)?;
    let tapped = Tapped { ports: vec![to.port()], ring_bytes: 1 << 20, flow_bytes: 1 << 18, flows: 1 << 10 };
    let config = Config { tapped: Some(tapped), ..config(&bench) };
    bench.with_kernel(&config, |kernel| {
        let before = Counted::now(kernel)?;
        let (connected, sent) = under_flood(&bench, to, true, || honest(&bench, to, CLIENTS))?;
        ensure!(connected == CLIENTS, "{connected} of {CLIENTS} connected");
        let counted = Counted::now(kernel)?.since(&before);
        let answered = counted.get(&Reason::SynAnswered).map_or(0, |counted| counted.0);
        ensure!(answered * 10 > sent * 9, "{answered} of {sent} were answered: it did not arm");
        let segments = &mut kernel.segments.as_mut().context("no tap")?.0;
        let (mut words, mut strange) = (0, 0);
        while segments.poll(|_, held, _| if held == b"ping" { words += 1 } else { strange += held.len() }) > 0
        {
        }
        crate::report(&format!("{sent} spoofed SYNs, {words} of {CLIENTS} honest words copied"));
        ensure!(words == CLIENTS && strange == 0, "{words} words, {strange} bytes of others");
        Ok(())
    })
}

/// The gate is a port's, whichever family it is asked by.
pub(crate) fn both_families() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let v4 = echo(&bench, HOST_V4)?;
    let v6 = echo_at(&bench, SocketAddr::new(HOST_V6.parse()?, v4.port()))?;
    ensure!(honest(&bench, v6, 1)? == 1);
    bench.with_kernel(&config(&bench), |kernel| {
        // The stack takes answers to cookies once it has given some itself.
        ensure!(honest(&bench, v6, 1)? == 1);
        let before = Counted::now(kernel)?;
        let ((), _) = under_flood(&bench, v4, true, || {
            // With nobody else on it, what is answered now is this one's.
            ensure!(honest(&bench, v6, 50)? == 50, "not all by IPv6 from {CLIENT_V6} beside {CLIENT_V4}");
            Ok(())
        })?;
        ensure!(Counted::now(kernel)?.since(&before).contains_key(&Reason::SynAnswered));
        Ok(())
    })
}

pub(crate) fn disarm() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let v4 = echo(&bench, HOST_V4)?;
    bench.with_kernel(&config(&bench), |kernel| {
        let answered =
            |kernel: &Kernel| Ok::<_, anyhow::Error>(Counted::now(kernel)?.packets(Reason::SynAnswered));
        under_flood(&bench, v4, true, || Ok(()))?;
        let flooded = answered(kernel)?;
        ensure!(flooded > 0);
        // Armed still, with the flood gone...
        ensure!(honest(&bench, v4, 100)? == 100);
        let armed = answered(kernel)?;
        ensure!(armed > flooded, "it disarmed at once");
        thread::sleep(Duration::from_secs(11));
        ensure!(honest(&bench, v4, 100)? == 100);
        ensure!(answered(kernel)? == armed, "it did not disarm");
        let settings = Config { dry_run: true, ..config(&bench) }.settings();
        kernel.enforcer.set_settings(settings)?;
        under_flood(&bench, v4, true, || Ok(()))?;
        ensure!(answered(kernel)? == armed, "a dry run answered");
        kernel.enforcer.set_settings(config(&bench).settings())?;
        // ...and a closed port is nobody's to answer for.
        let closed = SocketAddr::new(v4.ip(), 9);
        under_flood(&bench, closed, true, || Ok(()))?;
        ensure!(answered(kernel)? == armed, "a port was answered for that is closed");
        Ok(())
    })
}

pub(crate) fn refused() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "1")?;
    bench.host.run(|| {
        let error = Kernel::open(&config(&bench)).err().context("not refused")?;
        ensure!(matches!(error, OpenError::SynCookies { .. }), "{error}");
        ensure!(error.to_string().contains("sysctl -w net.ipv4.tcp_syncookies=2"), "{error}");
        Ok(())
    })?;
    bench.with_kernel(&bench.config(), |_| Ok(()))
}
