//! What decoding may cost: paid by the bytes that go in, since a decoder works on them whether any come out or not.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

/// Bytes handed to a decoder at once.
pub(super) const SLICE: usize = 1024;

/// The steps that are left for decoding.
#[derive(Debug)]
pub(super) struct Meter {
    left: Cell<u64>,
    out: Cell<bool>,
}

impl Meter {
    pub(super) fn new(steps: u64) -> Self {
        Self { left: Cell::new(steps), out: Cell::new(false) }
    }

    /// Takes `steps`; false when they are not left.
    pub(super) fn take(&self, steps: u64) -> bool {
        let rest = self.left.get().checked_sub(steps);
        self.left.set(rest.unwrap_or(0));
        self.out.set(self.out.get() || rest.is_none());
        rest.is_some()
    }

    /// Whether something could not be paid.
    pub(super) fn ran_out(&self) -> bool {
        self.out.get()
    }

    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }
}

/// Coded bytes, handed on slice by slice as they are paid.
#[derive(Debug)]
pub(super) struct Paid<'a, 'm> {
    bytes: &'a [u8],
    /// Of the bytes, how many are paid and not yet read.
    due: usize,
    price: u64,
    meter: &'m Meter,
}

impl<'a, 'm> Paid<'a, 'm> {
    /// `bytes` at `price` steps each.
    pub(super) fn new(bytes: &'a [u8], price: u64, meter: &'m Meter) -> Self {
        Self { bytes, due: 0, price, meter }
    }

    /// What was not read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.bytes
    }
}

impl BufRead for Paid<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.due == 0 && !self.bytes.is_empty() {
            let slice = self.bytes.len().min(SLICE);
            if !self.meter.take(self.price.saturating_mul(slice as u64)) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.due = slice;
        }
        Ok(&self.bytes[..self.due])
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.due);
        self.bytes = &self.bytes[amount..];
        self.due -= amount;
    }
}

impl Read for Paid<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(room)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_handed_on_as_long_as_they_are_paid() {
        let bytes = [7; 3 * SLICE];
        let meter = Meter::new(2 * SLICE as u64 * 5 + 1);
        let mut paid = Paid::new(&bytes, 5, &meter);
        let mut read = Vec::new();
        assert!(paid.read_to_end(&mut read).is_err());
        assert_eq!((read.len(), paid.rest().len()), (2 * SLICE, SLICE));
        assert!(meter.ran_out() && meter.left() == 0);
    }
}
