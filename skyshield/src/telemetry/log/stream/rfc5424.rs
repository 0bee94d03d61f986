//! A syslog message.

use tracing::Level;

use super::super::config::StreamFormat;
use super::record::Record;
use super::{cef, json};

/// `authpriv`: what says who was let in and who was not.
const FACILITY: u8 = 10;

/// Who sends a message.
#[derive(Debug)]
pub(super) struct Origin {
    host: String,
    process: u32,
}

impl Origin {
    pub(super) fn of_this_host() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().replace(|character: char| !character.is_ascii_graphic(), "");
        let host = if host.is_empty() { "-".to_owned() } else { host };
        Self { host, process: std::process::id() }
    }
}

pub(super) fn message(record: &Record, origin: &Origin, format: StreamFormat) -> String {
    let severity = match record.level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let kind = if record.kind.is_empty() { "-" } else { &record.kind };
    let text = match format {
        StreamFormat::Json => json::line(record),
        StreamFormat::Cef => cef::line(record),
    };
    let Origin { host, process } = origin;
    let at = record.at.as_microsecond();
    let at = jiff::Timestamp::from_microsecond(at).unwrap_or(record.at);
    format!("<{}>1 {at} {host} skyshield {process} {kind} - {text}", FACILITY * 8 + severity)
}
