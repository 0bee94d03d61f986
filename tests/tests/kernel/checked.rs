//! What comes back to a port that is shielded: forged cookies end in the program, and nobody honest does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use skyshield::dataplane::{Config, Kernel};
use skyshield_common::{Reason, Verdict};
use skyshield_ebpf::handshake;

use crate::bench::{Bench, Counted, HOST_V4, HOST_V6, OTHER_V4, source};
use crate::cookies::{
    PATIENCE, config, echo, echo_at, honest, polling_client, send, set_syncookies, under, under_flood,
};

const ACK: u32 = 0x10;
const PUSH: u32 = 0x08;
const FIN: u32 = 0x01;

/// The `n`th segment of no connection to `to`, with these flags, from an address that nobody has.
fn forged(n: u32, to: SocketAddr, flags: u32) -> Vec<u8> {
    let port = 1_024 + (n % 60_000);
    let mut tcp = [
        port << 16 | u32::from(to.port()),
        n.wrapping_mul(0x9e37_79b1),
        n.wrapping_mul(0x85eb_ca6b),
        0x5000_7210 | flags << 16,
        0,
    ];
    let (mut ip, addresses) = match to.ip() {
        IpAddr::V4(host) => {
            let from = Ipv4Addr::from_bits(0x0b00_0000 | n.wrapping_mul(0x9e37_79b1) >> 8).to_bits();
            (vec![0x4500_0028, n << 16 | 0x4000, 0x4006_0000, from, host.to_bits()], 3)
        }
        IpAddr::V6(host) => {
            let words = |address: Ipv6Addr| {
                let octets = address.octets();
                let (words, _) = octets.as_chunks();
                words.iter().map(|word| u32::from_be_bytes(*word)).collect::<Vec<_>>()
            };
            let from = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n));
            ([vec![0x6000_0000, 0x0014_0640], words(from), words(host)].concat(), 2)
        }
    };
    let sum =
        ip.iter().skip(addresses).chain(&tcp).map(|word| handshake::sum(&[*word])).sum::<u32>() + 6 + 20;
    let sum = (sum & 0xffff) + (sum >> 16);
    tcp[4] = (!((sum & 0xffff) + (sum >> 16)) & 0xffff) << 16;
    ip.extend(tcp);
    ip.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A segment between two IPv4 addresses, with these numbers and flags; its sum is right, as the stack wants it.
fn segment(
    (from, to): (SocketAddrV4, SocketAddrV4),
    (seq, ack): (u32, u32),
    flags: u32,
) -> anyhow::Result<Vec<u8>> {
    let mut packet = forged(1, to.into(), flags);
    let mut put = |at: usize, word: u32| -> anyhow::Result<()> {
        packet.get_mut(at..at + 4).context("too short")?.copy_from_slice(&word.to_be_bytes());
        Ok(())
    };
    let ports = u32::from(from.port()) << 16 | u32::from(to.port());
    let tcp = [ports, seq, ack, 0x5000_7210 | flags << 16];
    let ends = [from.ip().to_bits(), to.ip().to_bits()];
    let sum = handshake::sum(&tcp) + handshake::sum(&ends) + 6 + 20;
    let sum = (sum & 0xffff) + (sum >> 16);
    put(12, ends[0])?;
    for (at, word) in
        (20..).step_by(4).zip(tcp.into_iter().chain([(!((sum & 0xffff) + (sum >> 16)) & 0xffff) << 16]))
    {
        put(at, word)?;
    }
    Ok(packet)
}

/// So many segments of no connection to `to`; by what reasons they were counted, once all were.
fn judged(bench: &Bench, kernel: &Kernel, to: SocketAddr, flags: u32) -> anyhow::Result<[u64; 4]> {
    const SENT: u32 = 100;
    const REASONS: [Reason; 4] =
        [Reason::Passed, Reason::CookieRefused, Reason::DryRunCookieRefused, Reason::AllowedOddity];
    let before = Counted::now(kernel)?;
    bench.client.run(|| (0..SENT).try_for_each(|n| send(to.ip(), &forged(n, to, flags))))?;
    let mut counted = [0; 4];
    for _ in 0..400 {
        let since = Counted::now(kernel)?.since(&before);
        counted = REASONS.map(|reason| since.get(&reason).map_or(0, |counted| counted.0));
        if counted.iter().sum::<u64>() >= SENT.into() {
            // A neighbour may have had something to say meanwhile.
            return Ok(counted.map(|count| count / u64::from(SENT) * u64::from(SENT)));
        }
        thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("{counted:?} of {SENT} came")
}

const PASSED: [u64; 4] = [100, 0, 0, 0];
const REFUSED: [u64; 4] = [0, 100, 0, 0];
const WATCHED: [u64; 4] = [0, 0, 100, 0];
const ALLOWED: [u64; 4] = [0, 0, 0, 100];

/// Cookies that the host's own stack has refused.
fn refused_by_the_stack(bench: &Bench) -> anyhow::Result<u64> {
    bench.host.run(|| {
        let text = fs::read_to_string("/proc/thread-self/net/netstat")?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, counts) = lines.next().zip(lines.next()).context("no such counters")?;
        let of = names.split(' ').zip(counts.split(' ')).find(|(name, _)| *name == "SyncookiesFailed");
        Ok(of.context("no such counter")?.1.parse()?)
    })
}

