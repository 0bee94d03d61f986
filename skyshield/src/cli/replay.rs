//! `skyshield replay`: recorded requests before the live configuration, in this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::{Failure, show};
use crate::config::Config;
use crate::engine::standing::Standing;
use crate::inspect::{Header, Request};
use crate::verdict::Settings;

/// Characters of one line at the most: a request of some megabytes in base64.
const MAX_LINE: u64 = 32 * 1024 * 1024;

/// Recorders differ on padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One recorded request.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    label: String,
    #[serde(default)]
    category: String,
    /// The request as it went over the wire, in base64.
    raw: String,
}

/// What became of the requests of one category, or of all.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) attack: Attacks,
    pub(super) legit: Honest,
}

/// Those that should be refused.
#[derive(Debug, Default, Serialize)]
pub(super) struct Attacks {
    pub(super) n: u64,
    pub(super) detected: u64,
}

/// Those that should not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Honest {
    pub(super) n: u64,
    pub(super) flagged: u64,
}

/// What became of all requests.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) total: Tally,
    pub(super) categories: BTreeMap<String, Tally>,
}

impl Tally {
    fn count(&mut self, is_attack: bool, refused: bool) {
        if is_attack {
            self.attack.n += 1;
            self.attack.detected += u64::from(refused);
        } else {
            self.legit.n += 1;
            self.legit.flagged += u64::from(refused);
        }
    }
}

pub(super) fn obey(config: &Config, files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let mut outcome = Outcome::default();
    for path in files {
        let failed = |what: String| Failure::Refused(format!("{}: {what}", path.display()));
        let lines = open(path).map_err(|error| failed(error.to_string()))?;
        read(lines, |row| {
            let raw = decoded(row.raw.as_bytes()).ok_or("`raw` is no base64")?;
            let refused = refused(&settings, &raw).ok_or("`raw` holds no request")?;
            let is_attack = row.label == "attack";
            outcome.total.count(is_attack, refused);
            outcome.categories.entry(row.category).or_default().count(is_attack, refused);
            Ok(())
        })
        .map_err(|(line, what)| failed(format!("line {line}: {what}")))?;
    }
    show::replayed(&outcome, json);
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

fn read(
    mut lines: Box<dyn BufRead>,
    mut see: impl FnMut(Row) -> Result<(), &'static str>,
) -> Result<(), (usize, String)> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match read.map_err(|error| (number, error.to_string()))? {
            0 => break,
            _ if line.trim_ascii().is_empty() => {}
            _ => {
                let row = serde_json::from_slice(&line).map_err(|error| (number, error.to_string()))?;
                see(row).map_err(|what| (number, what.to_owned()))?;
            }
        }
    }
    Ok(())
}

/// Whether the verdict on `raw` would be to refuse it; nothing where it is no request at all.
fn refused(settings: &Settings, raw: &[u8]) -> Option<bool> {
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
    let headers: Vec<_> = lines
        .filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some(Header { name: &line[..colon], value: line[colon + 1..].trim_ascii() })
        })
        .collect();
    let request =
        Request { method: &first[..method_end], target: &rest[..target_end], headers: &headers, body };
    Some(settings.opinion(&request, Standing::default()).refuses())
}

/// What `text` is the base64 of, with or without its padding, white space aside.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let letters: Vec<_> = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace()).collect();
    BASE64.decode(letters).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Mode;

    #[test]
    fn base64_is_decoded_and_what_is_none_is_told() {
        assert_eq!(decoded(b"R0VUIC8=").as_deref(), Some(&b"GET /"[..]));
        assert_eq!(decoded(b"R0V%"), None);
    }

    #[test]
    fn the_verdict_is_that_of_the_configuration() {
        let mut config = Config::default();
        let judged = |config: &Config, raw: &str| {
            refused(&Settings::new(&config.inspect, &config.risk, &config.routes), raw.as_bytes())
        };
        let rows = [
            ("GET /?q=%3Cscript%3Ealert(1) HTTP/1.1\r\nHost: a\r\n\r\n", Some(true)),
            ("GET /?q=hello there HTTP/1.1\r\nHost: a\r\n\r\n", Some(false)),
            ("nonsense", None),
        ];
        for (raw, expected) in rows {
            assert_eq!(judged(&config, raw), expected, "{raw}");
        }
        config.inspect.mode = Mode::Observe;
        assert_eq!(judged(&config, rows[0].0), Some(false));
    }

    #[test]
    fn a_broken_line_is_named() {
        let text: Box<dyn BufRead> = Box::new(io::Cursor::new(b"{\"raw\":\"\"}\n\nnonsense\n".to_vec()));
        let (line, _) = read(text, |_| Ok(())).unwrap_err();
        assert_eq!(line, 3);
    }
}
