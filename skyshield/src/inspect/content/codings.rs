//! The codings themselves, each read to the end of its bytes: what follows a coded body unread could
//! be read by an application.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

use super::meter::{Meter, Paid, SLICE};
use super::{Plain, Unfinished};
use crate::inspect::budget;

/// The largest window of a zstd frame, in bytes: what RFC 9659 has every recipient support, and none
/// needs to exceed. Decoding holds this much beside its output.
const MAX_ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// The largest window of brotli (RFC 7932 section 9.1), in bytes.
const MAX_BROTLI_WINDOW: u64 = 1 << 24;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The coding that HTTP calls `token`.
    pub(super) fn of(token: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 6] = [
            (b"identity", Coding::Identity),
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
        ];
        let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(token));
        known.map(|(_, coding)| *coding)
    }
}

/// Decodes all of `coded` into `plain`.
pub(super) fn decode(
    coding: Coding,
    coded: &[u8],
    plain: &mut Plain<'_>,
    meter: &Meter,
) -> Result<(), Unfinished> {
    let decoded = match coding {
        Coding::Identity => all(coded, plain).map(|_| ()),
        Coding::Gzip => gzip(coded, plain, meter),
        Coding::Deflate => deflate(coded, plain, meter),
        Coding::Brotli => brotli(coded, plain, meter),
        Coding::Zstd => zstd(coded, plain, meter),
    };
    // A decoder that was not handed the rest takes its bytes for broken.
    if meter.ran_out() { Err(Unfinished::Over("steps")) } else { decoded }
}

/// Pays for a decoder that needs `room` bytes of its own.
fn opened(meter: &Meter, room: u64) -> Result<(), Unfinished> {
    let paid = meter.take(budget::DECODER + room / budget::ROOM_A_STEP);
    if paid { Ok(()) } else { Err(Unfinished::Over("steps")) }
}

/// Reads `reader` to its end, and gives it back.
fn all<R: Read>(mut reader: R, plain: &mut Plain<'_>) -> Result<R, Unfinished> {
    while plain.fill(|room| reader.read(room).map_err(|_| Unfinished::Unreadable))? {}
    Ok(reader)
}

/// One member after the other (RFC 1952 section 2.2).
fn gzip(mut coded: &[u8], plain: &mut Plain<'_>, meter: &Meter) -> Result<(), Unfinished> {
    while !coded.is_empty() {
        opened(meter, 0)?;
        let paid = Paid::new(coded, budget::DEFLATE_BYTE, meter);
        coded = all(GzDecoder::new(paid), plain)?.into_inner().rest();
    }
    Ok(())
}

/// The zlib format, as HTTP means it, or the bare one, as some clients do (RFC 9110 section 8.4.1.2).
fn deflate(coded: &[u8], plain: &mut Plain<'_>, meter: &Meter) -> Result<(), Unfinished> {
    let is_zlib = matches!(coded, [first, second, ..]
        if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31));
    opened(meter, 0)?;
    let paid = Paid::new(coded, budget::DEFLATE_BYTE, meter);
    let rest = if is_zlib {
        all(ZlibDecoder::new(paid), plain)?.into_inner()
    } else {
        all(DeflateDecoder::new(paid), plain)?.into_inner()
    }
    .rest();
    if rest.is_empty() { Ok(()) } else { Err(Unfinished::Unreadable) }
}

fn brotli(coded: &[u8], plain: &mut Plain<'_>, meter: &Meter) -> Result<(), Unfinished> {
    // It makes room for the largest window whatever the first byte says.
    opened(meter, MAX_BROTLI_WINDOW)?;
    let allocator = StandardAlloc::default;
    // The strict one: windows beyond RFC 7932 are for who asks for them.
    let mut state = BrotliState::new_strict(allocator(), allocator(), allocator());
    let (mut left, mut from, mut total) = (0, 0, 0);
    let mut ended = false;
    while !ended {
        if left == 0 && from < coded.len() {
            left = (coded.len() - from).min(SLICE);
            if !meter.take(budget::BROTLI_BYTE * left as u64) {
                return Err(Unfinished::Over("steps"));
            }
        }
        let is_last = from + left == coded.len();
        plain.fill(|room| {
            let (mut free, mut count) = (room.len(), 0);
            let result = BrotliDecompressStream(
                &mut left, &mut from, coded, &mut free, &mut count, room, &mut total, &mut state,
            );
            match result {
                BrotliResult::ResultSuccess => ended = true,
                BrotliResult::NeedsMoreOutput => {}
                // All there is was given.
                BrotliResult::NeedsMoreInput if count > 0 || !is_last => {}
                BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                    return Err(Unfinished::Unreadable);
                }
            }
            Ok(count)
        })?;
    }
    if from == coded.len() { Ok(()) } else { Err(Unfinished::Unreadable) }
}

/// One frame after the other (RFC 8878 section 3.1), those to be skipped among them.
fn zstd(mut coded: &[u8], plain: &mut Plain<'_>, meter: &Meter) -> Result<(), Unfinished> {
    while !coded.is_empty() {
        if let Some(len) = skippable(coded) {
            opened(meter, 0)?;
            coded = coded.get(len..).ok_or(Unfinished::Unreadable)?;
            continue;
        }
        // The decoder makes room for the window ahead of the first byte.
        let window = zstd_window(coded).ok_or(Unfinished::Unreadable)?;
        if window > MAX_ZSTD_WINDOW {
            return Err(Unfinished::Over("decoded_bytes"));
        }
        opened(meter, window)?;
        let paid = Paid::new(coded, budget::ZSTD_BYTE, meter);
        let decoder = StreamingDecoder::new(paid).map_err(|_| Unfinished::Unreadable)?;
        coded = all(decoder, plain)?.into_inner().rest();
    }
    Ok(())
}

/// The length of a frame to be skipped, where `coded` begins with one.
fn skippable(coded: &[u8]) -> Option<usize> {
    let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] = coded else { return None };
    usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?.checked_add(8)
}

/// The window of the frame that `coded` begins with, in bytes (RFC 8878 section 3.1.1.1).
fn zstd_window(coded: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = coded else { return None };
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1_u64.checked_shl(10 + u32::from(window >> 3))?;
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment is its own window: the size of the content, behind the dictionary's number.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(dictionary..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*size.first()?),
        1 => u64::from(u16::from_le_bytes(*size.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*size.first_chunk()?)),
        _ => u64::from_le_bytes(*size.first_chunk()?),
    })
}
