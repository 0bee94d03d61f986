//! Reading a list, however it is written: JSON, JSON by lines, plain with comments, or CSV.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde_json::Value;

use super::config::Format;
use crate::engine::source::Source;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The addresses and prefixes, as they came.
    pub nets: Vec<IpNet>,
    /// Entries that are neither.
    pub odd: usize,
}

/// Why a text is not taken for a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing in it.
    #[error("there is no address in it")]
    Empty,
    /// Too much of it is something else: an error page, say.
    #[error("{odd} of {entries} entries are no address: is it a list at all?")]
    NotAList {
        /// Entries that are no address.
        odd: usize,
        /// All entries.
        entries: usize,
    },
    /// It has more entries than its `max_entries`.
    #[error("it has more than {0} entries, its max_entries")]
    TooMany(usize),
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// It is no CSV, or has no such column.
    #[error("it is no CSV with that column: {0}")]
    NotCsv(String),
}

/// Names under which an object holds its address or prefix.
const NAMES: &[&str] = &[
    "cidr",
    "ip",
    "ipAddress",
    "ip_address",
    "prefix",
    "ip_prefix",
    "ipv6_prefix",
    "ipv4Prefix",
    "ipv6Prefix",
    "network",
    "net",
    "address",
];
/// A line longer than this is no entry.
const MAX_LINE: usize = 4096;
/// One odd entry in this many is borne.
const BORNE: usize = 10;
/// Rows of a CSV in which the column with addresses is looked for.
const LOOKED_AT: usize = 20;

/// The entries of `text`, at the most `max_entries`. Linear in the text.
pub fn parse(
    text: &[u8],
    format: Format,
    column: Option<&str>,
    max_entries: usize,
) -> Result<Parsed, Unreadable> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = Reader { parsed: Parsed::default(), max_entries };
    match format {
        Format::Auto => return parse(text, looks_like(text), column, max_entries),
        Format::Ndjson => reader.lines_of_json(text)?,
        Format::Json => {
            let value =
                serde_json::from_slice(text).map_err(|error| Unreadable::NotJson(error.to_string()))?;
            reader.value(&value, true)?;
        }
        Format::Plain => reader.lines(text)?,
        Format::Csv => reader.csv(text, column)?,
    }
    let Parsed { nets, odd } = &reader.parsed;
    let entries = nets.len() + odd;
    if odd * BORNE > entries {
        return Err(Unreadable::NotAList { odd: *odd, entries });
    }
    if nets.is_empty() { Err(Unreadable::Empty) } else { Ok(reader.parsed) }
}

fn looks_like(text: &[u8]) -> Format {
    let text = text.trim_ascii_start();
    match text.first() {
        Some(b'[') => Format::Json,
        Some(b'{') => {
            let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
            let (line, rest) = text.split_at(end);
            let is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            if is_whole && !rest.trim_ascii().is_empty() { Format::Ndjson } else { Format::Json }
        }
        _ => {
            let line = text.split(|&byte| byte == b'\n').find(|line| {
                !line.trim_ascii().is_empty() && !matches!(line.trim_ascii_start().first(), Some(b'#' | b';'))
            });
            if line.is_some_and(|line| line.contains(&b',')) { Format::Csv } else { Format::Plain }
        }
    }
}

struct Reader {
    parsed: Parsed,
    max_entries: usize,
}

impl Reader {
    /// Notes an entry; one that is no address is odd.
    fn entry(&mut self, text: &str) -> Result<(), Unreadable> {
        let before = self.parsed.nets.len();
        match one(text) {
            Some(One::Net(net)) => self.parsed.nets.push(net),
            Some(One::Range(first, last)) => range(first, last, &mut self.parsed.nets),
            None => {}
        }
        self.parsed.odd += usize::from(self.parsed.nets.len() == before);
        if self.parsed.nets.len() + self.parsed.odd > self.max_entries {
            return Err(Unreadable::TooMany(self.max_entries));
        }
        Ok(())
    }

