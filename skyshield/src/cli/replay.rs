//! `skyshield replay`: recorded requests before the live configuration, in this process.

mod family;
mod split;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::{Failure, Replay, show};
use crate::config::Config;
use crate::engine::standing::Standing;
use crate::forward_auth::{self, Format};
use crate::inspect::{Header, Request};
use crate::verdict::Settings;

pub(in crate::cli) use split::Split;

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

impl Row {
    /// A line of an access log: honest until it is known better, and told by what the application answered.
    fn logged(status: u16) -> Self {
        Self { label: "legit".to_owned(), category: format!("answered {status}"), raw: String::new() }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) split: Option<Split>,
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

pub(super) fn obey(config: &Config, replay: &Replay, json: bool) -> Result<(), Failure> {
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let refused =
        |settings: &Settings, request: &Request<'_>| settings.opinion(request, Standing::default()).refuses();
    let mut outcome = Outcome::default();
    let mut split = replay.split.then(Split::default);
    each(replay, |row, request| {
        let refused = refused(&settings, request);
        let is_attack = row.label == "attack";
        outcome.total.count(is_attack, refused);
        if let Some(split) = split.as_mut().filter(|_| is_attack) {
            split.count(&settings, &row.category, request, refused);
        }
        outcome.categories.entry(row.category).or_default().count(is_attack, refused);
    })?;
    if let Some(split) = &mut split {
        let chosen = split.chosen(config);
        each(replay, |row, request| {
            if row.label == "attack" {
                split.count_by_chosen(&row.category, request, || refused(&chosen, request));
            }
        })?;
    }
    outcome.split = split;
    show::replayed(&outcome, json);
    Ok(())
}

/// The format of an access log, by its name in the configuration.
pub(super) fn format(name: &str) -> Result<Format, String> {
    let named = serde_json::from_value(serde_json::Value::String(name.to_owned()));
    named.map_err(|_| "there are json, combined, traefik, envoy and haproxy".to_owned())
}

/// Calls `see` with each request of the files.
fn each(replay: &Replay, mut see: impl FnMut(Row, &Request<'_>)) -> Result<(), Failure> {
    for path in &replay.files {
        let failed = |what: String| Failure::Refused(format!("{}: {what}", path.display()));
        let lines = open(path).map_err(|error| failed(error.to_string()))?;
        read(lines, |line| {
            if let Some(format) = replay.log {
                let logged = forward_auth::logged(format, line).ok_or("no line of such a log")?;
                let headers = [Header { name: b"Host", value: logged.host.as_bytes() }];
                let (method, target) = (logged.method.as_bytes(), logged.target.as_bytes());
                let request = Request { method, target, headers: &headers, body: &[] };
                see(Row::logged(logged.status), &request);
                return Ok(());
            }
            let row: Row = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let raw = decoded(row.raw.as_bytes()).ok_or("`raw` is no base64")?;
            let seen = with_request(&raw, |request| {
                let body = if replay.without_bodies { &[] } else { request.body };
                see(row, &Request { body, ..*request });
            });
            Ok(seen.ok_or("`raw` holds no request")?)
        })
        .map_err(|(line, what)| failed(format!("line {line}: {what}")))?;
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

fn read(
    mut lines: Box<dyn BufRead>,
    mut see: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), (usize, String)> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match read.map_err(|error| (number, error.to_string()))? {
            0 => break,
            _ if line.trim_ascii().is_empty() => {}
            _ => see(&line).map_err(|what| (number, what))?,
        }
    }
    Ok(())
}

/// What `see` makes of the request in `raw`; nothing where it is no request at all.
fn with_request<T>(raw: &[u8], see: impl FnOnce(&Request<'_>) -> T) -> Option<T> {
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
    Some(see(&request))
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
            let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
            with_request(raw.as_bytes(), |request| settings.opinion(request, Standing::default()).refuses())
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
        let see =
            |line: &[u8]| serde_json::from_slice::<Row>(line).map(drop).map_err(|error| error.to_string());
        assert_eq!(read(text, see).unwrap_err().0, 3);
    }

    #[test]
    fn an_access_log_is_counted_by_what_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("access.log");
        let line = |target: &str, status: u16| {
            format!(
                "203.0.113.7 - - [28/Nov/2026:00:00:00 +0000] \"GET {target} HTTP/1.1\" {status} 1 \"-\" \"-\"\n"
            )
        };
        let text = line("/", 200) + &line("/?q=%3Cscript%3Ealert(1)", 200) + &line("/old", 404);
        std::fs::write(&file, text).unwrap();
        let replay = Replay {
            files: vec![file.clone()],
            split: false,
            log: Some(Format::Combined),
            without_bodies: false,
        };
        let settings = Settings::new(&Config::default().inspect, &Config::default().risk, &[]);
        let mut outcome = Outcome::default();
        each(&replay, |row, request| {
            let refused = settings.opinion(request, Standing::default()).refuses();
            outcome.categories.entry(row.category).or_default().count(row.label == "attack", refused);
        })
        .unwrap();
        let answered = &outcome.categories["answered 200"].legit;
        assert_eq!((answered.n, answered.flagged), (2, 1));
        assert_eq!(outcome.categories["answered 404"].legit.flagged, 0);
        std::fs::write(&file, "nonsense\n").unwrap();
        assert!(each(&replay, |_, _| {}).unwrap_err().to_string().contains("line 1: no line of such a log"));
    }
}
