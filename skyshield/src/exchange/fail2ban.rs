//! What fail2ban's client prints: all jails, one jail's list, or one jail's bans with their times.

use super::plain::ban;
use super::span::span;
use super::{Line, Read, Span, about};
use crate::engine::ruling::Kind;

/// What stands between the beginning of a ban and its length.
const PLUS: &str = " + ";

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        if let Some((_, list)) = line.split_once("Banned IP list:") {
            for address in list.split_whitespace() {
                read.take(number, one(number, address, None));
            }
        } else if line.contains(PLUS) {
            read.take(number, timed(number, line));
        } else if line.contains("[{'") || line.contains("': [") {
            jails(number, line, &mut read);
        }
    }
    read
}

/// Whether `text` looks like bans with their times: `203.0.113.7 2026-01-01 10:00:00 + 600 = …`
pub(super) fn is_timed(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains(PLUS) && line.contains(" = "))
}

fn timed(number: usize, line: &str) -> Result<Option<Line>, String> {
    let address = line.split_whitespace().next().unwrap_or_default();
    let length = line.split_once(PLUS).and_then(|(_, rest)| rest.split_whitespace().next());
    let Some(found) = span(length.unwrap_or_default())? else { return Ok(None) };
    let banned = one(number, address, None)?;
    Ok(banned.map(|banned| Line { span: found, ..banned }))
}

/// `[{'sshd': ['203.0.113.7', '203.0.113.8']}, {'nginx-botsearch': []}]`
fn jails(number: usize, line: &str, read: &mut Read) {
    for jail in line.split('{').skip(1) {
        let Some((name, rest)) = jail.split_once(':') else { continue };
        let name = name.trim().trim_matches(['\'', '"']);
        let list = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let addresses = list.map_or("", |(addresses, _)| addresses).split(',');
        for address in addresses.map(|address| address.trim().trim_matches(['\'', '"'])) {
            if !address.is_empty() {
                read.take(number, one(number, address, Some(name)));
            }
        }
    }
}

fn one(number: usize, address: &str, jail: Option<&str>) -> Result<Option<Line>, String> {
    let about = about(address, Kind::Ban)?;
    let reason = jail.map(|jail| format!("fail2ban: {jail}"));
    Ok(Some(Line { reason, span: Span::Unsaid, ..ban(number, about, None) }))
}
