//! Questions of proxies, read off a kept connection: one framing or none, every size bounded.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};
use memchr::memmem;

/// A question's line and header lines together, in bytes.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Header lines of a question.
pub(super) const MAX_FIELDS: usize = 200;

/// Room for the header lines of one question.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; MAX_FIELDS];

/// Why a question cannot be read; the connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the request line or a header line is malformed")]
    Malformed,
    #[error("the head is larger than {HEAD_BYTES} bytes or has more than {MAX_FIELDS} lines")]
    HeadTooLarge,
    #[error("the body has more than one framing, or a malformed one")]
    Framing,
}

/// How a question says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// A question's head, in the buffer that holds it.
#[derive(Debug)]
pub(super) struct Head<'r, 'b> {
    pub(super) method: &'b [u8],
    pub(super) target: &'b [u8],
    pub(super) fields: &'r [Header<'b>],
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    /// The answer has no body, whatever its head says.
    pub(super) bodiless: bool,
}

/// Where the head at the front of `bytes` ends, the first `from` of which were looked at before; nothing
/// while its end has not come.
pub(super) fn head_len(bytes: &[u8], from: usize) -> Result<Option<usize>, Unreadable> {
    // The end may have begun in what was looked at before.
    let from = from.saturating_sub(3);
    let found = memmem::find(bytes.get(from..).unwrap_or_default(), b"\r\n\r\n");
    match found.map(|at| from + at + 4) {
        Some(len) if len <= HEAD_BYTES => Ok(Some(len)),
        None if bytes.len() < HEAD_BYTES => Ok(None),
        Some(_) | None => Err(Unreadable::HeadTooLarge),
    }
}