    fn lines(&mut self, text: &[u8]) -> Result<(), Unreadable> {
        for line in text.split(|&byte| byte == b'\n') {
            let Some(line) = short(line) else {
                self.entry("")?;
                continue;
            };
            let line = line.split(['#', ';']).next().unwrap_or_default().trim();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                None | Some("ExitNode" | "Published" | "LastStatus") => {}
                Some("ExitAddress") => self.entry(words.next().unwrap_or_default())?,
                // `1.2.3.4 - 1.2.3.9`, or an address with remarks behind it.
                Some(first) => match (words.next(), words.next()) {
                    (Some("-"), Some(last)) => self.entry(&format!("{first}-{last}"))?,
                    _ => self.entry(first.trim_end_matches(','))?,
                },
            }
        }
        Ok(())
    }

    fn lines_of_json(&mut self, text: &[u8]) -> Result<(), Unreadable> {
        for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let value = short(line).and_then(|line| serde_json::from_str::<Value>(line).ok());
            match value {
                Some(value) if value.get("type").and_then(Value::as_str) == Some("metadata") => {}
                Some(value) => self.value(&value, true)?,
                None => self.entry("")?,
            }
        }
        Ok(())
    }

    /// Takes what is named as an address out of `value`, and strings where a list is of nothing else. The
    /// reader of JSON has bounded the depth.
    fn value(&mut self, value: &Value, is_entry: bool) -> Result<(), Unreadable> {
        match value {
            Value::String(text) if is_entry => self.entry(text),
            Value::Array(values) => values.iter().try_for_each(|value| self.value(value, true)),
            Value::Object(fields) => {
                if let Some(text) = NAMES.iter().find_map(|name| fields.get(*name)?.as_str()) {
                    return self.entry(text);
                }
                fields
                    .values()
                    .filter(|value| value.is_array() || value.is_object())
                    .try_for_each(|value| self.value(value, false))
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn csv(&mut self, text: &[u8], column: Option<&str>) -> Result<(), Unreadable> {
        let wrong = |error: csv::Error| Unreadable::NotCsv(error.to_string());
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text);
        let mut rows = rows.byte_records();
        let head: Vec<_> = rows.by_ref().take(LOOKED_AT).collect::<Result<_, _>>().map_err(wrong)?;
        let cell = |row: &csv::ByteRecord, at: usize| {
            row.get(at).and_then(|cell| std::str::from_utf8(cell).ok()).unwrap_or_default().to_owned()
        };
        let is_title = |row: &csv::ByteRecord, at: usize| one(&cell(row, at)).is_none();
        let at = match column {
            Some(named) => {
                named.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).or_else(|| {
                    let titles = head.first()?;
                    (0..titles.len()).find(|&at| cell(titles, at).eq_ignore_ascii_case(named))
                })
            }
            None => head.iter().find_map(|row| (0..row.len()).find(|&at| one(&cell(row, at)).is_some())),
        };
        let at = at.ok_or_else(|| Unreadable::NotCsv("no column holds addresses".to_owned()))?;
        for (number, row) in head.into_iter().map(Ok).chain(rows).enumerate() {
            let row = row.map_err(wrong)?;
            if number > 0 || !is_title(&row, at) {
                self.entry(&cell(&row, at))?;
            }
        }
        Ok(())
    }
}

fn short(line: &[u8]) -> Option<&str> {
    (line.len() <= MAX_LINE).then(|| std::str::from_utf8(line).ok()).flatten()
}

enum One {
    Net(IpNet),
    Range(IpAddr, IpAddr),
}

/// An address, a prefix or a range. Octets with leading zeros are read as nobody reads them alike: not at all.
fn one(text: &str) -> Option<One> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(One::Net(IpNet::from(IpAddr::V4(address))));
    }
    if let Ok(source) = text.parse::<Source>() {
        return Some(One::Net(source.as_prefix()));
    }
    let (first, last) = text.split_once('-')?;
    let (first, last): (IpAddr, IpAddr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(One::Range(first, last))
}