/// Connects, and has a word come back.
fn connected(bench: &Bench, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = bench.client.run(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    goes_on(&mut stream)?;
    Ok(stream)
}

fn goes_on(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut bytes = [0; 4];
    stream.write_all(b"ping")?;
    Ok(stream.read_exact(&mut bytes)?)
}

pub(crate) fn flood() -> anyhow::Result<()> {
    const CLIENTS: usize = 50;
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let v4 = echo(&bench, HOST_V4)?;
    let v6 = echo_at(&bench, SocketAddr::new(HOST_V6.parse()?, v4.port()))?;
    bench.with_kernel(&config(&bench), |kernel| {
        let mut early = [connected(&bench, v4)?, connected(&bench, v6)?];
        for to in [v4, v6] {
            // The gate is a port's, whichever family it is asked by.
            under_flood(&bench, v4, true, || early.iter_mut().try_for_each(goes_on))?;
            let (before, at_stack) = (Counted::now(kernel)?, refused_by_the_stack(&bench)?);
            let (connected, sent) = under(&bench, to.ip(), &|n| Ok(forged(n, to, ACK)), || {
                early.iter_mut().try_for_each(goes_on)?;
                Ok(honest(&bench, v4, CLIENTS)? + honest(&bench, v6, CLIENTS)?)
            })?;
            early.iter_mut().try_for_each(goes_on)?;
            let refused = Counted::now(kernel)?.since(&before).get(&Reason::CookieRefused).map_or(0, |c| c.0);
            let at_stack = refused_by_the_stack(&bench)? - at_stack;
            crate::report(&format!(
                "{sent} forged cookies to {}, {refused} refused here and {at_stack} by the stack, {connected} of {} \
                 honest clients connected",
                to.ip(),
                2 * CLIENTS
            ));
            ensure!(connected == 2 * CLIENTS, "{connected} connected");
            ensure!(refused * 10 > sent * 9 && refused <= sent, "{refused} of {sent} were refused");
            ensure!(at_stack == 0, "{at_stack} came to the stack");
        }
        Ok(())
    })
}

pub(crate) fn spared() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let (v4, other) = (echo(&bench, HOST_V4)?, echo(&bench, HOST_V4)?);
    bench.with_kernel(&config(&bench), |kernel| {
        let mut early = connected(&bench, v4)?;
        ensure!(judged(&bench, kernel, v4, ACK)? == PASSED, "checked, and not armed");
        under_flood(&bench, v4, true, || Ok(()))?;
        // As that of a container is, whose connections the host has none of.
        ensure!(
            judged(&bench, kernel, v4, ACK)? == PASSED,
            "a port that is not known to be the host's to serve"
        );
        goes_on(&mut early)?;
        for flags in [ACK, ACK | PUSH, ACK | FIN] {
            ensure!(judged(&bench, kernel, v4, flags)? == REFUSED, "{flags:x}");
        }
        ensure!(judged(&bench, kernel, v4, PUSH)? == PASSED, "it brings no cookie");
        ensure!(judged(&bench, kernel, other, ACK)? == PASSED, "a port of which there is no flood");

        kernel.enforcer.set_allowed(&[source("11.0.0.0/8")?])?;
        ensure!(judged(&bench, kernel, v4, ACK)? == ALLOWED, "the allow list was not asked");
        kernel.enforcer.set_allowed(&[])?;
        let spared = Config { dry_run_for: vec!["cookie_refused".to_owned()], ..config(&bench) };
        for settings in [spared.settings(), Config { dry_run: true, ..config(&bench) }.settings()] {
            kernel.enforcer.set_settings(settings)?;
            ensure!(judged(&bench, kernel, v4, ACK)? == WATCHED, "not in this dry run");
        }
        kernel.enforcer.set_settings(config(&bench).settings())?;
        ensure!(judged(&bench, kernel, v4, ACK)? == REFUSED);

        thread::sleep(Duration::from_secs(11));
        ensure!(judged(&bench, kernel, v4, ACK)? == PASSED, "it did not disarm");
        Ok(())
    })
}

