//! How a connection begins: whose it is, and what is spoken on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::clock;
use crate::gateway::Shared;
use crate::gateway::buffer::Buffer;
use crate::gateway::deadline::Deadline;
use crate::gateway::http2;
use crate::gateway::proxy_protocol::{self, Header};
use crate::gateway::request_head::peer_lines;
use crate::gateway::stream::ClientStream;
use crate::gateway::tls::{self, Tls};

/// What a new connection reads into, in bytes; grown up to the limits.
pub(super) const FIRST_READ: usize = 4 * 1024;

/// Whose a connection is.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Peer {
    pub(in crate::gateway) address: IpAddr,
    /// Whether it is a trusted proxy.
    pub(in crate::gateway) trusted: bool,
    /// Whether `address` is who a proxy says connected to it.
    pub(in crate::gateway) spoken_for: bool,
    /// Whether nobody on the way can read what is said.
    pub(in crate::gateway) secure: bool,
    /// The lines that tell the upstream of it, where it is the client itself.
    pub(in crate::gateway) lines: Vec<u8>,
    /// What its first TLS message says of the program behind it.
    pub(in crate::gateway) ja4: Option<Arc<str>>,
}

impl Peer {
    fn new(shared: &Shared, address: IpAddr, spoken_for: bool, secure: bool) -> Self {
        let trusted = shared.trusted.contain(address);
        let lines = if trusted { Vec::new() } else { peer_lines(address) };
        Self { address, trusted, spoken_for, secure, lines, ja4: None }
    }

    /// What is known of it by other settings.
    pub(in crate::gateway) fn renew(&mut self, shared: &Shared) {
        let ja4 = self.ja4.take();
        *self = Self { ja4, ..Self::new(shared, self.address, self.spoken_for, self.secure) };
    }

    /// The scheme of what is asked for on this connection.
    pub(in crate::gateway) const fn scheme(&self) -> &'static [u8] {
        if self.secure { b"https" } else { b"http" }
    }
}

/// A connection that is ready for its first request.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) stream: ClientStream,
    pub(super) peer: Peer,
    /// What was read of the first request already.
    pub(super) input: Buffer,
    pub(super) deadline: Deadline,
    /// When the last bytes were read.
    pub(super) read_at: Instant,
    pub(super) speaks: Speaks,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http1,
    Http2,
    /// Anything but TLS where TLS is spoken.
    InTheClear,
}

/// A connection on its way to being [`Arrived`].
struct Arriving<'a> {
    shared: &'a Shared,
    socket: TcpStream,
    input: Buffer,
    deadline: Deadline,
    until: Instant,
    read_at: Instant,
}

/// Takes a connection from `from` up to its first request, or to its end where it does not get there.
pub(super) async fn arrive(
    shared: &Shared,
    socket: TcpStream,
    from: IpAddr,
    tls: Option<&Tls>,
) -> Option<Arrived> {
    let now = clock::now();
    let mut arriving = Arriving {
        shared,
        socket,
        input: Buffer::with_capacity(FIRST_READ),
        deadline: Deadline::default(),
        until: now + shared.limits.first_byte(),
        read_at: now,
    };
    let mut peer = Peer::new(shared, from, false, tls.is_some());
    if shared.proxy_protocol && peer.trusted {
        let Some(named) = arriving.read_proxy_header().await else {
            shared.metrics.refused_proxy.inc();
            return None;
        };
        if let Some(named) = named {
            peer = Peer::new(shared, named, true, peer.secure);
        }
    }
    let Some(tls) = tls else {
        let speaks = if shared.http2.cleartext { arriving.hear().await? } else { Speaks::Http1 };
        return Some(arriving.arrived(peer, speaks));
    };
    if arriving.input.is_empty() {
        arriving.read_more().await?;
    }
    if arriving.input.filled().first() != Some(&tls::HANDSHAKE) {
        shared.metrics.tls.shook(tls::Outcome::NotTls);
        peer.secure = false;
        return Some(arriving.arrived(peer, Speaks::InTheClear));
    }
    let Arriving { socket, mut input, mut deadline, .. } = arriving;
    let mut stream = tls.accept(socket, &mut input, &shared.metrics.tls, &mut deadline).await?;
    peer.ja4 = stream.get_mut().0.take_ja4().map(Arc::from);
    let agreed = stream.get_ref().1.alpn_protocol();
    let speaks = if agreed == Some(http2::PROTOCOL) { Speaks::Http2 } else { Speaks::Http1 };
    let (stream, read_at) = (ClientStream::Tls(stream), clock::now());
    Some(Arrived { stream, peer, input, deadline, read_at, speaks })
}

impl Arriving<'_> {
    fn arrived(self, peer: Peer, speaks: Speaks) -> Arrived {
        let Self { socket, input, deadline, read_at, .. } = self;
        Arrived { stream: ClientStream::Plain(socket), peer, input, deadline, read_at, speaks }
    }

    /// Reads as much as tells HTTP/2 from what else may come in the clear.
    async fn hear(&mut self) -> Option<Speaks> {
        loop {
            let heard = self.input.filled();
            let shared = heard.len().min(http2::PREFACE.len());
            if heard.get(..shared) != http2::PREFACE.get(..shared) {
                return Some(Speaks::Http1);
            }
            if shared == http2::PREFACE.len() {
                return Some(Speaks::Http2);
            }
            self.read_more().await?;
        }
    }

    /// Reads once; nothing at the end of the stream, or of its time.
    async fn read_more(&mut self) -> Option<()> {
        self.input.reserve(1);
        let fill = self.input.fill(&mut self.socket);
        let Some(Ok(count @ 1..)) = self.deadline.within(self.until, fill).await else { return None };
        self.read_at = clock::now();
        self.shared.metrics.bytes_in.inc_by(count as u64);
        Some(())
    }

    /// Reads what a trusted proxy says ahead of anything else, and whom it names; nothing where it
    /// does not say it.
    async fn read_proxy_header(&mut self) -> Option<Option<IpAddr>> {
        loop {
            if let Header::Complete(len, named) = proxy_protocol::parse(self.input.filled()).ok()? {
                self.input.consume(len);
                return Some(named);
            }
            self.read_more().await?;
        }
    }
}