fn range(first: IpAddr, last: IpAddr, into: &mut Vec<IpNet>) {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            into.extend(Ipv4Subnets::new(first, last, 0).map(IpNet::V4));
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            into.extend(Ipv6Subnets::new(first, last, 0).map(IpNet::V6));
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let parsed = parse(text.as_bytes(), Format::Auto, None, 1000).unwrap();
        parsed.nets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_read_as_their_publishers_write_them() {
        let drop = "{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n\
                    {\"cidr\":\"2a06:5280::/29\",\"sblid\":\"SBL1\",\"rir\":\"ripencc\"}\n\
                    {\"type\":\"metadata\",\"timestamp\":1,\"size\":2,\"records\":2,\"copyright\":\"(c)\",\"terms\":\"x\"}\n";
        assert_eq!(read(drop), ["1.10.16.0/20", "2a06:5280::/29"]);
        let netset =
            "#\n# firehol_level1\n# Entries : 3 subnets\n#\n0.0.0.0/8\r\n1.10.16.0/20\r\n5.6.7.8\r\n";
        assert_eq!(read(netset), ["0.0.0.0/8", "1.10.16.0/20", "5.6.7.8/32"]);
        let exits = "ExitNode 0011BD24\nPublished 2026-01-01 00:00:00\nLastStatus 2026-01-01 00:00:00\n\
                     ExitAddress 162.247.74.201 2026-01-01 00:00:00\nExitAddress 162.247.74.202 2026-01-01 00:00:00\n";
        assert_eq!(read(exits), ["162.247.74.201/32", "162.247.74.202/32"]);
        assert_eq!(
            read("45.1.2.3\n45.1.2.3 ; SBL1\n45.1.2.4-45.1.2.7\n"),
            ["45.1.2.3/32", "45.1.2.3/32", "45.1.2.4/30"]
        );
        let blacklist = "{\"meta\":{\"generatedAt\":\"x\"},\"data\":[{\"ipAddress\":\"45.1.2.3\",\"abuseConfidenceScore\":100}]}";
        assert_eq!(read(blacklist), ["45.1.2.3/32"]);
        assert_eq!(read("[\"45.1.2.3\", \"2a00::1\"]"), ["45.1.2.3/32", "2a00::1/128"]);
        assert_eq!(
            read("first_seen,ip,note\n2026,45.1.2.3,\"a, b\"\n2026,45.1.2.4,\n"),
            ["45.1.2.3/32", "45.1.2.4/32"]
        );
        assert_eq!(read("\u{feff}::ffff:45.1.2.3\n"), ["45.1.2.3/32"]);
    }

    #[test]
    fn a_column_is_named_by_title_or_number() {
        let text = b"a,b\n45.0.0.1,46.0.0.1\n";
        for (column, found) in [("b", "46.0.0.1/32"), ("2", "46.0.0.1/32"), ("1", "45.0.0.1/32")] {
            let parsed = parse(text, Format::Csv, Some(column), 10).unwrap();
            assert_eq!(parsed.nets[0].to_string(), found);
        }
        assert!(matches!(parse(text, Format::Csv, Some("c"), 10), Err(Unreadable::NotCsv(_))));
    }

    #[test]
    fn what_is_no_list_is_refused_and_a_slip_is_borne() {
        let page = "<html>\n<head><title>429</title></head>\n<body>Too many requests</body>\n</html>\n";
        assert!(matches!(parse(page.as_bytes(), Format::Auto, None, 100), Err(Unreadable::NotAList { .. })));
        assert_eq!(parse(b"# nothing\n", Format::Auto, None, 100), Err(Unreadable::Empty));
        assert_eq!(parse(b"", Format::Auto, None, 100), Err(Unreadable::Empty));
        assert!(matches!(parse(b"{\"a\": NaN}", Format::Auto, None, 100), Err(Unreadable::NotJson(_))));
        assert!(matches!(
            parse("[".repeat(10_000).as_bytes(), Format::Auto, None, 100),
            Err(Unreadable::NotJson(_))
        ));
        assert_eq!(
            parse(b"45.0.0.1\n45.0.0.2\n45.0.0.3\n", Format::Auto, None, 2),
            Err(Unreadable::TooMany(2))
        );
        let mut slip = "45.0.0.1\n".repeat(20);
        slip.push_str("010.0.0.1\n");
        let parsed = parse(slip.as_bytes(), Format::Auto, None, 100).unwrap();
        assert_eq!((parsed.nets.len(), parsed.odd), (20, 1));
        let long = format!("45.0.0.1\n{}\n", "x".repeat(10_000));
        assert!(matches!(parse(long.as_bytes(), Format::Plain, None, 100), Err(Unreadable::NotAList { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            for format in [Format::Auto, Format::Ndjson, Format::Json, Format::Plain, Format::Csv] {
                let _any = parse(&text, format, None, 50);
            }
        }

        #[test]
        fn no_list_like_text_makes_it_panic(text in "[0-9a-f.:/,{}\\[\\]\"\n# -]{0,200}") {
            let _any = parse(text.as_bytes(), Format::Auto, None, 50);
        }
    }
}
