//! Packet captures: requests in the clear, put together again from their packets.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::rehearsal::Recorded;

/// Bytes of one direction of a connection that are put together.
const MAX_STREAM: usize = 4 << 20;
/// Connections that are followed at a time.
const MAX_STREAMS: usize = 100_000;
/// Fields of a request's head at the most.
const MAX_FIELDS: usize = 128;

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    /// The number of the byte behind `data`.
    next: Option<u32>,
    data: Vec<u8>,
    /// When the last byte of `data` came.
    at: Option<SystemTime>,
    /// What has overtaken.
    waiting: BTreeMap<u32, Vec<u8>>,
}

/// Source and destination, with ports.
type Key = (IpAddr, u16, IpAddr, u16);

/// Puts requests together.
#[derive(Default)]
struct Streams {
    all: HashMap<Key, Stream>,
    found: Vec<Recorded>,
}

/// The requests of a capture, in the order in which they were complete.
pub(super) fn requests(capture: &[u8]) -> Result<Vec<Recorded>, String> {
    let mut streams = Streams::default();
    each_frame(capture, |at, link, frame| streams.take(at, link, frame))?;
    Ok(streams.found)
}

/// Whether `begins` is the beginning of a capture.
pub(super) fn is_capture(begins: &[u8]) -> bool {
    begins
        .first_chunk::<4>()
        .is_some_and(|magic| Form::of(*magic).is_some() || u32::from_le_bytes(*magic) == NEXT_GENERATION)
}

/// How the classic form is written.
#[derive(Clone, Copy)]
struct Form {
    is_little: bool,
    /// Nanoseconds of one unit of the finer part of a time.
    unit: u32,
}

const NEXT_GENERATION: u32 = 0x0a0d_0d0a;

impl Form {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let of = |number: u32| match number {
            0xa1b2_c3d4 => Some(1000),
            0xa1b2_3c4d => Some(1),
            _ => None,
        };
        let little = of(u32::from_le_bytes(magic)).map(|unit| Self { is_little: true, unit });
        little.or_else(|| of(u32::from_be_bytes(magic)).map(|unit| Self { is_little: false, unit }))
    }
}

fn number(bytes: &[u8], at: usize, is_little: bool) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(if is_little { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) })
}

fn each_frame(capture: &[u8], mut see: impl FnMut(SystemTime, u32, &[u8])) -> Result<(), String> {
    let magic = *capture.first_chunk::<4>().ok_or("it is empty")?;
    let Some(Form { is_little, unit }) = Form::of(magic) else {
        return each_block(capture, see);
    };
    let link = number(capture, 20, is_little).ok_or("its head is cut short")?;
    let mut at = 24;
    while at + 16 <= capture.len() {
        let field = |offset| number(capture, at + offset, is_little).unwrap_or_default();
        let (secs, fine, len) = (field(0), field(4), field(8) as usize);
        // A capture that was cut off ends with what is whole.
        let Some(frame) = capture.get(at + 16..).and_then(|rest| rest.get(..len)) else { break };
        let nanos = fine.saturating_mul(unit).min(999_999_999);
        see(UNIX_EPOCH + Duration::new(secs.into(), nanos), link, frame);
        at += 16 + len;
    }
    Ok(())
}

/// The next generation's form: blocks, of which those with packets are of use.
fn each_block(capture: &[u8], mut see: impl FnMut(SystemTime, u32, &[u8])) -> Result<(), String> {
    let is_little = match number(capture, 8, true) {
        Some(0x1a2b_3c4d) => true,
        Some(0x4d3c_2b1a) => false,
        _ => return Err("it is no capture that is known here (pcap, pcapng)".to_owned()),
    };
    let (mut at, mut links) = (0, Vec::new());
    while let (Some(kind), Some(len)) = (number(capture, at, is_little), number(capture, at + 4, is_little)) {
        let Some(block) = capture.get(at..).and_then(|rest| rest.get(..len as usize)).filter(|_| len >= 12)
        else {
            break;
        };
        match kind {
            1 => links.push(number(block, 8, is_little).unwrap_or_default() & 0xffff),
            6 => {
                let field = |offset| number(block, offset, is_little).unwrap_or_default();
                let link = links.get(field(8) as usize).copied().unwrap_or(1);
                // Microseconds, unless an interface says otherwise, which none of the usual programs does.
                let micros = u64::from(field(12)) << 32 | u64::from(field(16));
                let frame = block.get(28..).and_then(|rest| rest.get(..field(20) as usize));
                if let Some(frame) = frame {
                    see(UNIX_EPOCH + Duration::from_micros(micros), link, frame);
                }
            }
            _ => {}
        }
        at += len as usize;
    }
    Ok(())
}

impl Streams {
    fn take(&mut self, at: SystemTime, link: u32, frame: &[u8]) {
        // Ethernet; raw IP; Linux "any".
        let packet = match link {
            1 => SlicedPacket::from_ethernet(frame).ok(),
            12 | 101 | 228 | 229 => SlicedPacket::from_ip(frame).ok(),
            113 => frame.get(16..).and_then(|ip| SlicedPacket::from_ip(ip).ok()),
            276 => frame.get(20..).and_then(|ip| SlicedPacket::from_ip(ip).ok()),
            _ => None,
        };
        let Some(packet) = packet else { return };
        let Some((source, destination)) = packet.net.as_ref().and_then(addresses) else { return };
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return };
        let key = (source, tcp.source_port(), destination, tcp.destination_port());
        let payload = tcp.payload();
        if tcp.syn() {
            if self.all.len() < MAX_STREAMS || self.all.contains_key(&key) {
                let next = Some(tcp.sequence_number().wrapping_add(1));
                self.all.insert(key, Stream { next, ..Stream::default() });
            }
            return;
        }
        if !payload.is_empty() {
            let known = self.all.len() < MAX_STREAMS || self.all.contains_key(&key);
            if known {
                let stream = self.all.entry(key).or_default();
                stream.add(tcp.sequence_number(), payload, at);
                while let Some(recorded) = stream.request(source) {
                    self.found.push(recorded);
                }
            }
        }
        if tcp.fin() || tcp.rst() {
            self.all.remove(&key);
        }
    }
}