/// Parses `bytes`, a whole head.
pub(super) fn parse<'r, 'b>(bytes: &'b [u8], room: &'r mut Room<'b>) -> Result<Head<'r, 'b>, Unreadable> {
    let mut parsed = Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(bytes, room).map_err(|error| {
        let too_many = matches!(error, httparse::Error::TooManyHeaders);
        if too_many { Unreadable::HeadTooLarge } else { Unreadable::Malformed }
    })?;
    let whole = matches!(status, Status::Complete(len) if len == bytes.len());
    let (true, Some(method), Some(target), Some(minor)) = (whole, parsed.method, parsed.path, parsed.version)
    else {
        return Err(Unreadable::Malformed);
    };
    let fields: &'r [Header<'b>] = parsed.headers;
    let (mut length, mut chunked) = (None, false);
    let (mut closes, mut expects_continue) = (minor == 0, false);
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            6 if is("expect") => expects_continue = minor > 0,
            10 if is("connection") => closes |= names(field.value, b"close"),
            14 if is("content-length") => {
                let well_formed = length.is_none() && (1..=18).contains(&field.value.len());
                if !well_formed || !field.value.iter().all(u8::is_ascii_digit) {
                    return Err(Unreadable::Framing);
                }
                length = Some(field.value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
            }
            17 if is("transfer-encoding") => {
                if chunked || minor == 0 || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Unreadable::Framing);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    let framing = match (length, chunked) {
        (Some(_), true) => return Err(Unreadable::Framing),
        (None, true) => Framing::Chunked,
        (None | Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
    };
    Ok(Head {
        method: method.as_bytes(),
        target: target.as_bytes(),
        fields,
        framing,
        keep_alive: !closes,
        expects_continue,
        bodiless: method == "HEAD",
    })
}

fn names(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Takes the chunked coding off where the bytes lie.
#[derive(Debug, Default)]
pub(super) struct Dechunk {
    state: Chunk,
    /// Bytes of the line in progress.
    line: usize,
    /// The last of them.
    last: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In a line that says how long the next chunk is; the size so far and whether a digit has come.
    Size(u64, bool),
    /// In what may follow a size.
    Extension(u64),
    Data(u64),
    /// Behind data, before the line's end.
    DataEnd,
    /// In the lines behind the last chunk.
    Trailer,
    Done,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Size(0, false)
    }
}

/// A line of the coding, in bytes at the most.
const MAX_LINE: usize = 1024;

impl Dechunk {
    pub(super) fn is_done(&self) -> bool {
        self.state == Chunk::Done
    }

    /// Takes up `bytes` from `from` on: data is moved to `to`, right behind the data before it. Returns
    /// where data ends then, and how far the bytes were used up.
    pub(super) fn take(
        &mut self,
        bytes: &mut [u8],
        from: usize,
        to: usize,
    ) -> Result<(usize, usize), Unreadable> {
        let (mut at, mut end) = (from, to);
        while let Some(&byte) = bytes.get(at).filter(|_| !self.is_done()) {
            if let Chunk::Data(left) = self.state {
                let there = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                bytes.copy_within(at..at + there, end);
                (at, end) = (at + there, end + there);
                let left = left - there as u64;
                self.state = if left == 0 { Chunk::DataEnd } else { Chunk::Data(left) };
            } else {
                at += 1;
                self.step(byte)?;
            }
        }
        Ok((end, at))
    }

    /// Takes one byte of a line.
    fn step(&mut self, byte: u8) -> Result<(), Unreadable> {
        let after_cr = std::mem::replace(&mut self.last, byte) == b'\r';
        self.line += 1;
        if self.line > MAX_LINE || after_cr != (byte == b'\n') {
            return Err(Unreadable::Framing);
        }
        self.state = match (self.state, byte) {
            (Chunk::Size(size, _), _) if byte.is_ascii_hexdigit() && size < 1 << 56 => {
                Chunk::Size(size << 4 | u64::from(char::from(byte).to_digit(16).unwrap_or_default()), true)
            }
            (Chunk::Size(size, true), b';') => Chunk::Extension(size),
            (Chunk::Size(0, true) | Chunk::Extension(0), b'\n') => Chunk::Trailer,
            (Chunk::Size(size, true) | Chunk::Extension(size), b'\n') => Chunk::Data(size),
            (Chunk::DataEnd, b'\n') => Chunk::default(),
            (Chunk::Trailer, b'\n') if self.line == 2 => Chunk::Done,
            (Chunk::DataEnd, b'\r') if self.line == 1 => Chunk::DataEnd,
            (state @ Chunk::Size(_, true), b'\r') | (state @ (Chunk::Extension(_) | Chunk::Trailer), _) => {
                state
            }
            _ => return Err(Unreadable::Framing),
        };
        if byte == b'\n' {
            (self.line, self.last) = (0, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<(Framing, bool), Unreadable> {
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        parse(head.as_bytes(), &mut room).map(|head| (head.framing, head.keep_alive))
    }

    #[test]
    fn a_question_has_one_framing_or_none() {
        use Framing::{Chunked, Length, None};
        for (lines, found) in [
            ("", Ok((None, true))),
            ("Content-Length: 0\r\n", Ok((None, true))),
            ("Content-Length: 12\r\n", Ok((Length(12), true))),
            ("Transfer-Encoding: chunked\r\nConnection: close\r\n", Ok((Chunked, false))),
            ("Content-Length: 12\r\nContent-Length: 12\r\n", Err(Unreadable::Framing)),
            ("Content-Length: +1\r\n", Err(Unreadable::Framing)),
            ("Content-Length: \r\n", Err(Unreadable::Framing)),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Err(Unreadable::Framing)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(Unreadable::Framing)),
            ("No colon\r\n", Err(Unreadable::Malformed)),
        ] {
            assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{lines}\r\n")), found, "{lines:?}");
        }
        assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n"), Ok((None, false)));
        let many = "A: b\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(Unreadable::HeadTooLarge));
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_comes() {
        let bytes = b"GET / HTTP/1.1\r\n\r\nrest";
        for seen in 0..18 {
            assert_eq!(head_len(bytes, seen), Ok(Some(18)));
            assert_eq!(head_len(&bytes[..seen], 0), Ok(None));
        }
        assert_eq!(head_len(&vec![b'a'; HEAD_BYTES], 0), Err(Unreadable::HeadTooLarge));
    }

    /// The data in `coded`, handed over in pieces of `step` bytes, and what follows it.
    fn dechunked(coded: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), Unreadable> {
        let (mut dechunk, mut bytes, mut used, mut end) = (Dechunk::default(), Vec::new(), 0, 0);
        for piece in coded.chunks(step) {
            bytes.extend_from_slice(piece);
            (end, used) = dechunk.take(&mut bytes, used, end)?;
        }
        let rest = bytes[used..].to_vec();
        bytes.truncate(end);
        if dechunk.is_done() { Ok((bytes, rest)) } else { Ok((bytes, b"unfinished".to_vec())) }
    }

    #[test]
    fn the_chunked_coding_comes_off_whatever_the_pieces() {
        let coded = b"4\r\nWiki\r\nA;x=\"y\"\r\n0123456789\r\n000\r\nTrailer: t\r\n\r\nnext";
        for step in 1..coded.len() {
            assert_eq!(dechunked(coded, step), Ok((b"Wiki0123456789".to_vec(), b"next".to_vec())), "{step}");
        }
        for wrong in [
            "\r\n",
            "4\nWiki\r\n",
            "4\r\nWikipedia\r\n",
            "4\rWiki",
            "g\r\n",
            "4 \r\n",
            "1\r\na\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(dechunked(wrong.as_bytes(), 1), Err(Unreadable::Framing), "{wrong:?}");
        }
        let endless = [b"1;".to_vec(), vec![b'x'; MAX_LINE]].concat();
        assert_eq!(dechunked(&endless, 100), Err(Unreadable::Framing));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_find_more_than_came(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            step in 1_usize..20,
        ) {
            let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
            let _whatever = parse(&bytes, &mut room).map(|head| head.framing);
            if let Ok((data, _)) = dechunked(&bytes, step) {
                proptest::prop_assert!(data.len() <= bytes.len());
            }
        }
    }
}
