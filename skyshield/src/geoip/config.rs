//! The section `geoip`: which databases, and what comes of being somewhere.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::read::Kind;
use crate::engine::place::{Action, Policies, Policy};

/// Where addresses are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The file that knows countries: a City or Country database. Default none.
    pub country: Option<PathBuf>,
    /// The file that knows networks: an ASN database. Default none.
    pub asn: Option<PathBuf>,
    /// The file that knows who hides: an Anonymous-IP database. Default none.
    pub anonymous: Option<PathBuf>,
    /// How often it is seen whether a file has changed, in seconds. Default 30.
    pub check_secs: u64,
    /// Bytes of a file at the most. Default 1 GiB.
    pub max_bytes: u64,
    /// What a start does where a policy needs a database that cannot be read. Default `refuse`.
    pub on_missing: OnMissing,
    /// What comes of being somewhere; the first policy that takes a place decides. Default none.
    pub policies: Vec<Policy>,
}

/// What a start does where a policy needs a database that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// It fails and says why.
    #[default]
    Refuse,
    /// The policy takes nobody until the database is there.
    Start,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            country: None,
            asn: None,
            anonymous: None,
            check_secs: 30,
            max_bytes: 1 << 30,
            on_missing: OnMissing::Refuse,
            policies: Vec::new(),
        }
    }
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(1..=86_400).contains(&self.check_secs) {
            return Some(("geoip.check_secs", format!("{} is not between 1 and 86400", self.check_secs)));
        }
        if !(1..=8 << 30).contains(&self.max_bytes) {
            return Some(("geoip.max_bytes", format!("{} is not between 1 and 8589934592", self.max_bytes)));
        }
        if let Some(what) = Policies::problem(&self.policies) {
            return Some(("geoip.policies", what));
        }
        let lacks = |policy: &Policy| Self::needs(policy).find(|kind| self.path(*kind).is_none());
        self.policies.iter().find_map(|policy| {
            let kind = lacks(policy)?;
            let what = format!("{}: it needs the database of `geoip.{}`", policy.name, kind.name());
            Some(("geoip.policies", what))
        })
    }

    /// The databases that a policy goes by.
    fn needs(policy: &Policy) -> impl Iterator<Item = Kind> + use<> {
        let by_country = !policy.countries.is_empty() || !policy.countries_but.is_empty();
        let hides = policy.tor || policy.proxies || policy.hosting;
        let needs =
            [(by_country, Kind::Country), (!policy.asns.is_empty(), Kind::Asn), (hides, Kind::Anonymous)];
        needs.into_iter().filter(|(needed, _)| *needed).map(|(_, kind)| kind)
    }

    /// Whether a policy that bans or limits goes by the database of this kind.
    pub fn depends_on(&self, kind: Kind) -> bool {
        let acts = |policy: &&Policy| matches!(policy.action, Action::Ban | Action::Limit);
        self.policies.iter().filter(acts).any(|policy| Self::needs(policy).any(|needed| needed == kind))
    }

    /// The file of this kind.
    pub fn path(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::Country => self.country.as_deref(),
            Kind::Asn => self.asn.as_deref(),
            Kind::Anonymous => self.anonymous.as_deref(),
        }
    }
}
