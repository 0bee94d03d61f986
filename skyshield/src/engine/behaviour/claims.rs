//! What a source's behaviour amounts to.

use std::time::{Duration, Instant};

/// What is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Detector {
    /// Many passwords for few accounts.
    LoginGuessing,
    /// Many accounts, few passwords each: lists of stolen ones, or one password for all.
    LoginStuffing,
    /// An account that many sources fail to log in to.
    LoginTarget,
    /// Pages that do not exist.
    MissingPages,
    /// Pages that only other software has.
    WellKnownPages,
    /// Numbers tried one after the other.
    Enumeration,
    /// Values tried out until one is accepted: cards, coupons, codes.
    ValueGuessing,
    /// Missing pages on one site after the other.
    SitesProbing,
    /// More requests than people send.
    Flood,
}

impl Detector {
    /// Every detector, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::LoginGuessing,
        Self::LoginStuffing,
        Self::LoginTarget,
        Self::MissingPages,
        Self::WellKnownPages,
        Self::Enumeration,
        Self::ValueGuessing,
        Self::SitesProbing,
        Self::Flood,
    ];

    /// Its name in the score, the configuration and the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginGuessing => "login.guessing",
            Self::LoginStuffing => "login.stuffing",
            Self::LoginTarget => "login.target",
            Self::MissingPages => "scan.missing-pages",
            Self::WellKnownPages => "scan.well-known-pages",
            Self::Enumeration => "scan.enumeration",
            Self::ValueGuessing => "guess.values",
            Self::SitesProbing => "scan.sites",
            Self::Flood => "flood.requests",
        }
    }

    /// What it claims, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::LoginGuessing => "many failed logins and none that succeeded",
            Self::LoginStuffing => "failed logins to many accounts",
            Self::LoginTarget => "a failed login to an account that many sources fail at",
            Self::MissingPages => "many different pages that do not exist",
            Self::WellKnownPages => "pages that only other software has",
            Self::Enumeration => "numbers tried one after the other",
            Self::ValueGuessing => "many different values tried and not accepted",
            Self::SitesProbing => "missing pages on one site after the other",
            Self::Flood => "more requests than people send",
        }
    }
}

/// What is left of a claim after this long is half, unless the source goes on.
const HALF_LIFE: Duration = Duration::from_hours(6);

/// How sure each detector is of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Claims {
    confidence: [f32; Detector::ALL.len()],
    as_of: Option<Instant>,
}

impl Claims {
    /// Claims as of `now`.
    pub(super) fn new(confidence: [f32; Detector::ALL.len()], now: Instant) -> Self {
        Self { confidence, as_of: Some(now) }
    }

    /// What each detector claims at `now`, where it claims anything.
    pub fn at(&self, now: Instant) -> impl Iterator<Item = (Detector, f64)> + '_ {
        let fade = self.as_of.map_or(1.0, |as_of| {
            let past = now.saturating_duration_since(as_of).as_secs_f64();
            0.5_f64.powf(past / HALF_LIFE.as_secs_f64())
        });
        let faded = Detector::ALL.into_iter().zip(self.confidence);
        faded.filter(|(_, sure)| *sure > 0.0).map(move |(detector, sure)| (detector, f64::from(sure) * fade))
    }

    /// When they were made.
    pub fn as_of(&self) -> Option<Instant> {
        self.as_of
    }

    /// The surest claim at `now`, 0 to 1.
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
    pub fn worst(&self, now: Instant) -> f32 {
        self.at(now).fold(0.0, |worst: f32, (_, sure)| worst.max(sure as f32))
    }

    /// How sure `detector` is at `now`.
    pub fn of(&self, detector: Detector, now: Instant) -> f64 {
        self.at(now).find(|(other, _)| *other == detector).map_or(0.0, |(_, sure)| sure)
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.confidence.iter().all(|sure| *sure <= 0.0)
    }
}