/// Segments that follow a cookie at once are judged before the stack has made a connection of that.
pub(crate) fn followed() -> anyhow::Result<()> {
    const SYN: u32 = 0x02;
    const SEQ: u32 = 7_000;
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let v4 = echo(&bench, HOST_V4)?;
    let SocketAddr::V4(to) = v4 else { anyhow::bail!("not IPv4") };
    let from = SocketAddrV4::new(OTHER_V4.parse()?, 7_777);
    bench.with_kernel(&config(&bench), |kernel| {
        let mut early = connected(&bench, v4)?;
        let cookie = bench.client.run(|| {
            let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
            setsockopt(&raw, sockopt::ReceiveTimeout, &TimeVal::seconds(2))?;
            send(v4.ip(), &segment((from, to), (SEQ, 0), SYN)?)?;
            loop {
                let mut answer = [0; 64];
                let length = recv(raw.as_raw_fd(), &mut answer, MsgFlags::empty())?;
                let word = |at| word_at(answer.get(..length)?, at);
                if word(20) == Some(u32::from(to.port()) << 16 | u32::from(from.port())) {
                    return word(24).context("too short");
                }
            }
        })?;
        under_flood(&bench, v4, true, || Ok(()))?;
        goes_on(&mut early)?;
        let judged = |from: SocketAddrV4, seq: u32| {
            let packet = segment((from, to), (seq, cookie.wrapping_add(1)), ACK)?;
            // The stack sees none of these.
            let frame = [&[0; 12][..], &[0x08, 0x00], &packet].concat();
            Ok::<_, anyhow::Error>(kernel.attachment.judge(&frame)?)
        };
        let (first, second) = (SEQ + 1, SEQ + 1_401);
        ensure!(judged(from, second)? == Verdict::Drop, "there was no cookie yet");
        ensure!(judged(from, first)? == Verdict::Pass, "the cookie is right");
        ensure!(judged(from, second)? == Verdict::Pass, "it came right behind");
        ensure!(judged(SocketAddrV4::new(*from.ip(), 7_778), second)? == Verdict::Drop, "it is another's");
        thread::sleep(Duration::from_millis(1_200));
        ensure!(judged(from, second)? == Verdict::Drop, "the stack has had its time");
        ensure!(judged(from, first)? == Verdict::Pass, "cookies are good for longer");
        Ok(())
    })
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// A dry run does not answer, and tells all the same of what it would refuse.
pub(crate) fn rehearsed() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    let _client = polling_client(&bench)?;
    let v4 = echo(&bench, HOST_V4)?;
    bench.with_kernel(&Config { dry_run: true, ..config(&bench) }, |kernel| {
        let mut early = connected(&bench, v4)?;
        under_flood(&bench, v4, true, || Ok(()))?;
        goes_on(&mut early)?;
        ensure!(Counted::now(kernel)?.packets(Reason::SynAnswered) == 0);
        ensure!(judged(&bench, kernel, v4, ACK)? == WATCHED);
        let before = Counted::now(kernel)?;
        ensure!(honest(&bench, v4, 50)? == 50);
        let counted = Counted::now(kernel)?.since(&before);
        ensure!(!counted.contains_key(&Reason::DryRunCookieRefused), "{counted:?}");
        Ok(())
    })
}

/// A socket that listens on every address is none of those that are sent on to other hosts.
pub(crate) fn sent_on() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    set_syncookies(&bench, "2")?;
    bench.host.run(|| {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        Ok(fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?)
    })?;
    bench.host.ip(&["link", "add", "behind0", "type", "bridge"])?;
    bench.host.ip(&["link", "set", "behind0", "up"])?;
    for (family, address, network, host) in
        [("-4", "10.98.0.1/24", "10.98.0.0/24", HOST_V4), ("-6", "fd98::1/64", "fd98::/64", HOST_V6)]
    {
        bench.host.ip(&[family, "address", "add", address, "dev", "behind0"])?;
        bench.client.ip(&[family, "route", "add", network, "via", host])?;
    }
    let _client = polling_client(&bench)?;
    let v6 = echo(&bench, "::")?;
    let at = |address: &str| Ok::<_, anyhow::Error>(SocketAddr::new(address.parse()?, v6.port()));
    bench.with_kernel(&config(&bench), |kernel| {
        let ours = [HOST_V4, HOST_V6, "10.98.0.1"];
        let mut early =
            ours.into_iter().map(|ours| connected(&bench, at(ours)?)).collect::<anyhow::Result<Vec<_>>>()?;
        under_flood(&bench, at(HOST_V4)?, true, || Ok(()))?;
        for (ours, stream) in ours.into_iter().zip(&mut early) {
            // What is met at one address says nothing of another, which may be a container's.
            ensure!(judged(&bench, kernel, at(ours)?, ACK)? == PASSED, "{ours}, where nobody was met");
            goes_on(stream)?;
            ensure!(judged(&bench, kernel, at(ours)?, ACK)? == REFUSED, "{ours}");
        }
        for theirs in ["10.98.0.9", "fd98::9"] {
            ensure!(judged(&bench, kernel, at(theirs)?, ACK)? == PASSED, "{theirs}");
        }
        Ok(())
    })
}
