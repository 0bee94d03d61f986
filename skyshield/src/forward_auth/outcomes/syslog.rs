//! Lines that proxies send as syslog datagrams (RFC 3164 and 5424), over UDP on loopback or a socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::Teller;

/// What waits in the kernel, in bytes; what comes beyond it the kernel drops.
const QUEUED: usize = 4 * 1024 * 1024;
/// A datagram, in bytes at the most.
const DATAGRAM: usize = 64 * 1024;

/// A socket at `address`, which a predecessor may still have.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Where the kernel gives less, more is dropped in a burst.
    let _less = socket.set_recv_buffer_size(QUEUED);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Reads what comes by UDP until `stop`.
pub(super) async fn by_udp(socket: UdpSocket, teller: &Teller, stop: &CancellationToken) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut room = vec![0; DATAGRAM];
    while let Some(received) = stop.run_until_cancelled(socket.recv(&mut room)).await {
        take(teller, &room, received);
    }
    Ok(())
}

/// Reads what comes by a socket with a path until `stop`.
pub(super) async fn by_path(
    socket: UnixDatagram,
    teller: &Teller,
    stop: &CancellationToken,
) -> io::Result<()> {
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    let mut room = vec![0; DATAGRAM];
    while let Some(received) = stop.run_until_cancelled(socket.recv(&mut room)).await {
        take(teller, &room, received);
    }
    Ok(())
}

fn take(teller: &Teller, room: &[u8], received: io::Result<usize>) {
    let datagram = received.ok().and_then(|count| room.get(..count));
    match datagram.map(message) {
        Some(message) => message.split(|&byte| byte == b'\n').for_each(|line| teller.take(line)),
        None => teller.metrics.dropped.inc(),
    }
}

/// How long the time is that a message of RFC 3164 begins with.
const TIME: usize = "Nov 28 00:00:00 ".len();

/// The message in a datagram; where it has no header, all of it.
fn message(datagram: &[u8]) -> &[u8] {
    let Some(rest) = datagram.strip_prefix(b"<").and_then(|rest| {
        let at = rest.iter().take(4).position(|&byte| byte == b'>')?;
        rest.get(at + 1..)
    }) else {
        return datagram;
    };
    if let Some(rest) = rest.strip_prefix(b"1 ") {
        // Time, host, application, process and kind, then data in brackets or a dash.
        let mut behind = rest;
        for _ in 0..5 {
            let Some(at) = memchr::memchr(b' ', behind) else { return rest };
            behind = &behind[at + 1..];
        }
        let data = if behind.first() == Some(&b'[') { memchr::memmem::find(behind, b"] ") } else { None };
        let end = data.map(|at| at + 2).or_else(|| Some(memchr::memchr(b' ', behind)? + 1));
        return end.and_then(|end| behind.get(end..)).unwrap_or(rest);
    }
    // The time has blanks and colons of its own, and a fixed length.
    let behind = rest.get(TIME..).unwrap_or(rest);
    match memchr::memmem::find(behind, b": ") {
        Some(at) => &behind[at + 2..],
        None => behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_told_from_its_header() {
        for (datagram, expected) in [
            ("<190>Nov 28 00:00:00 web1 nginx: {\"status\":200}", "{\"status\":200}"),
            ("<190>Nov 28 00:00:00 nginx: a: b", "a: b"),
            ("<134>Nov  8 00:00:00 haproxy[12]: 203.0.113.7:1 [x]", "203.0.113.7:1 [x]"),
            ("<165>1 2026-11-28T00:00:00Z web1 nginx 12 - - {\"status\":200}", "{\"status\":200}"),
            ("<165>1 2026-11-28T00:00:00Z web1 nginx 12 ID [a b=\"c\"] line", "line"),
            ("{\"status\":200}", "{\"status\":200}"),
            ("<1>", ""),
            ("<165>1 ", ""),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(message(datagram.as_bytes())), expected, "{datagram}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_makes_it_panic(rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let _whatever = message(&rest);
            let _whatever = message(&[b"<165>1 ", rest.as_slice()].concat());
            let _whatever = message(&[b"<190>", rest.as_slice()].concat());
        }
    }
}
