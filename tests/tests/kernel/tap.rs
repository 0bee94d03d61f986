//! The tap's copies: what a connection carried, and nothing of what only claims to be of one.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use skyshield::dataplane::{Config, Kernel, Rule, Segments, Tapped};
use skyshield_common::tap::{Fate, Segment};

use crate::bench::{Bench, HOST_V4, HOST_V6};

const PORT: u16 = 8080;

fn config(bench: &Bench) -> Config {
    let tapped = Tapped { ports: vec![PORT], ring_bytes: 1 << 20, flow_bytes: 1 << 18, flows: 1 << 10 };
    Config { tapped: Some(tapped), ..bench.config() }
}

/// Takes in each connection to its end, and says what it had for it.
fn swallow(bench: &Bench, address: &str) -> anyhow::Result<SocketAddr> {
    let address: IpAddr = address.parse()?;
    let listener = bench.host.run(|| Ok(TcpListener::bind((address, PORT))?))?;
    let at = listener.local_addr()?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all);
                let _ = stream.write_all(&all);
            });
        }
    });
    Ok(at)
}

/// Every record there is by now.
fn taken(segments: &mut Segments) -> Vec<(Segment, Vec<u8>)> {
    let mut all = Vec::new();
    while segments.poll(|segment, held, _| all.push((*segment, held.to_vec()))) > 0 {}
    all
}

fn segments(kernel: &mut Kernel) -> anyhow::Result<&mut Segments> {
    Ok(&mut kernel.segments.as_mut().context("no tap")?.0)
}

fn counted(segments: &Segments, fate: Fate) -> anyhow::Result<u64> {
    Ok(segments.totals()?.count[fate as usize])
}

pub(crate) fn copies() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&config(&bench), |kernel| {
        for host in [HOST_V4, HOST_V6] {
            let to = swallow(&bench, host)?;
            let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
            let came_back = bench.client.run(|| {
                let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
                stream.write_all(b"first ")?;
                thread::sleep(Duration::from_millis(20));
                stream.write_all(&sent)?;
                stream.shutdown(Shutdown::Write)?;
                let mut all = Vec::new();
                stream.read_to_end(&mut all)?;
                Ok(all)
            })?;
            let expected = [b"first ", &sent[..]].concat();
            ensure!(came_back == expected, "the connection was harmed");
            let records = taken(segments(kernel)?);
            let Some((first, _)) = records.first() else { anyhow::bail!("nothing of {host}") };
            ensure!(first.seq == first.origin && first.received == first.origin, "{first:?}");
            let mut stream = vec![0_u8; expected.len()];
            for (segment, held) in &records {
                ensure!(segment.origin == first.origin, "{segment:?}");
                let at = segment.seq.wrapping_sub(segment.origin) as usize + segment.offset as usize;
                stream.get_mut(at..at + held.len()).context("beyond the end")?.copy_from_slice(held);
            }
            ensure!(stream == expected, "what was copied is not what was sent");
            crate::report(&format!("{} records of {} bytes", records.len(), expected.len()));
        }
        Ok(())
    })
}

/// A rule's word is enough, and only for what the rule suits.
pub(crate) fn ruled() -> anyhow::Result<()> {
    const RULE: &str = "[[rules]]\nname = \"asked\"\nprotocol = \"tcp\"\nport = 8080\naction = \"tap\"\n";
    #[derive(serde::Deserialize)]
    struct Rules {
        rules: Vec<Rule>,
    }
    let bench = Bench::new()?;
    let elsewhere =
        Tapped { ports: vec![PORT + 1], ring_bytes: 1 << 20, flow_bytes: 1 << 18, flows: 1 << 10 };
    bench.with_kernel(&Config { tapped: Some(elsewhere), ..bench.config() }, |kernel| {
        let to = swallow(&bench, HOST_V4)?;
        let say = || {
            bench.client.run(|| {
                let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
                stream.write_all(b"said")?;
                stream.shutdown(Shutdown::Write)?;
                Ok(stream.read_to_end(&mut Vec::new())?)
            })
        };
        say()?;
        ensure!(taken(segments(kernel)?).is_empty(), "nobody wanted that");
        kernel.enforcer.set_rules(&toml::from_str::<Rules>(RULE)?.rules)?;
        say()?;
        let held: Vec<_> = taken(segments(kernel)?).into_iter().flat_map(|(_, held)| held).collect();
        ensure!(held == b"said", "{held:?}");
        Ok(())
    })
}

