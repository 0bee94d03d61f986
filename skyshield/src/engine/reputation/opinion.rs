//! An opinion of a source, and whose it is.

use serde::{Deserialize, Serialize};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// `AbuseIPDB`.
    AbuseIpdb,
    /// `IPQualityScore`.
    IpQualityScore,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::AbuseIpdb, Self::IpQualityScore];

    /// The provider's name in the API, the metrics and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AbuseIpdb => "abuseipdb",
            Self::IpQualityScore => "ipqualityscore",
        }
    }

    /// The provider with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

/// What is said of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// How bad it is, 0 to 1.
    pub share: f32,
    /// Whether it is an exit of Tor.
    #[serde(default)]
    pub is_tor: bool,
    /// Whether it is a public proxy or a VPN.
    #[serde(default)]
    pub is_proxy: bool,
    /// Whether it is in a data centre.
    #[serde(default)]
    pub is_hosting: bool,
}

impl Opinion {
    /// Whether it speaks against the source.
    pub fn is_bad(&self) -> bool {
        self.share >= 0.5
    }

    /// Both: as bad as the worse of them.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            share: self.share.max(other.share),
            is_tor: self.is_tor || other.is_tor,
            is_proxy: self.is_proxy || other.is_proxy,
            is_hosting: self.is_hosting || other.is_hosting,
        }
    }
}
