//! Frames as they pass by: where each begins, and of what kind it is.

/// Bytes of a frame's header (RFC 9113, section 4.1).
const HEADER: usize = 9;

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Bytes behind the header.
    pub(super) len: usize,
    /// Whether it ends its stream.
    pub(super) ends: bool,
}

/// The kinds that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Ping,
    WindowUpdate,
    Continuation,
    /// Any other, known or not.
    Other,
}

/// Finds frames in bytes that come in any pieces.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    have: usize,
    /// Bytes to pass over before the next header.
    skip: usize,
}

impl Frames {
    /// Of a stream that begins with `before` bytes which are no frame.
    pub(super) fn after(before: usize) -> Self {
        Self { header: [0; HEADER], have: 0, skip: before }
    }

    /// Tells `each` frame whose header is complete with `bytes`.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let count = (HEADER - self.have).min(bytes.len());
            let (taken, rest) = bytes.split_at(count);
            for &byte in taken {
                self.header[self.have] = byte;
                self.have += 1;
            }
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                let frame = Frame::of(self.header);
                self.skip = frame.len;
                each(frame);
            }
        }
    }
}

impl Frame {
    fn of(header: [u8; HEADER]) -> Self {
        let [high, middle, low, kind, flags, ..] = header;
        let len = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            6 => Kind::Ping,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        Self { kind, len, ends: flags & 1 != 0 && matches!(kind, Kind::Data | Kind::Headers) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    proptest::proptest! {
        #[test]
        fn frames_are_found_in_whatever_pieces_they_come(
            sent in proptest::collection::vec((0..12_u8, 0..2_u8, 0..40_usize), 0..20),
            pieces in proptest::collection::vec(1..30_usize, 1..50),
        ) {
            let frames = sent.iter().flat_map(|&(kind, flags, len)| frame(kind, flags, &vec![7; len]));
            let bytes: Vec<u8> = b"PREFACE".iter().copied().chain(frames).collect();
            let mut scanner = Frames::after(7);
            let mut found = Vec::new();
            let mut rest = bytes.as_slice();
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                scanner.scan(now, |frame| found.push(frame));
                rest = later;
            }
            let lens: Vec<_> = found.iter().map(|frame| frame.len).collect();
            let expected: Vec<_> = sent.iter().map(|&(_, _, len)| len).collect();
            proptest::prop_assert_eq!(lens, expected);
            for (frame, &(kind, flags, _)) in found.iter().zip(&sent) {
                proptest::prop_assert_eq!(frame.ends, flags == 1 && kind < 2);
            }
        }
    }
}
