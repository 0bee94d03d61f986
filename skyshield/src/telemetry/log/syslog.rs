//! A syslog server, by RFC 5424: datagrams, or a stream of messages with their lengths (RFC 6587).

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::config::Place;
use super::lines::PATIENCE;
use crate::clock;

/// How long a server that is not there is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A connection that is made when it is needed, and again when it broke.
#[derive(Debug)]
pub(super) struct Server {
    place: Place,
    connection: Option<Connection>,
    tried_at: Option<Instant>,
}

#[derive(Debug)]
enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Server {
    pub(super) fn at(place: Place) -> Self {
        Self { place, connection: None, tried_at: None }
    }

    fn connect(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            let now = clock::now();
            if self.tried_at.is_some_and(|at| now.saturating_duration_since(at) < RETRY_AFTER) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.tried_at = Some(now);
            self.connection = Some(Connection::to(&self.place)?);
        }
        self.connection.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Connection {
    fn to(place: &Place) -> io::Result<Self> {
        Ok(match place {
            Place::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Self::Unix(socket)
            }
            Place::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Self::Udp(socket)
            }
            Place::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Self::Tcp(stream)
            }
        })
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).map(drop),
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => {
                let framed = [format!("{} ", message.len()).as_bytes(), message].concat();
                stream.write_all(&framed)
            }
        }
    }
}

impl Write for Server {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let message = line.strip_suffix(b"\n").unwrap_or(line);
        let sent = self.connect()?.send(message);
        if sent.is_err() {
            self.connection = None;
        }
        sent.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stream_has_lengths_and_datagrams_have_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Server::at(Place::Tcp(listener.local_addr().unwrap()));
        server.write_all(b"<86>1 a\n").unwrap();
        server.write_all(b"<86>1 bc\n").unwrap();
        drop(server);
        let mut got = String::new();
        listener.accept().unwrap().0.read_to_string(&mut got).unwrap();
        assert_eq!(got, "7 <86>1 a8 <86>1 bc");

        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut server = Server::at(Place::Udp(receiver.local_addr().unwrap()));
        server.write_all(b"<86>1 a\n").unwrap();
        let mut buffer = [0; 64];
        let len = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"<86>1 a");
    }

    #[test]
    fn a_server_that_is_not_there_is_asked_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::at(Place::Unix(folder.path().join("log")));
        assert_eq!(server.write(b"a\n").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(server.write(b"a\n").unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
