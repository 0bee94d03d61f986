//! Events as they are sent: read, checked one by one; one that is wrong refuses the batch.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::config::{Config, Kind, KindConfig};

/// Events of one batch.
pub const MAX_EVENTS: usize = 5000;
/// A user's name, in bytes.
const MAX_USER: usize = 256;
/// An amount, in minor units: a million of a million's worth is a mistake.
const MAX_AMOUNT: i64 = 1_000_000_000_000;
/// How often one event happened.
const MAX_COUNT: u32 = 1_000_000;
/// How far back an event may lie, in seconds, and how far a clock may be ahead.
const BACK_SECS: i64 = 48 * 3600;
const AHEAD_SECS: i64 = 300;

/// An event that can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place of its kind among those declared.
    pub kind: usize,
    /// When it happened, in seconds since 1970.
    pub at: i64,
    /// What it adds.
    pub adds: Adds,
}

/// What an event adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adds {
    /// So many.
    Count(u32),
    /// So much, of the currency at this place of the kind's.
    Amount(usize, i64),
    /// A user, by a hash.
    User(u64),
}

/// Events that count together, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Digest of who sent it and of its key: what comes under it again counts once.
    pub key: [u8; 16],
    /// Digest of what it is.
    pub digest: [u8; 16],
    /// Its events.
    pub events: Vec<Event>,
}

/// Why a batch cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    events: Vec<WrittenEvent<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent<'a> {
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    count: Option<u32>,
    amount: Option<i64>,
    currency: Option<String>,
    #[serde(borrow)]
    user: Option<std::borrow::Cow<'a, str>>,
    at: Option<jiff::Timestamp>,
}

/// The batch that `sender` sends under the key `key`; `now` in seconds since 1970. Users are hashed with
/// `secret`.
pub fn parse(
    body: &[u8],
    (sender, key): (&str, &str),
    config: &Config,
    secret: &[u8; 32],
    now: i64,
) -> Result<Batch, Invalid> {
    let written: Written<'_> = serde_json::from_slice(body).map_err(|error| {
        Invalid(format!(
            "{error}; a batch is {{\"events\": [{{\"kind\": …}}, …]}}, amounts are whole minor units"
        ))
    })?;
    if !(1..=MAX_EVENTS).contains(&written.events.len()) {
        let what = format!("{} events; 1 to {MAX_EVENTS} make a batch", written.events.len());
        return Err(Invalid(what));
    }
    let events = written.events.into_iter().enumerate().map(|(at, event)| {
        event.check(config, secret, now).map_err(|what| Invalid(format!("events[{at}]: {what}")))
    });
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let key = digest(&[sender.as_bytes(), b"\0", key.as_bytes()]);
    Ok(Batch { key, digest: digest(&[body]), events })
}

