//! Lines out of bytes that come in pieces; longer ones than are read are passed over, and counted.

use prometheus::IntCounter;

/// A line, in bytes at the most.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The line in progress.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Takes `bytes`, and hands every line that ends in them to `take`.
    pub(super) fn feed(&mut self, bytes: &[u8], dropped: &IntCounter, mut take: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, behind) = (&rest[..at], &rest[at + 1..]);
            rest = behind;
            if self.too_long || self.begun.len() + line.len() > MAX_LINE {
                dropped.inc();
            } else if self.begun.is_empty() {
                take(line.strip_suffix(b"\r").unwrap_or(line));
            } else {
                self.begun.extend_from_slice(line);
                take(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun));
            }
            self.forget();
        }
        if self.begun.len() + rest.len() > MAX_LINE {
            self.begun.clear();
            self.too_long = true;
        } else if !self.too_long {
            self.begun.extend_from_slice(rest);
        }
    }

    /// Forgets the line in progress: what comes next is another's.
    pub(super) fn forget(&mut self) {
        self.begun.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_pieces_and_too_long_ones_are_counted() {
        let long = "x".repeat(MAX_LINE + 1);
        let text = format!("one\ntwo\r\n\n{long}\nthree\nunfinished");
        for size in [1, 2, 7, 4096, text.len()] {
            let dropped = IntCounter::new("dropped", "lines").unwrap();
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.feed(piece, &dropped, |line| found.push(String::from_utf8_lossy(line).into_owned()));
            }
            assert_eq!(
                (found.as_slice(), dropped.get()),
                (&["one", "two", "", "three"].map(String::from)[..], 1)
            );
        }
    }
}
