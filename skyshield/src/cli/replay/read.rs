//! Reading files of recorded requests, whatever form they are in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::record::Labelled;
use super::{Failure, Replay, har, log, pcap};
use crate::forward_auth::{self, Format};
use crate::rehearsal::Recorded;

/// Characters of one line at the most: a request of some megabytes in base64.
const MAX_LINE: u64 = 32 * 1024 * 1024;
/// Bytes of an archive or a capture at the most.
const MAX_WHOLE: u64 = 1 << 30;

/// Recorders differ on padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One recorded request, whole.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    label: String,
    #[serde(default)]
    category: String,
    /// The request as it went over the wire, in base64.
    raw: String,
}

/// Calls `see` with each request of `files`.
pub(super) fn each(replay: &Replay, mut see: impl FnMut(Labelled)) -> Result<(), Failure> {
    let mut see = |mut labelled: Labelled| {
        if replay.without_bodies {
            labelled.recorded.body.clear();
        }
        see(labelled);
    };
    for path in &replay.files {
        let failed = |what: String| Failure::Refused(format!("{}: {what}", path.display()));
        let mut text = open(path).map_err(|error| failed(error.to_string()))?;
        let begins = text.fill_buf().map_err(|error| failed(error.to_string()))?;
        if pcap::is_capture(begins) {
            let requests = pcap::requests(&whole(text).map_err(failed)?).map_err(failed)?;
            for recorded in requests {
                see(Labelled::of("capture", recorded));
            }
        } else if is_archive(path, begins) {
            let archive: Value = serde_json::from_slice(&whole(text).map_err(failed)?)
                .map_err(|error| failed(error.to_string()))?;
            let requests = har::requests(&archive).map_err(failed)?;
            for recorded in requests {
                see(Labelled::of("archive", recorded));
            }
        } else {
            lines(text, replay.log, &mut see)
                .map_err(|(line, what)| failed(format!("line {line}: {what}")))?;
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if packed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}

fn whole(text: Box<dyn BufRead>) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    let taken = text.take(MAX_WHOLE + 1).read_to_end(&mut all).map_err(|error| error.to_string())?;
    if taken as u64 > MAX_WHOLE { Err("longer than 1 GiB".to_owned()) } else { Ok(all) }
}

/// An archive is one object, which begins with its `log`.
fn is_archive(path: &Path, begins: &[u8]) -> bool {
    let is_har =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("har"));
    let named = is_har(path) || path.file_stem().is_some_and(|stem| is_har(Path::new(stem)));
    let text: Vec<u8> = begins.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(7).collect();
    named || text == b"{\"log\":"
}

fn lines(
    mut text: Box<dyn BufRead>,
    format: Option<Format>,
    see: &mut impl FnMut(Labelled),
) -> Result<(), (usize, String)> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match read.map_err(|error| (number, error.to_string()))? {
            0 => break,
            _ if line.trim_ascii().is_empty() => {}
            _ => see(one(&line, format).map_err(|what| (number, what))?),
        }
    }
    Ok(())
}

fn one(line: &[u8], format: Option<Format>) -> Result<Labelled, String> {
    if let Some(format) = format {
        let logged = forward_auth::logged(format, line).ok_or("no line of such a log")?;
        let recorded = Recorded {
            method: logged.method.into_bytes(),
            target: logged.target.into_bytes(),
            headers: vec![(b"Host".to_vec(), logged.host.into_bytes())],
            status: Some(logged.status),
            ..Recorded::default()
        };
        // Honest until it is known better, and told by what the application answered.
        let category = format!("answered {}", logged.status);
        return Ok(Labelled { label: "legit".to_owned(), category, recorded });
    }
    if line.trim_ascii_start().first() != Some(&b'{') {
        let line = String::from_utf8_lossy(line);
        return log::combined(line.trim_end()).map(|recorded| Labelled::of("log", recorded));
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if value.get("raw").is_none() {
        return log::json(&value).map(|recorded| Labelled::of("log", recorded));
    }
    let row: Row = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let raw = decoded(row.raw.as_bytes()).ok_or("`raw` is no base64")?;
    let recorded = recorded(&raw).ok_or("`raw` holds no request")?;
    Ok(Labelled { label: row.label, category: row.category, recorded })
}

/// The request in `raw`; nothing where it is no request at all.
fn recorded(raw: &[u8]) -> Option<Recorded> {
    let (head, body) = match memchr::memmem::find(raw, b"\r\n\r\n") {
        Some(at) => (&raw[..at], &raw[at + 4..]),
        None => (raw, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    let method_end = memchr::memchr(b' ', first)?;
    let rest = &first[method_end + 1..];
    // Recorded targets hold spaces: the version is what follows the last one.
    let target_end = memchr::memmem::rfind(rest, b" HTTP/").unwrap_or(rest.len());
    let headers = lines.filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
    });
    Some(Recorded {
        method: first[..method_end].to_vec(),
        target: rest[..target_end].to_vec(),
        headers: headers.collect(),
        body: body.to_vec(),
        ..Recorded::default()
    })
}

/// What `text` is the base64 of, with or without its padding, white space aside.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let letters: Vec<_> = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace()).collect();
    BASE64.decode(letters).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_and_what_is_none_is_told() {
        assert_eq!(decoded(b"R0VUIC8=").as_deref(), Some(&b"GET /"[..]));
        assert_eq!(decoded(b"R0V%"), None);
    }

    #[test]
    fn a_broken_line_is_named() {
        let text: Box<dyn BufRead> =
            Box::new(io::Cursor::new(b"{\"raw\":\"R0VUIC8=\"}\n\nnonsense\n".to_vec()));
        let mut seen = 0;
        let (line, _) = lines(text, None, &mut |_| seen += 1).unwrap_err();
        assert_eq!((line, seen), (3, 1));
        assert!(recorded(b"nonsense").is_none());
    }
}
