//! One indicator.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What an indicator is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An address.
    Address,
    /// A prefix with several attackers in it.
    Prefix,
    /// The number of a network.
    Asn,
    /// What a client says it is.
    UserAgent,
    /// The names of a client's headers, in their order.
    HeaderOrder,
    /// A client's TLS handshake (JA4).
    Ja4,
    /// The bytes that a rule matched, hashed.
    Payload,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Address,
        Self::Prefix,
        Self::Asn,
        Self::UserAgent,
        Self::HeaderOrder,
        Self::Ja4,
        Self::Payload,
    ];

    /// The kind's name in the API, the metrics and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Asn => "asn",
            Self::UserAgent => "user_agent",
            Self::HeaderOrder => "header_order",
            Self::Ja4 => "ja4",
            Self::Payload => "payload",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// After this long without another sighting half of the confidence is left. Addresses change hands in
    /// days, tools and payloads stay.
    pub const fn half_life(self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(match self {
            Self::Address => 3 * DAY,
            Self::Prefix | Self::Asn => 7 * DAY,
            Self::UserAgent | Self::HeaderOrder | Self::Ja4 => 14 * DAY,
            Self::Payload => 30 * DAY,
        })
    }
}

/// Threats and incidents that an indicator names.
const NAMED: usize = 8;

/// Something that attacks have had in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Indicator {
    /// What it is about.
    pub kind: Kind,
    /// Which.
    pub value: String,
    /// The classes of attacks it was seen with.
    pub threats: Vec<String>,
    /// How sure it was at the last sighting, 0 to 1.
    confidence: f64,
    /// When it was first seen.
    pub first_seen: SystemTime,
    /// When it was last seen.
    pub last_seen: SystemTime,
    /// How often it was seen.
    pub count: u64,
    /// The last incidents it was seen in.
    pub evidence: Vec<String>,
}

impl Indicator {
    /// Something first seen at `at`.
    pub(super) fn new(kind: Kind, value: String, at: SystemTime) -> Self {
        Self {
            kind,
            value,
            threats: Vec::new(),
            confidence: 0.0,
            first_seen: at,
            last_seen: at,
            count: 0,
            evidence: Vec::new(),
        }
    }

    /// Notes that it was seen at `at`, with this much to say for it (0 to 1).
    pub(super) fn seen(&mut self, weight: f64, threats: &[String], incident: &str, at: SystemTime) {
        let weight = if weight > 0.0 { weight.min(1.0) } else { 0.0 };
        self.confidence = 1.0 - (1.0 - self.confidence(at)) * (1.0 - weight);
        self.last_seen = self.last_seen.max(at);
        self.count = self.count.saturating_add(1);
        for threat in threats {
            if self.threats.len() < NAMED && !self.threats.contains(threat) {
                self.threats.push(threat.clone());
            }
        }
        if self.evidence.len() >= NAMED {
            self.evidence.remove(0);
        }
        self.evidence.push(incident.to_owned());
    }

    /// How sure it is at `at`, 0 to 1: it fades by half in each half-life.
    pub fn confidence(&self, at: SystemTime) -> f64 {
        let age = at.duration_since(self.last_seen).unwrap_or_default();
        self.confidence * 0.5_f64.powf(age.as_secs_f64() / self.kind.half_life().as_secs_f64())
    }

    /// Its id: the same for the same thing, in the form of a UUID.
    pub fn id(&self) -> String {
        uuid(&[self.kind.name().as_bytes(), self.value.as_bytes()])
    }

    /// Whether it makes sense: what comes from a disk may not.
    pub fn is_sound(&self) -> bool {
        (0.0..=1.0).contains(&self.confidence)
            && self.first_seen <= self.last_seen
            && self.value.len() <= 1024
            && self.threats.len() <= NAMED
            && self.evidence.len() <= NAMED
    }
}

/// A UUID that these parts always come to.
pub fn uuid(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(part);
    }
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    // Readers check version and variant; of the versions, this says least of where the bits are from.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// `bytes` in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(DIGITS[usize::from(half)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn confidence_grows_with_each_sighting_and_fades_by_half() {
        let now = clock::wall();
        let mut indicator = Indicator::new(Kind::Address, "45.0.0.1".to_owned(), now);
        for (sighting, sure) in [(1, 0.5), (2, 0.75)] {
            indicator.seen(0.5, &["sqli".to_owned()], &format!("incident {sighting}"), now);
            assert!((indicator.confidence(now) - sure).abs() < 1e-9);
        }
        let later = now + Kind::Address.half_life();
        assert!((indicator.confidence(later) - 0.375).abs() < 1e-9);
        assert!(
            (indicator.confidence(now - Duration::from_secs(9)) - 0.75).abs() < 1e-9,
            "a clock that went back"
        );
        for _ in 0..100 {
            indicator.seen(f64::NAN, &["xss".to_owned()], "another", later);
        }
        assert_eq!((indicator.evidence.len(), indicator.threats.len(), indicator.count), (NAMED, 2, 102));
        assert!(indicator.is_sound());
    }

    #[test]
    fn an_id_is_a_uuid_and_the_same_for_the_same() {
        let id = |value: &str| Indicator::new(Kind::Address, value.to_owned(), clock::wall()).id();
        assert_eq!(id("45.0.0.1"), id("45.0.0.1"));
        assert_ne!(id("45.0.0.1"), id("45.0.0.2"));
        let one = id("45.0.0.1");
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!("89ab".contains(&one[19..20]));
    }
}
