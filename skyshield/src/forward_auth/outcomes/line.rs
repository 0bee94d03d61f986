//! One line of an access log, in any of the formats that proxies write. Clients choose what stands in
//! some of the fields: a line that they could have made look otherwise is not taken.

mod json;
mod words;

use std::net::IpAddr;

use crate::forward_auth::config::Format;
use crate::verdict::address_of;
use words::{request, words};

/// What a line tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The id that we gave the request when it passed.
    pub(super) awaited: Option<u64>,
    /// Whether the answer was made by us or by the proxy, and not by the application.
    pub(super) is_ours: bool,
    pub(super) address: Option<IpAddr>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) secs: Option<f64>,
    /// Bytes of the response.
    pub(super) bytes: u64,
}

/// What `line` tells, if it is one of `format`.
pub(super) fn parse(format: Format, line: &[u8]) -> Option<Outcome> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let outcome = match format {
        Format::Json => json::outcome(text)?,
        Format::Combined => combined(text)?,
        Format::Traefik => traefik(text)?,
        Format::Envoy => envoy(text)?,
        Format::Haproxy => haproxy(text)?,
    };
    (100..600).contains(&outcome.status).then_some(outcome)
}

/// `203.0.113.7 - user [time] "GET / HTTP/1.1" 200 12 "referrer" "agent"`. A user's name may have anything
/// in it but quotes, which are escaped; so the request is what stands in the first.
fn combined(text: &str) -> Option<Outcome> {
    let (before, _) = text.split_once('"')?;
    let words = words(&text[before.len()..])?;
    let (method, target) = request(words.first()?)?;
    Some(Outcome {
        address: Some(address_of(before.split(' ').next()?.as_bytes())?),
        method,
        target,
        status: words.get(1)?.parse().ok()?,
        bytes: words.get(2).and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
        ..Outcome::default()
    })
}

/// The same, and `count "router" "server" 12ms`. Quotes are not escaped: a line with more than its own is
/// not taken. Where no server is named, Traefik has answered by itself.
fn traefik(text: &str) -> Option<Outcome> {
    let quotes = text.bytes().filter(|&byte| byte == b'"').count();
    let (before, _) = text.split_once('"')?;
    let words = words(&text[before.len()..])?;
    let [_, _, _, _, _, _, router, server, millis] = words.as_slice() else { return None };
    // A name that is missing is a `-`, in quotes or not.
    let own = 2 * words.iter().filter(|word| !word.is_bare).count();
    let millis: f64 = millis.strip_suffix("ms")?.parse().ok()?;
    (quotes == own && !router.is_empty()).then_some(())?;
    Some(Outcome { secs: Some(millis / 1e3), is_ours: matches!(&**server, "-" | ""), ..combined(text)? })
}

/// `[time] "GET / HTTP/2" 200 - 0 12 3 2 "client" "agent" "id" "host" "upstream"`. Quotes are not escaped:
/// a line with more than its own is not taken.
fn envoy(text: &str) -> Option<Outcome> {
    let (before, _) = text.split_once('"')?;
    let words = words(&text[before.len()..])?;
    let [asked, status, _flags, _received, sent, millis, _, chain, _agent, _id, host, upstream] =
        words.as_slice()
    else {
        return None;
    };
    let quotes = text.bytes().filter(|&byte| byte == b'"').count();
    (quotes == 12).then_some(())?;
    let (method, target) = request(asked)?;
    Some(Outcome {
        is_ours: matches!(&**upstream, "-" | ""),
        address: chain.rsplit(',').next().and_then(|hop| address_of(hop.trim().as_bytes())),
        method,
        target,
        host: host.to_string(),
        status: status.parse().ok()?,
        secs: Some(millis.parse::<f64>().ok()? / 1e3),
        bytes: sent.parse().unwrap_or_default(),
        ..Outcome::default()
    })
}

/// `203.0.113.7:4711 [time] front back/server 0/0/0/2/2 200 12 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"`.
/// Where no server is named, `HAProxy` has answered by itself.
fn haproxy(text: &str) -> Option<Outcome> {
    let mut fields = text.split(' ');
    let mut next = || fields.next();
    let (client, _time, _front, served) = (next()?, next()?, next()?, next()?);
    let (times, status, bytes) = (next()?, next()?, next()?);
    let asked = text.split_once('"')?.1.strip_suffix('"')?;
    let (method, target) = request(asked)?;
    let millis: f64 = times.rsplit('/').next()?.trim_start_matches('+').parse().ok()?;
    let number = |text: &str| text.trim_start_matches('+').to_owned();
    Some(Outcome {
        is_ours: served.ends_with("/<NOSRV>"),
        // An IPv6 address has colons of its own, and no brackets.
        address: Some(address_of(client.rsplit_once(':')?.0.as_bytes())?),
        method,
        target,
        status: status.parse().ok()?,
        secs: Some(millis.max(0.0) / 1e3),
        bytes: number(bytes).parse().unwrap_or_default(),
        ..Outcome::default()
    })
}

#[cfg(test)]
mod tests;
