//! A buffer that a connection fills and empties for as long as it lives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What an idle connection keeps at the most, in bytes.
pub(super) const KEPT: usize = 16 * 1024;

/// Bytes read and not yet used: one allocation for the life of a connection.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], start: 0, end: 0 }
    }

    /// One that holds `bytes` already.
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        Self { bytes, start: 0, end }
    }

    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether the next read needs room to be made.
    pub(super) fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Lets go of the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Takes `range` of what is filled out of the middle.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        let len = self.len();
        let (from, to) = (from.min(len), to.min(len));
        if from < to {
            self.filled_mut().copy_within(to.., from);
            self.end -= to - from;
        }
    }

    /// Makes room for `count` more bytes: first by moving what is there to the front, then by growing.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.bytes.len() - self.end >= count {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < count {
            self.bytes.resize((self.end + count).next_power_of_two(), 0);
        }
    }

    /// Gives back what a large request took, once nothing is left in the buffer.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.len() > KEPT {
            self.bytes.truncate(KEPT);
            self.bytes.shrink_to_fit();
        }
    }

    /// Takes `bytes` in behind what is filled.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let end = self.end + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.end..end) {
            room.copy_from_slice(bytes);
            self.end = end;
        }
    }

    fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        at_most: usize,
    ) -> Poll<io::Result<usize>> {
        let until = self.bytes.len().min(self.end.saturating_add(at_most));
        let mut room = ReadBuf::new(self.bytes.get_mut(self.end..until).unwrap_or_default());
        ready!(Pin::new(reader).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Reads once, into the room there is; 0 is the end of the stream.
    pub(super) async fn fill<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> io::Result<usize> {
        self.fill_some(reader, usize::MAX).await
    }

    /// Reads once, `at_most` this many bytes.
    pub(super) async fn fill_some<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        at_most: usize,
    ) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx, reader, at_most)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_out_leaves_the_rest_in_order() {
        let mut buffer = Buffer::holding(b"headGAPnext".to_vec());
        buffer.cut(4, 7);
        assert_eq!(buffer.filled(), b"headnext");
        buffer.cut(6, 99);
        assert_eq!(buffer.filled(), b"headne");
    }

    #[test]
    fn room_is_made_by_moving_before_growing() {
        let mut buffer = Buffer::holding(b"12345678".to_vec());
        buffer.consume(6);
        buffer.reserve(6);
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"78"[..], 8));
        buffer.reserve(7);
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"78"[..], 16));
    }
}