fn addresses(net: &NetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        NetSlice::Ipv4(v4) => {
            let header = v4.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        NetSlice::Ipv6(v6) => {
            let header = v6.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        NetSlice::Arp(_) => None,
    }
}

impl Stream {
    fn add(&mut self, number: u32, payload: &[u8], at: SystemTime) {
        // A connection that began before the capture begins with the first that is seen of it.
        let next = *self.next.get_or_insert(number);
        // Numbers go round: what is less than half of them away lies ahead.
        let ahead = number.wrapping_sub(next);
        if ahead > u32::MAX / 2 {
            let old = next.wrapping_sub(number) as usize;
            let Some(new) = payload.get(old..).filter(|new| !new.is_empty()) else { return };
            self.append(new, at);
        } else if ahead == 0 {
            self.append(payload, at);
        } else if self.waiting.values().map(Vec::len).sum::<usize>() + payload.len() <= MAX_STREAM {
            self.waiting.insert(number, payload.to_vec());
            return;
        }
        while let Some(payload) = self.next.and_then(|next| self.waiting.remove(&next)) {
            self.append(&payload, at);
        }
    }

    fn append(&mut self, payload: &[u8], at: SystemTime) {
        let len = u32::try_from(payload.len()).unwrap_or_default();
        self.next = self.next.map(|next| next.wrapping_add(len));
        self.at = Some(at);
        let room = MAX_STREAM - self.data.len().min(MAX_STREAM);
        self.data.extend_from_slice(&payload[..payload.len().min(room)]);
    }

    /// The next whole request, taken out; what is none is thrown away.
    fn request(&mut self, source: IpAddr) -> Option<Recorded> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let end = match head.parse(&self.data) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return None,
            Err(_) => {
                self.data.clear();
                return None;
            }
        };
        let field = |name: &str| {
            head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let is_chunked =
            field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
        let len =
            field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
        let (body, taken) = if is_chunked {
            unchunked(&self.data[end..])?
        } else {
            let len: usize = len.unwrap_or_default();
            // Of a body longer than is kept, the beginning is all there will be.
            let whole = self.data.len() - end >= len || self.data.len() >= MAX_STREAM;
            whole.then(|| {
                let held = len.min(self.data.len() - end);
                (self.data[end..end + held].to_vec(), held)
            })?
        };
        let recorded = Recorded {
            at: self.at,
            source: Some(source),
            method: head.method.unwrap_or("GET").as_bytes().to_vec(),
            target: head.path.unwrap_or("/").as_bytes().to_vec(),
            headers: head
                .headers
                .iter()
                .map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec()))
                .collect(),
            body,
            status: None,
        };
        self.data.drain(..end + taken);
        Some(recorded)
    }
}

/// A body without its chunks, and how long it was with them; nothing while it is not whole.
fn unchunked(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = memchr::memmem::find(data.get(at..)?, b"\r\n")?;
        let size = data.get(at..at + line)?.split(|&byte| byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 16).ok()?;
        at += line + 2;
        if size == 0 {
            let end = memchr::memmem::find(data.get(at..)?, b"\r\n")?;
            return Some((body, at + end + 2));
        }
        let end = at.checked_add(size)?;
        body.extend_from_slice(data.get(at..end)?);
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// A capture of `segments`: their numbers and what they carry.
    fn capture(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for (at, (number, payload)) in segments.iter().enumerate() {
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4([203, 0, 113, 7], [10, 0, 0, 1], 64)
                .tcp(40000, 80, *number, 1000);
            let mut frame = Vec::new();
            builder.write(&mut frame, payload).unwrap();
            let len = u32::try_from(frame.len()).unwrap();
            for word in [1000 + u32::try_from(at).unwrap(), 5, len, len] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&frame);
        }
        out
    }

    #[test]
    fn requests_are_put_together_from_segments_in_any_order() {
        let first: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTT";
        let second: &[u8] = b"P/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
        let after = |segments: &[&[u8]]| 100 + u32::try_from(segments.concat().len()).unwrap();
        let (at_second, at_third) = (after(&[first]), after(&[first, second]));
        let capture = capture(&[(100, first), (at_third, b"q=1"), (at_second, second), (at_second, second)]);
        assert!(is_capture(&capture));
        let requests = requests(&capture).unwrap();
        let told: Vec<_> = requests
            .iter()
            .map(|request| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(&request.method), text(&request.target), text(&request.body), request.source)
            })
            .collect();
        let source = Some(IpAddr::from([203, 0, 113, 7]));
        assert_eq!(
            told,
            [
                ("GET".into(), "/a".into(), String::new(), source),
                ("POST".into(), "/b".into(), "q=1".into(), source)
            ]
        );
    }

    #[test]
    fn chunks_come_off_and_nonsense_harms_nothing() {
        let chunked: &[u8] =
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nq=1\r\n0\r\n\r\n";
        let found = requests(&capture(&[(1, chunked)])).unwrap();
        assert_eq!(found[0].body, b"q=1");
        assert!(requests(b"").is_err() && requests(b"nonsense").is_err());
        assert!(requests(&capture(&[(1, b"\x16\x03\x01\x02")])).unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_capture_is_too_odd(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let mut whole = capture(&[(1, b"GET / HTTP/1.1\r\n\r\n")]);
            whole.append(&mut bytes);
            let _found = requests(&whole);
        }
    }
}
