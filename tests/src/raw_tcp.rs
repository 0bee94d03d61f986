//! A TCP client of our own, segment by segment: for what no honest stack would send.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::netns::Netns;

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const PSH_ACK: u8 = 0x18;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const MAC_AT: usize = 12;

/// A link that frames are put on as they are.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    own: [u8; 6],
    other: [u8; 6],
}

impl Link {
    /// Opens `interface` of `netns`, whose other end is `peer` of `host`; `addresses` are made ours there.
    pub fn open(
        (netns, interface): (&Netns, &str),
        (host, peer): (&Netns, &str),
        addresses: &[Ipv4Addr],
    ) -> anyhow::Result<Self> {
        let (own, other) = (mac(netns, interface)?, mac(host, peer)?);
        for address in addresses {
            let written = own.map(|byte| format!("{byte:02x}")).join(":");
            host.ip(&["neigh", "replace", &address.to_string(), "lladdr", &written, "dev", peer])?;
        }
        let socket = netns.run(|| {
            let index = nix::net::if_::if_nametoindex(interface)?;
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000))?;
            bind(&socket, index)?;
            Ok(socket)
        })?;
        Ok(Self { socket, own, other })
    }

    fn put(&self, ethertype: &[u8], packet: &[u8]) -> anyhow::Result<()> {
        let frame = [&self.other, &self.own, ethertype, packet].concat();
        send(self.socket.as_raw_fd(), &frame, MsgFlags::empty())?;
        Ok(())
    }

    /// The next TCP segment from `from` to `to`: its numbers, flags, and what it carries.
    fn next(&self, from: SocketAddrV4, to: SocketAddrV4) -> anyhow::Result<Option<Answer>> {
        let mut frame = vec![0; 70_000];
        match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(length) => {
                frame.truncate(length);
                Ok(Answer::read(&frame, from, to))
            }
            Err(nix::errno::Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn bind(socket: &OwnedFd, index: u32) -> anyhow::Result<()> {
    // SAFETY: all bits zero are a `sockaddr_ll`, which is filled in below.
    #[expect(unsafe_code, reason = "nix makes no such address")]
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = 0x0003_u16.to_be();
    address.sll_ifindex = i32::try_from(index)?;
    let length = u32::try_from(size_of::<libc::sockaddr_ll>())?;
    // SAFETY: the address lives through the call, and is as long as is said.
    #[expect(unsafe_code, reason = "a system call")]
    let failed = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    ensure!(failed == 0, io::Error::last_os_error());
    Ok(())
}

fn mac(netns: &Netns, interface: &str) -> anyhow::Result<[u8; 6]> {
    let output = netns.command("ip").args(["-o", "link", "show", "dev", interface]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let written = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
    let bytes = written.context("no such interface")?.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("not a MAC address"))
}

#[derive(Debug)]
struct Answer {
    seq: u32,
    ack: u32,
    flags: u8,
    carried: Vec<u8>,
}

impl Answer {
    fn read(frame: &[u8], from: SocketAddrV4, to: SocketAddrV4) -> Option<Self> {
        let packet = frame.get(14..)?;
        let head = usize::from(packet.first()? & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
        let tcp = packet.get(head..total)?;
        let u32_at = |at: usize| Some(u32::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
        let is_ours = frame.get(MAC_AT..14)? == [8, 0]
            && *packet.get(9)? == 6
            && packet.get(12..16)? == from.ip().octets()
            && packet.get(16..20)? == to.ip().octets()
            && tcp.get(..2)? == from.port().to_be_bytes()
            && tcp.get(2..4)? == to.port().to_be_bytes();
        let carried = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?.to_vec();
        is_ours.then_some(Self { seq: u32_at(4)?, ack: u32_at(8)?, flags: *tcp.get(13)?, carried })
    }
}

/// A connection that sends what it is told.
#[derive(Debug)]
pub struct RawTcp<'a> {
    link: &'a Link,
    from: SocketAddrV4,
    to: SocketAddrV4,
    origin: u32,
    ack: u32,
    /// What came back.
    pub received: Vec<u8>,
    /// Up to where the host has acknowledged the stream.
    pub acknowledged: u32,
}

/// What is to be different about a segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odd {
    /// The checksum is wrong.
    pub bad_sum: bool,
    /// It ends the stream.
    pub fin: bool,
    /// The urgent pointer.
    pub urgent: u16,
    /// It comes in fragments of so many bytes, the last first.
    pub fragments: Option<usize>,
    /// It comes in this many VLAN tags.
    pub tags: usize,
}

impl<'a> RawTcp<'a> {
    /// Connects `from` to `to`.
    pub fn connect(link: &'a Link, from: SocketAddrV4, to: SocketAddrV4) -> anyhow::Result<Self> {
        let origin = getrandom::u32()?;
        let mut raw = Self { link, from, to, origin, ack: 0, received: Vec::new(), acknowledged: 0 };
        let syn = raw.segment(origin.wrapping_sub(1), SYN, &[], Odd::default());
        link.put(&[8, 0], &raw.packet(&syn, 0, 0))?;
        let started = now();
        while started.elapsed() < Duration::from_secs(2) {
            if let Some(answer) = link.next(to, from)?
                && answer.flags & (SYN | ACK) == SYN | ACK
                && answer.ack == origin
            {
                raw.ack = answer.seq.wrapping_add(1);
                raw.send(0, &[], Odd::default())?;
                return Ok(raw);
            }
        }
        anyhow::bail!("{to} does not answer {from}")
    }

    /// One that has never been: who makes it sees no answers, and guesses.
    pub fn blind(link: &'a Link, from: SocketAddrV4, to: SocketAddrV4) -> anyhow::Result<Self> {
        let (origin, ack) = (getrandom::u32()?, getrandom::u32()?);
        Ok(Self { link, from, to, origin, ack, received: Vec::new(), acknowledged: 0 })
    }

    /// Sends `bytes` at `at` of the stream.
    pub fn send(&self, at: u32, bytes: &[u8], odd: Odd) -> anyhow::Result<()> {
        let mut flags = if bytes.is_empty() { ACK } else { PSH_ACK };
        flags |= if odd.fin { FIN } else { 0 };
        flags |= if odd.urgent > 0 { URG } else { 0 };
        let segment = self.segment(self.origin.wrapping_add(at), flags, bytes, odd);
        let tags = [0x81, 0x00, 0x00, 0x07].repeat(odd.tags);
        let ethertype = [&tags[..], &[8, 0]].concat();
        let Some(step) = odd.fragments else {
            return self.link.put(&ethertype, &self.packet(&segment, 0, 0));
        };
        let id = u16::try_from(getrandom::u32()? & 0xffff)?;
        let parts: Vec<_> = segment.chunks(step / 8 * 8).enumerate().collect();
        for (n, part) in parts.iter().rev() {
            let more = if n + 1 < parts.len() { 0x2000 } else { 0 };
            let offset = u16::try_from(n * (step / 8 * 8) / 8)?;
            self.link.put(&ethertype, &self.packet(part, id, offset | more))?;
        }
        Ok(())
    }

    /// Says that the connection is over, as if it had never been; `at` this place of the stream.
    pub fn reset(&self, at: u32) -> anyhow::Result<()> {
        let segment = self.segment(self.origin.wrapping_add(at), RST | ACK, &[], Odd::default());
        self.link.put(&[8, 0], &self.packet(&segment, 0, 0))
    }

    /// Takes what comes back for a while, and acknowledges it.
    pub fn listen(&mut self, patience: Duration, until: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let started = now();
        while started.elapsed() < patience && !until(self) {
            let Some(answer) = self.link.next(self.to, self.from)? else { continue };
            self.acknowledged = answer.ack.wrapping_sub(self.origin);
            if answer.seq == self.ack && !answer.carried.is_empty() {
                self.ack = self.ack.wrapping_add(u32::try_from(answer.carried.len())?);
                self.received.extend(&answer.carried);
                self.send(self.acknowledged, &[], Odd::default())?;
            }
        }
        Ok(())
    }

    fn segment(&self, seq: u32, flags: u8, carried: &[u8], odd: Odd) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.from.port().to_be_bytes());
        segment.extend(self.to.port().to_be_bytes());
        segment.extend(seq.to_be_bytes());
        segment.extend(self.ack.to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0]);
        segment.extend(odd.urgent.to_be_bytes());
        segment.extend(carried);
        let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
        let mut pseudo = [self.from.ip().octets(), self.to.ip().octets()].concat();
        pseudo.extend([0, 6]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&segment);
        let sum = checksum(&pseudo) ^ if odd.bad_sum { 0x1234 } else { 0 };
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    fn packet(&self, carried: &[u8], id: u16, fragment: u16) -> Vec<u8> {
        let length = u16::try_from(20 + carried.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1]];
        packet.extend(id.to_be_bytes());
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 6, 0, 0]);
        packet.extend(self.from.ip().octets());
        packet.extend(self.to.ip().octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(carried);
        packet
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}
