//! What an upstream tells of its own work in `Server-Timing` (a W3C working draft).

use std::time::Duration;

/// Entries of one line that are read at the most.
const MAX_ENTRIES: usize = 32;
/// Longer than any request: what claims more is no measurement.
const MAX_MILLIS: f64 = 86_400_000.0;

/// What was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerTiming {
    /// Time in the database, all entries together.
    pub(super) database: Option<Duration>,
    /// Whether the answer came from a cache.
    pub(super) cache: Option<Cache>,
}

/// What became of asking a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    Hit,
    Miss,
    /// It was asked, and what came of it is not said in these words.
    Other,
}

impl ServerTiming {
    /// Takes one line: `db;dur=53.2, cache;desc="hit"`.
    pub(super) fn read(&mut self, line: &[u8]) {
        for entry in pieces(line, b',').take(MAX_ENTRIES) {
            let mut parts = pieces(entry, b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let is_database = name.eq_ignore_ascii_case(b"db");
            if !is_database && !name.eq_ignore_ascii_case(b"cache") {
                continue;
            }
            let (mut duration, mut description) = (None, None);
            for part in parts {
                let Some(at) = memchr::memchr(b'=', part) else { continue };
                let (key, value) = (part[..at].trim_ascii(), unquoted(part[at + 1..].trim_ascii()));
                // Of a key that stands twice the first holds.
                if key.eq_ignore_ascii_case(b"dur") {
                    duration = duration.or(millis(value));
                } else if key.eq_ignore_ascii_case(b"desc") {
                    description = description.or(Some(value));
                }
            }
            if is_database {
                let sum = duration.map(|more| self.database.unwrap_or_default().saturating_add(more));
                self.database = sum.or(self.database);
            } else {
                self.cache = self.cache.or(Some(Cache::of(description.unwrap_or_default())));
            }
        }
    }
}

impl Cache {
    fn of(description: &[u8]) -> Self {
        match description {
            hit if hit.eq_ignore_ascii_case(b"hit") => Self::Hit,
            miss if miss.eq_ignore_ascii_case(b"miss") => Self::Miss,
            _ => Self::Other,
        }
    }
}

/// What stands between separators that are not quoted.
fn pieces(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        byte == separator && !quoted
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value).trim_ascii()
}

fn millis(value: &[u8]) -> Option<Duration> {
    let millis: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (0.0..=MAX_MILLIS).contains(&millis).then(|| Duration::from_secs_f64(millis / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_and_the_cache_are_told_in_any_spelling() {
        let micros = Duration::from_micros;
        for (lines, database, cache) in [
            (&["db;dur=53.2"][..], Some(53_200), None),
            (&["DB ; DUR = 2"], Some(2000), None),
            (&["db;dur=1, app;dur=9, db;dur=2.5"], Some(3500), None),
            (&["db;dur=1", "db;dur=2"], Some(3000), None),
            (&["db;desc=\"a, b; dur=7\";dur=1"], Some(1000), None),
            (&["db;desc=\"a\\\", db;dur=7\";dur=1"], Some(1000), None),
            (&["cache;desc=hit"], None, Some(Cache::Hit)),
            (&["cache;desc=\"MISS\";dur=0.1"], None, Some(Cache::Miss)),
            (&["cache;desc=\"Cache Read\";dur=23.2"], None, Some(Cache::Other)),
            (&["cache"], None, Some(Cache::Other)),
            (&["cache;desc=miss, cache;desc=hit"], None, Some(Cache::Miss)),
            (&["database;dur=1, dbx;dur=1, xcache;desc=hit"], None, None),
            (
                &["db", "db;dur=", "db;dur=x", "db;dur=-1", "db;dur=NaN", "db;dur=inf", "db;dur=1e300"],
                None,
                None,
            ),
            (&["", ",,;;==,\"", "db;dur=\"4\""], Some(4000), None),
        ] {
            let mut timing = ServerTiming::default();
            for line in lines {
                timing.read(line.as_bytes());
            }
            assert_eq!(timing, ServerTiming { database: database.map(micros), cache }, "{lines:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100), dur in "[0-9.eE+-]{0,12}") {
            let mut timing = ServerTiming::default();
            timing.read(&line);
            timing.read(format!("db;dur={dur},cache;desc=\"{dur}").as_bytes());
        }
    }
}
