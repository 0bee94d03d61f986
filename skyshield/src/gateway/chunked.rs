//! The chunked coding, decoded strictly and in place.

/// Bytes of chunk extensions in one chunk's line at the most.
const MAX_EXTENSION: usize = 256;
/// Bytes of trailers at the most.
const MAX_TRAILERS: usize = 8 * 1024;
/// Digits of a chunk's size at the most: more do not fit 64 bits.
const MAX_DIGITS: u32 = 16;

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("a chunk's size is not 1 to 16 hexadecimal digits")]
    Size,
    #[error("a line of the chunked coding does not end in CRLF")]
    LineEnd,
    #[error("a chunk's extensions are too long or hold control characters")]
    Extension,
    #[error("the trailers are too long or malformed")]
    Trailer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A decoder that may be fed any split of the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    size: u64,
    digits: u32,
    extension: usize,
    trailers: usize,
}

/// How far one call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Bytes of data, now at the front of the input.
    pub(super) data: usize,
    /// Bytes used up, of data and of framing; all of them unless the body ended.
    pub(super) consumed: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, extension: 0, trailers: 0 }
    }

    /// Whether the body has ended, trailers and all.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `bytes`, moving the data to their front; trailers and extensions are dropped.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut data = 0;
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let run = left.min(bytes.len() - at);
                if at != data {
                    bytes.copy_within(at..at + run, data);
                }
                data += run;
                at += run;
                self.size -= run as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
            }
            let Some(&byte) = bytes.get(at) else { break };
            self.framing_byte(byte)?;
            at += 1;
        }
        Ok(Decoded { data, consumed: at })
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
                if self.digits == MAX_DIGITS {
                    return Err(ChunkError::Size);
                }
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\t' | b' '..=b'~') if self.extension < MAX_EXTENSION => {
                self.extension += 1;
                State::Extension
            }
            (State::Extension, _) => return Err(ChunkError::Extension),
            (State::SizeLf, b'\n') => {
                (self.digits, self.extension) = (0, 0);
                if self.size == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => State::TrailerName,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerName, b':') | (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                State::TrailerValue
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => {
                return Err(ChunkError::Trailer);
            }
            (
                State::SizeLf
                | State::DataCr
                | State::DataLf
                | State::TrailerLf
                | State::EndLf
                | State::Data
                | State::Done,
                _,
            ) => return Err(ChunkError::LineEnd),
        };
        if matches!(self.state, State::TrailerName | State::TrailerValue) {
            self.trailers += 1;
            if self.trailers > MAX_TRAILERS {
                return Err(ChunkError::Trailer);
            }
        }
        Ok(())
    }
}

/// Whether `byte` may stand in a header's name or a method.
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` in pieces that end at `cuts`; the data, what is left over, or what is wrong.
    fn decoded(bytes: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Vec<u8>, bool), ChunkError> {
        let mut decoder = Chunked::new();
        let (mut data, mut from) = (Vec::new(), 0);
        for &to in cuts.iter().chain([&bytes.len()]) {
            let mut piece = bytes[from..to.max(from)].to_vec();
            let step = decoder.decode(&mut piece)?;
            data.extend_from_slice(&piece[..step.data]);
            if decoder.is_done() {
                return Ok((data, bytes[from + step.consumed..].to_vec(), true));
            }
            assert_eq!(step.consumed, piece.len(), "only the end of a body leaves bytes over");
            from = to.max(from);
        }
        Ok((data, Vec::new(), false))
    }

    #[test]
    fn a_body_is_its_chunks_and_nothing_of_their_framing() {
        for (what, bytes, data, over) in [
            ("no chunk", "0\r\n\r\n", "", ""),
            ("two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", ""),
            (
                "hexadecimal in both cases",
                "0a\r\n0123456789\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
                "0123456789abcdefghijklmnopqrstuvwxyz",
                "",
            ),
            ("sixteen digits", "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc", ""),
            ("extensions are dropped", "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", "abc", ""),
            ("trailers are dropped", "3\r\nabc\r\n0\r\nContent-Length: 9\r\nX:\r\n\r\n", "abc", ""),
            (
                "what follows is left alone",
                "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
                "a",
                "GET / HTTP/1.1\r\n",
            ),
            ("data that looks like framing", "7\r\n0\r\n\r\n3\r\r\n0\r\n\r\n", "0\r\n\r\n3\r", ""),
        ] {
            let expected = Ok((data.as_bytes().to_vec(), over.as_bytes().to_vec(), true));
            assert_eq!(decoded(bytes.as_bytes(), &[]), expected, "{what}");
            let every: Vec<_> = (0..bytes.len()).collect();
            let (one_by_one, _, done) = decoded(bytes.as_bytes(), &every).unwrap();
            assert_eq!((one_by_one.as_slice(), done), (data.as_bytes(), true), "{what}, byte by byte");
        }
    }

    #[test]
    fn what_another_server_could_read_otherwise_is_refused() {
        let long_extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(MAX_EXTENSION + 1));
        let long_trailer = format!("0\r\nX: {}\r\n\r\n", "x".repeat(MAX_TRAILERS));
        for (what, bytes, error) in [
            ("no size", "\r\nabc\r\n", ChunkError::Size),
            ("0x prefix", "0x3\r\nabc\r\n0\r\n\r\n", ChunkError::Size),
            ("white space before the size", " 3\r\nabc\r\n", ChunkError::Size),
            ("white space after the size", "3 \r\nabc\r\n", ChunkError::Size),
            ("a sign", "+3\r\nabc\r\n", ChunkError::Size),
            ("underscore", "1_0\r\n", ChunkError::Size),
            ("seventeen digits", "00000000000000003\r\nabc\r\n", ChunkError::Size),
            ("size ended by LF", "3\nabc\r\n0\r\n\r\n", ChunkError::Size),
            ("CR without LF", "3\rabc", ChunkError::LineEnd),
            ("LF hidden in an extension", "3;a\nabc\r\n0\r\n\r\n", ChunkError::Extension),
            ("NUL in an extension", "3;\0\r\nabc\r\n", ChunkError::Extension),
            ("long extension", &long_extension, ChunkError::Extension),
            ("data ended by LF", "3\r\nabc\n0\r\n\r\n", ChunkError::LineEnd),
            ("data longer than its size", "3\r\nabcd\r\n0\r\n\r\n", ChunkError::LineEnd),
            ("data shorter than its size", "4\r\nabc\r\n0\r\n\r\n", ChunkError::LineEnd),
            ("trailer ended by LF", "0\r\nA: b\n\r\n", ChunkError::Trailer),
            ("trailer without a name", "0\r\n: b\r\n\r\n", ChunkError::Trailer),
            ("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", ChunkError::Trailer),
            ("trailers without end", &long_trailer, ChunkError::Trailer),
            ("end ended by LF", "0\r\n\n", ChunkError::Trailer),
        ] {
            assert_eq!(decoded(bytes.as_bytes(), &[]), Err(error), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(0usize..300, 0..8),
            noise in prop::option::of((0usize..300, any::<u8>())),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\nT: v\r\n\r\nnext");
            if let Some((at, byte)) = noise {
                let at = at % bytes.len();
                bytes[at] = byte;
            } else {
                prop_assert_eq!(decoded(&bytes, &[]), Ok((chunks.concat(), b"next".to_vec(), true)));
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            prop_assert_eq!(decoded(&bytes, &cuts), decoded(&bytes, &[]));
        }
    }
}
