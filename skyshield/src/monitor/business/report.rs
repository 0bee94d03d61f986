//! What a stretch of time has come to, beside the one before it.

use serde::{Deserialize, Serialize};

use super::config::{Config, Kind, KindConfig};
use super::sketch::Sketch;
use super::{DAY, HOUR, begin};
use crate::monitor::host_number;
use crate::store::{Reader, TotalRow};

/// The standard error of a number of users.
const USERS_ERROR: f64 = 0.0057;

/// How long the stretch is; it ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// Sixty minutes.
    #[serde(rename = "1h")]
    Hour,
    /// Twenty-four hours.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// Seven days.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days.
    #[serde(rename = "30d")]
    Month,
}

impl Period {
    /// The step of its totals in seconds, and where its first step begins and its last ends, in seconds since 1970,
    /// where it is `now`.
    pub fn stretch(self, now: i64) -> (i64, i64, i64) {
        let [(step, count), _] = self.steps();
        let last = begin(now, step);
        (step, last - (count - 1) * step, last + step)
    }

    /// Of totals: the step and how many make the period. Of sketches: likewise.
    const fn steps(self) -> [(i64, i64); 2] {
        match self {
            Self::Hour => [(60, 60), (HOUR, 1)],
            Self::Day => [(HOUR, 24), (HOUR, 24)],
            Self::Week => [(HOUR, 168), (DAY, 7)],
            Self::Month => [(HOUR, 720), (DAY, 30)],
        }
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    period: Period,
    /// Seconds since 1970. The first step is whole, the last goes on.
    from: i64,
    to: i64,
    kinds: Vec<KindReport>,
    conversions: Vec<ConversionReport>,
}

#[derive(Debug, Serialize)]
struct KindReport {
    name: String,
    kind: Kind,
    /// Events.
    count: i64,
    count_before: i64,
    /// How much more that is: 0.1 is a tenth. None where there was nothing before.
    change: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amounts: Vec<Amount>,
    #[serde(flatten)]
    users: Option<Users>,
}

#[expect(clippy::struct_field_names, reason = "the names are the answer's")]
#[derive(Debug, Serialize)]
struct Amount {
    currency: String,
    /// In minor units, exact.
    amount: i64,
    amount_before: i64,
    change: Option<f64>,
}

#[expect(clippy::struct_field_names, reason = "the names are the answer's")]
#[derive(Debug, Serialize)]
struct Users {
    users: u64,
    users_before: u64,
    users_change: Option<f64>,
    /// The share of the users before who came again.
    retention: Option<f64>,
    /// The standard error of a number of users.
    users_error: f64,
}

#[derive(Debug, Serialize)]
struct ConversionReport {
    name: String,
    from: String,
    to: String,
    rate: Option<f64>,
    rate_before: Option<f64>,
}

/// What the `period` that ends at `now` has come to. Reads from the disk: may block.
pub fn report(reader: &Reader, config: &Config, period: Period, now: i64) -> rusqlite::Result<Report> {
    let [(step, count), sketched] = period.steps();
    let (_, from, end) = period.stretch(now);
    let totals = reader.business_totals(step, from, end)?;
    let before = reader.business_totals(step, from - count * step, from)?;
    let kinds = config.kinds.iter().map(|kind| {
        let users = match kind.kind {
            Kind::Unique => Some(Users::of(reader, &kind.name, sketched, now)?),
            Kind::Count | Kind::Sum => None,
        };
        Ok(KindReport::of(kind, &totals, &before, users))
    });
    let kinds = kinds.collect::<rusqlite::Result<Vec<_>>>()?;
    let size = |name: &str| {
        let kind = kinds.iter().find(|kind| kind.name == name)?;
        let events = |count: i64| host_number(count.unsigned_abs());
        let counted = (events(kind.count), events(kind.count_before));
        Some(
            kind.users
                .as_ref()
                .map_or(counted, |users| (host_number(users.users), host_number(users.users_before))),
        )
    };
    let conversions = config.conversions.iter().filter_map(|conversion| {
        let ((from, from_before), (to, to_before)) = (size(&conversion.from)?, size(&conversion.to)?);
        let rate = |to: f64, from: f64| (from > 0.0).then(|| to / from);
        Some(ConversionReport {
            name: conversion.name.clone(),
            from: conversion.from.clone(),
            to: conversion.to.clone(),
            rate: rate(to, from),
            rate_before: rate(to_before, from_before),
        })
    });
    let conversions = conversions.collect();
    Ok(Report { period, from, to: now, kinds, conversions })
}

impl KindReport {
    fn of(kind: &KindConfig, totals: &[TotalRow], before: &[TotalRow], users: Option<Users>) -> Self {
        let sum = |rows: &[TotalRow], currency: Option<&str>, value: fn(&TotalRow) -> i64| -> i64 {
            let mine = rows.iter().filter(|row| row.kind == kind.name);
            let mine = mine.filter(|row| currency.is_none_or(|code| code == row.currency));
            mine.map(value).fold(0, i64::saturating_add)
        };
        let amounts = kind.currencies.iter().map(|code| {
            let amount = sum(totals, Some(code), |row| row.sum);
            let amount_before = sum(before, Some(code), |row| row.sum);
            Amount { currency: code.clone(), amount, amount_before, change: change(amount, amount_before) }
        });
        let count = sum(totals, None, |row| row.count);
        let count_before = sum(before, None, |row| row.count);
        Self {
            name: kind.name.clone(),
            kind: kind.kind,
            count,
            count_before,
            change: change(count, count_before),
            amounts: amounts.collect(),
            users,
        }
    }
}

impl Users {
    fn of(reader: &Reader, kind: &str, (step, count): (i64, i64), now: i64) -> rusqlite::Result<Self> {
        let from = begin(now, step) - (count - 1) * step;
        let read = |from, to| {
            let sketches = reader.business_sketches(kind, step, from, to)?;
            let mut all = Sketch::default();
            for bytes in &sketches {
                all.merge(&Sketch::from_bytes(bytes));
            }
            Ok::<_, rusqlite::Error>(all)
        };
        let (present, past) = (read(from, now + step)?, read(from - count * step, from)?);
        let (now, before) = (present.estimate(), past.estimate());
        let mut both = past;
        both.merge(&present);
        let again = (now + before - both.estimate()).clamp(0.0, before);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of users")]
        let whole = |users: f64| users.round() as u64;
        let (users, users_before) = (whole(now), whole(before));
        Ok(Self {
            users,
            users_before,
            users_change: change(users.cast_signed(), users_before.cast_signed()),
            retention: (users_before > 0).then(|| again / before),
            users_error: USERS_ERROR,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn change(now: i64, before: i64) -> Option<f64> {
    (before != 0).then(|| (now as f64 - before as f64) / (before as f64).abs())
}