impl WrittenEvent<'_> {
    fn check(&self, config: &Config, secret: &[u8; 32], now: i64) -> Result<Event, String> {
        let named = config.kinds.iter().enumerate().find(|(_, kind)| kind.name == self.kind);
        let Some((kind, declared)) = named else {
            let name: String = self.kind.chars().take(80).collect();
            return Err(format!("the kind `{}` is not declared in `business.kinds`", name.escape_debug()));
        };
        let at = self.at.map_or(now, jiff::Timestamp::as_second);
        if !(now - BACK_SECS..=now + AHEAD_SECS).contains(&at) {
            return Err("`at` is more than 48 hours ago, or more than 5 minutes ahead".to_owned());
        }
        let adds = self.adds(declared, secret)?;
        Ok(Event { kind, at, adds })
    }

    fn adds(&self, declared: &KindConfig, secret: &[u8; 32]) -> Result<Adds, String> {
        let name = &declared.name;
        let stray = |allowed: [bool; 3]| {
            let given =
                [self.count.is_some(), self.amount.is_some() || self.currency.is_some(), self.user.is_some()];
            let names = ["count", "amount or currency", "user"];
            let found =
                given.into_iter().zip(allowed).zip(names).find(|((given, allowed), _)| *given && !allowed);
            found.map_or(Ok(()), |(_, what)| Err(format!("`{name}` takes no {what}")))
        };
        match declared.kind {
            Kind::Count => {
                stray([true, false, false])?;
                let count = self.count.unwrap_or(1);
                if !(1..=MAX_COUNT).contains(&count) {
                    return Err(format!("`count` is {count}; 1 to {MAX_COUNT} it can be"));
                }
                Ok(Adds::Count(count))
            }
            Kind::Sum => {
                stray([false, true, false])?;
                let amount =
                    self.amount.ok_or_else(|| format!("`{name}` needs an `amount` in minor units"))?;
                if amount.abs() > MAX_AMOUNT {
                    return Err(format!("`amount` is beyond {MAX_AMOUNT} minor units"));
                }
                let currency = match &self.currency {
                    Some(code) => declared.currencies.iter().position(|known| known == code),
                    None if declared.currencies.len() == 1 => Some(0),
                    None => {
                        return Err(format!(
                            "`{name}` needs a `currency`: {}",
                            declared.currencies.join(", ")
                        ));
                    }
                };
                let currency = currency.ok_or_else(|| {
                    format!("`currency` of `{name}` is one of {}", declared.currencies.join(", "))
                })?;
                Ok(Adds::Amount(currency, amount))
            }
            Kind::Unique => {
                stray([false, false, true])?;
                let user = self.user.as_deref().filter(|user| (1..=MAX_USER).contains(&user.len()));
                let user = user.ok_or_else(|| format!("`{name}` needs a `user` of 1 to {MAX_USER} bytes"))?;
                Ok(Adds::User(hash(secret, user.as_bytes())))
            }
        }
    }
}

/// A user as a number that leads nobody back to them.
pub(super) fn hash(secret: &[u8; 32], user: &[u8]) -> u64 {
    let digest = digest(&[secret, user]);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

pub(super) fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let mut digest = [0; 16];
    digest.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str(
            "[[kinds]]\nname = \"charts\"\nkind = \"count\"\n\
             [[kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\", \"USD\"]\n\
             [[kinds]]\nname = \"users\"\nkind = \"unique\"\n",
        )
        .unwrap()
    }

    fn parsed(events: &str) -> Result<Vec<Event>, String> {
        let body = format!("{{\"events\": [{events}]}}");
        let batch = parse(body.as_bytes(), ("app", "k"), &config(), &[1; 32], 1_800_000_000);
        batch.map(|batch| batch.events).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_takes_what_it_counts() {
        let events = parsed(
            r#"{"kind": "charts"}, {"kind": "charts", "count": 3}, {"kind": "users", "user": "u1"},
               {"kind": "revenue", "amount": -1999, "currency": "USD", "at": "2027-01-15T07:59:00Z"}"#,
        );
        let events = events.unwrap();
        assert_eq!(events[0].adds, Adds::Count(1));
        assert_eq!(events[1].adds, Adds::Count(3));
        assert_eq!(events[3], Event { kind: 1, at: 1_799_999_940, adds: Adds::Amount(1, -1999) });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (events, told) in [
            ("", "0 events; 1 to 5000 make a batch"),
            (r#"{"kind": "x"}"#, "events[0]: the kind `x` is not declared"),
            (r#"{"kind": "charts"}, {"kind": "charts", "user": "u"}"#, "events[1]: `charts` takes no user"),
            (r#"{"kind": "revenue", "amount": 1}"#, "events[0]: `revenue` needs a `currency`: EUR, USD"),
            (
                r#"{"kind": "revenue", "amount": 1, "currency": "GBP"}"#,
                "events[0]: `currency` of `revenue` is one of",
            ),
            (r#"{"kind": "revenue", "amount": 19.99, "currency": "EUR"}"#, "invalid type: floating point"),
            (r#"{"kind": "revenue", "currency": "EUR"}"#, "events[0]: `revenue` needs an `amount`"),
            (r#"{"kind": "users", "user": ""}"#, "events[0]: `users` needs a `user`"),
            (
                r#"{"kind": "charts", "at": "2020-01-01T00:00:00Z"}"#,
                "events[0]: `at` is more than 48 hours ago",
            ),
            (r#"{"kind": "charts", "colour": 1}"#, "unknown field `colour`"),
        ] {
            let error = parsed(events).unwrap_err();
            assert!(error.starts_with(told), "{events}\n  told {error}\n  not  {told}");
        }
    }
}
