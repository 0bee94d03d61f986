//! One stream of HTTP/2 as what the gateway serves: bytes of a body to be read, and an answer in the
//! words of HTTP/1 to be written, of which the head is told from the body here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{Translated, out_of_text};

/// A stream with a client.
#[derive(Debug)]
pub(in crate::gateway) struct Stream {
    body: RecvStream,
    /// What came of the body and was not read yet.
    waiting: Bytes,
    answer: Answer,
    /// Whether the answer has no body, whatever its head says.
    bodiless: bool,
}

/// How far the answer is.
#[derive(Debug)]
enum Answer {
    Head(SendResponse<Bytes>),
    /// Its head is sent; this much of its body is missing, where that is known.
    Body(SendStream<Bytes>, Option<u64>),
    Whole,
}

impl Stream {
    pub(super) fn new(body: RecvStream, answer: SendResponse<Bytes>, bodiless: bool) -> Self {
        Self { body, waiting: Bytes::new(), answer: Answer::Head(answer), bodiless }
    }

    /// Resolves when the client wants no answer any more, or is gone.
    pub(in crate::gateway) async fn gone(&mut self) {
        std::future::poll_fn(|cx| match &mut self.answer {
            Answer::Head(respond) => respond.poll_reset(cx).map(drop),
            Answer::Body(send, _) => send.poll_reset(cx).map(drop),
            Answer::Whole => Poll::Ready(()),
        })
        .await;
    }

    /// Says that what was answered so far is not the whole.
    pub(in crate::gateway) fn break_off(&mut self) {
        match &mut self.answer {
            Answer::Head(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Body(send, _) => send.send_reset(Reason::INTERNAL_ERROR),
            Answer::Whole => {}
        }
    }

    /// Sends the head at the front of `bytes`; how many bytes that took.
    fn send_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Answer::Head(respond) = &mut self.answer else { return Ok(0) };
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        let text = bytes.get(..end).unwrap_or_default();
        let Translated { response, length } = out_of_text(text).ok_or(io::ErrorKind::InvalidData)?;
        if response.status().is_informational() {
            respond.send_informational(response).map_err(io::Error::other)?;
            return Ok(end + 4);
        }
        let without = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let ends = self.bodiless || without || length == Some(0);
        let send = respond.send_response(response, ends).map_err(io::Error::other)?;
        self.answer = if ends { Answer::Whole } else { Answer::Body(send, length) };
        Ok(end + 4)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.waiting.is_empty() {
            match ready!(this.body.poll_data(cx)) {
                Some(Ok(data)) => this.waiting = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.waiting.len().min(room.remaining());
        room.put_slice(&this.waiting.split_to(count));
        // What is read makes room for as much again.
        this.body.flow_control().release_capacity(count).map_err(io::Error::other)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (send, left) = match &mut this.answer {
            Answer::Head(_) => return Poll::Ready(this.send_head(bytes)),
            Answer::Body(send, left) => (send, left),
            Answer::Whole => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        send.reserve_capacity(bytes.len());
        let mut capacity = send.capacity();
        while capacity == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(count)) => capacity = count,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = capacity.min(bytes.len());
        if let Some(left) = left {
            *left = left.checked_sub(count as u64).ok_or(io::ErrorKind::InvalidData)?;
        }
        let ends = *left == Some(0);
        let data = Bytes::copy_from_slice(bytes.get(..count).unwrap_or_default());
        send.send_data(data, ends).map_err(io::Error::other)?;
        if ends {
            this.answer = Answer::Whole;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the answer, if it can end here.
    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match &mut self.answer {
            Answer::Whole => Ok(()),
            Answer::Body(send, None) => send.send_data(Bytes::new(), true).map_err(io::Error::other),
            Answer::Head(_) | Answer::Body(..) => {
                self.break_off();
                Ok(())
            }
        };
        self.answer = Answer::Whole;
        Poll::Ready(ended)
    }
}