/// An IPv4 packet with a TCP segment that says what a spoofer guesses.
fn forged(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, carried: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (IpAddr::V4(source), IpAddr::V4(host)) = (from.ip(), to.ip()) else { anyhow::bail!("not IPv4") };
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(source.octets());
    packet.extend(host.octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(carried);
    Ok(packet)
}

pub(crate) fn spoofed() -> anyhow::Result<()> {
    const ATTACK: &[u8] =
        b"GET /?id=1%20UNION%20SELECT%20password%20FROM%20users HTTP/1.1\r\nHost: a\r\n\r\n";
    let bench = Bench::new()?;
    bench.with_kernel(&config(&bench), |kernel| {
        let to = swallow(&bench, HOST_V4)?;
        let IpAddr::V4(host) = to.ip() else { anyhow::bail!("not IPv4") };
        let stream = bench.client.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
            stream.write_all(b"honest")?;
            Ok(stream)
        })?;
        thread::sleep(Duration::from_millis(50));
        let records = taken(segments(kernel)?);
        let Some((honest, _)) = records.last() else { anyhow::bail!("nothing was copied") };
        let next = honest.seq.wrapping_add(honest.length);
        let victim = stream.local_addr()?;
        let stranger = SocketAddr::new(victim.ip(), victim.port() ^ 1);
        bench.client.run(|| {
            let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
            let at = SockaddrIn::from(std::net::SocketAddrV4::new(host, 0));
            for n in 0..1_000_u32 {
                let guess = n.wrapping_mul(0x9e37_79b1);
                for (from, seq) in [(victim, next), (victim, guess), (stranger, guess)] {
                    sendto(
                        raw.as_raw_fd(),
                        &forged(from, to, seq, guess.rotate_left(9), ATTACK)?,
                        &at,
                        MsgFlags::empty(),
                    )?;
                }
            }
            Ok(())
        })?;
        thread::sleep(Duration::from_millis(50));
        let segments = segments(kernel)?;
        let believed = taken(segments).len();
        let (unproven, none) = (counted(segments, Fate::Unproven)?, counted(segments, Fate::NoSocket)?);
        // One acknowledgement in 30,000 is one that the stack itself would look at.
        ensure!(believed <= 1, "{believed} of 3,000 forged segments were believed");
        ensure!(unproven + none + believed as u64 >= 3_000, "{unproven} + {none}");
        drop(stream);
        Ok(())
    })
}

pub(crate) fn lost() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let small = Tapped { ports: vec![PORT], ring_bytes: 1 << 16, flow_bytes: 1 << 30, flows: 1 << 10 };
    bench.with_kernel(&Config { tapped: Some(small), ..bench.config() }, |kernel| {
        let to = swallow(&bench, HOST_V4)?;
        // Nobody reads, and the connection does not mind.
        let sent = vec![7_u8; 4 << 20];
        let came_back = bench.client.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
            stream.write_all(&sent)?;
            stream.shutdown(Shutdown::Write)?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all)?;
            Ok(all)
        })?;
        ensure!(came_back == sent, "the connection was harmed");
        let segments = segments(kernel)?;
        let totals = segments.totals()?;
        let sum: u64 = totals.bytes.iter().sum();
        ensure!(sum >= sent.len() as u64, "{sum} bytes of {} are accounted for", sent.len());
        let held: u64 = taken(segments).iter().map(|(_, held)| held.len() as u64).sum();
        let copied = totals.bytes[Fate::Copied as usize];
        ensure!(held == copied, "{held} bytes in the ring, {copied} counted as copied");
        ensure!(totals.bytes[Fate::Sampled as usize] + totals.bytes[Fate::Lost as usize] > 3 << 20);
        crate::report(&format!("{copied} of {sum} bytes copied; the rest is counted"));
        Ok(())
    })
}
