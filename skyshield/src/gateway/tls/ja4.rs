//! What a client's first TLS message says of the program that sent it: its JA4.

use sha2::{Digest as _, Sha256};

/// A JA4 of the bytes that a client sent before it was answered: TLS records that hold a `ClientHello`.
/// Nothing where they do not, or not all of it.
pub(super) fn ja4(records: &[u8]) -> Option<String> {
    let hello = message(records)?;
    let mut rest = Bytes(&hello);
    let legacy_version = rest.number(2)?;
    rest.take(32)?;
    let session = rest.number(1)?;
    rest.take(session)?;
    let cipher_bytes = rest.number(2)?;
    let ciphers = numbers(rest.take(cipher_bytes)?);
    let methods = rest.number(1)?;
    rest.take(methods)?;
    let mut seen = Extensions { version: legacy_version, ..Extensions::default() };
    if let Some(len) = rest.number(2) {
        seen.read(Bytes(rest.take(len)?))?;
    }
    let version = match seen.version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        _ => "00",
    };
    let named = if seen.has_name { 'd' } else { 'i' };
    let (cipher_count, extension_count) = (ciphers.len().min(99), seen.kinds.len().min(99));
    let alpn = alpn(&seen.protocol);
    let listed = |mut numbers: Vec<usize>| {
        numbers.sort_unstable();
        numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
    };
    let kinds: Vec<_> = seen.kinds.iter().copied().filter(|kind| !matches!(kind, 0x0000 | 0x0010)).collect();
    let mut extensions = listed(kinds);
    if !seen.signatures.is_empty() {
        let signatures: Vec<_> = seen.signatures.iter().map(|number| format!("{number:04x}")).collect();
        extensions = format!("{extensions}_{}", signatures.join(","));
    }
    let (ciphers, extensions) = (hash(&listed(ciphers)), hash(&extensions));
    Some(format!("t{version}{named}{cipher_count:02}{extension_count:02}{alpn}_{ciphers}_{extensions}"))
}

#[derive(Default)]
struct Extensions {
    version: usize,
    kinds: Vec<usize>,
    has_name: bool,
    protocol: Vec<u8>,
    signatures: Vec<usize>,
}

impl Extensions {
    fn read(&mut self, mut rest: Bytes<'_>) -> Option<()> {
        while !rest.0.is_empty() {
            let kind = rest.number(2)?;
            let len = rest.number(2)?;
            let mut body = Bytes(rest.take(len)?);
            if is_grease(kind) {
                continue;
            }
            self.kinds.push(kind);
            match kind {
                0x0000 => self.has_name = true,
                0x000d => {
                    let len = body.number(2)?;
                    self.signatures = numbers(body.take(len)?);
                }
                0x0010 => {
                    body.number(2)?;
                    let len = body.number(1)?;
                    self.protocol = body.take(len)?.to_vec();
                }
                0x002b => {
                    let len = body.number(1)?;
                    self.version = numbers(body.take(len)?).into_iter().max().unwrap_or(self.version);
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// The first handshake message, out of however many records it came in.
fn message(records: &[u8]) -> Option<Vec<u8>> {
    const CLIENT_HELLO: usize = 1;
    let (mut rest, mut handshake) = (Bytes(records), Vec::new());
    loop {
        if let Some(len) = handshake.get(1..4).and_then(|len: &[u8]| Bytes(len).number(3))
            && let Some(message) = handshake.get(4..4 + len)
        {
            let is_hello = handshake.first().map(|kind| usize::from(*kind)) == Some(CLIENT_HELLO);
            return is_hello.then(|| message.to_vec());
        }
        if rest.number(1)? != usize::from(super::HANDSHAKE) {
            return None;
        }
        rest.take(2)?;
        let len = rest.number(2)?;
        handshake.extend_from_slice(rest.take(len)?);
    }
}

/// Values of which clients send one at random, so that servers learn to pass over what they do not know.
fn is_grease(number: usize) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

/// Numbers of two bytes, without what is sent at random.
fn numbers(bytes: &[u8]) -> Vec<usize> {
    let numbers = bytes.chunks_exact(2).filter_map(|pair| Bytes(pair).number(2));
    numbers.filter(|number| !is_grease(*number)).collect()
}

/// The first and the last letter of the first protocol.
fn alpn(protocol: &[u8]) -> String {
    match (protocol.first(), protocol.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => {
            [char::from(*first), char::from(*last)].iter().collect()
        }
        (Some(first), Some(last)) => {
            let (first, last) = (format!("{first:02x}"), format!("{last:02x}"));
            format!("{}{}", &first[..1], &last[1..])
        }
        _ => "00".to_owned(),
    }
}

fn hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let digest = Sha256::digest(text.as_bytes());
    let hex: Vec<_> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(len_bytes: usize, bytes: &[u8]) -> Vec<u8> {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&len[4 - len_bytes..], bytes].concat()
    }

    fn words(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [words(&[kind]), vector(2, body)].concat()
    }

    /// The message of the format's own published example, in which the values are spelt out.
    fn hello() -> Vec<u8> {
        let ciphers = words(&[
            0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ]);
        let signatures = words(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let plain = [
            0x001b_u16, 0x0033, 0x4469, 0x0017, 0x002d, 0x0005, 0x0023, 0x0012, 0xff01, 0x000b, 0x000a,
            0x0015,
        ];
        let extensions: Vec<u8> = [
            extension(0x0a0a, b""),
            extension(0x0000, b"name"),
            extension(0x002b, &vector(1, &words(&[0x1a1a, 0x0304, 0x0303]))),
            extension(0x000d, &vector(2, &signatures)),
            extension(0x0010, &vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat())),
        ]
        .concat()
        .into_iter()
        .chain(plain.iter().flat_map(|kind| extension(*kind, b"x")))
        .collect();
        let body = [
            words(&[0x0303]),
            vec![7; 32],
            vector(1, &[9; 32]),
            vector(2, &ciphers),
            vector(1, &[0]),
            vector(2, &extensions),
        ]
        .concat();
        [vec![1], vector(3, &body)].concat()
    }

    fn records(message: &[u8], at: usize) -> Vec<u8> {
        message.chunks(at).flat_map(|part| [vec![22, 3, 1], vector(2, part)].concat()).collect()
    }

    #[test]
    fn the_published_example_comes_out_however_it_is_cut_into_records() {
        let expected = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        for at in [10_000, 100, 7, 1] {
            assert_eq!(ja4(&records(&hello(), at)).as_deref(), Some(expected), "{at}");
        }
    }

    #[test]
    fn half_a_message_and_other_protocols_have_none() {
        let whole = records(&hello(), 10_000);
        for end in 0..whole.len() {
            assert_eq!(ja4(&whole[..end]), None, "{end}");
        }
        assert_eq!(ja4(b"GET / HTTP/1.1\r\n\r\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _any = ja4(&bytes);
            let _any = ja4(&records(&[vec![1, 0, 0, 90], bytes].concat(), 50));
        }
    }
}
