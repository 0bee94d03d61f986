//! A stream of HTTP/2: a connection that asks once.

use std::sync::Arc;

use super::{Connection, Next, Peer};
use crate::gateway::buffer::Buffer;
use crate::gateway::field::Kind;
use crate::gateway::framing::Framing;
use crate::gateway::guard::Cause;
use crate::gateway::live::{Live, Shared};
use crate::gateway::stream::ClientStream;

/// Serves the one request of a stream: its head as the guard reads it, and its body, if it does not end
/// with its head.
pub(in crate::gateway) async fn serve_stream(
    live: &Live,
    shared: Arc<Shared>,
    stream: ClientStream,
    peer: Peer,
    head: Result<Vec<u8>, Cause>,
    ends: bool,
) {
    let (text, wrong) = match head {
        Ok(text) => (text, None),
        Err(cause) => (Vec::new(), Some(cause)),
    };
    let mut connection = Connection::new(live, shared, stream, peer, Buffer::holding(text));
    let parsed = wrong.map_or_else(|| connection.parse_stream_head(ends), Err);
    let next = match parsed {
        Ok(()) => connection.handle().await,
        Err(cause) => connection.turn_away(cause).await,
    };
    match next {
        Next::Request | Next::Goodbye => connection.say_goodbye().await,
        Next::Close => {
            if let ClientStream::Http2(stream) = &mut connection.stream {
                stream.break_off();
            }
        }
    }
}

impl Connection<'_> {
    /// Parses the head of a stream's request, which is all of the input.
    fn parse_stream_head(&mut self, ends: bool) -> Result<(), Cause> {
        self.head.reset();
        let limits = &self.shared.limits;
        let len = self.input.len();
        self.shared.metrics.bytes_in.inc_by(len as u64);
        if len > limits.head_bytes {
            return Err(Cause::HeadTooLarge);
        }
        self.head.parse(self.input.filled_mut(), limits.headers)?;
        match self.head.framing {
            Framing::None if !ends => self.head.framing = Framing::Stream,
            // The library has compared a length with what came; what is left of it would never come.
            Framing::Length(1..) if ends => return Err(Cause::Framing),
            Framing::None | Framing::Length(_) | Framing::Chunked | Framing::Stream => {}
        }
        self.head.expects_continue = !ends && self.head.fields.iter().any(|field| field.kind == Kind::Expect);
        Ok(())
    }
}
