//! The section `reputation`: whom to ask, how often, and for how long an answer counts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::desk::Terms;

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `AbuseIPDB`.
    pub abuseipdb: AbuseIpdb,
    /// `IPQualityScore`.
    pub ipqualityscore: IpQualityScore,
    /// How long answers count.
    pub fresh: Fresh,
}

/// How long answers count, in seconds. Beyond it they stand as long again where nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fresh {
    /// Those that speak against a source. Default 86400.
    pub bad_secs: u64,
    /// Those that do not. Default 259200.
    pub clean_secs: u64,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { bad_secs: 86_400, clean_secs: 259_200 }
    }
}

/// `AbuseIPDB`. Nobody is asked without a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbuseIpdb {
    /// The file with the key. Where `$CREDENTIALS_DIRECTORY` has an `abuseipdb_key`, that is taken. Default none.
    pub key_file: Option<PathBuf>,
    /// Where it is. Default `https://api.abuseipdb.com/api/v2`.
    pub url: String,
    /// Questions a day. Default 800 of the 1000 that are free.
    pub checks_per_day: u32,
    /// How far back it is to look, in days, 1 to 365. Default 30.
    pub max_age_days: u16,
    /// What a question has to be worth, 0 to 1: the score of the request that gave rise to it. Default 0.
    pub min_worth: f32,
    /// Its blacklist is fetched so often a day at the most. Default 4 of the 5 that are free.
    pub blacklists_per_day: u32,
    /// Telling it of attackers.
    pub report: Reporting,
}

/// Telling `AbuseIPDB` of attackers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// Whether it is told of sources that were banned for an attack. Default false.
    pub enabled: bool,
    /// Reports a day. Default 800 of the 1000 that are free.
    pub per_day: u32,
}

impl Default for Reporting {
    fn default() -> Self {
        Self { enabled: false, per_day: 800 }
    }
}

impl Default for AbuseIpdb {
    fn default() -> Self {
        Self {
            key_file: None,
            url: "https://api.abuseipdb.com/api/v2".to_owned(),
            checks_per_day: 800,
            max_age_days: 30,
            min_worth: 0.0,
            blacklists_per_day: 4,
            report: Reporting::default(),
        }
    }
}

/// `IPQualityScore`. Nobody is asked without a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpQualityScore {
    /// The file with the key. Where `$CREDENTIALS_DIRECTORY` has an `ipqualityscore_key`, that is taken. Default none.
    pub key_file: Option<PathBuf>,
    /// Where it is. Default `https://www.ipqualityscore.com/api/json/ip`.
    pub url: String,
    /// Questions a day. Default 30 of the 35 that are free.
    pub checks_per_day: u32,
    /// How strict it is to be, 0 to 3; from 2 on it errs. Default 0.
    pub strictness: u8,
    /// What a question has to be worth, 0 to 1: the score of the request that gave rise to it. Default 0.3.
    pub min_worth: f32,
}

impl Default for IpQualityScore {
    fn default() -> Self {
        Self {
            key_file: None,
            url: "https://www.ipqualityscore.com/api/json/ip".to_owned(),
            checks_per_day: 30,
            strictness: 0,
            min_worth: 0.3,
        }
    }
}

/// Questions a day at the most: no plan has more.
const MAX_PER_DAY: u32 = 1_000_000;
/// A year: an answer older than that says nothing.
const LONGEST_SECS: u64 = 365 * 86_400;

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let Self { abuseipdb, ipqualityscore, fresh } = self;
        for (key, count) in [
            ("reputation.abuseipdb.checks_per_day", abuseipdb.checks_per_day),
            ("reputation.abuseipdb.blacklists_per_day", abuseipdb.blacklists_per_day),
            ("reputation.abuseipdb.report.per_day", abuseipdb.report.per_day),
            ("reputation.ipqualityscore.checks_per_day", ipqualityscore.checks_per_day),
        ] {
            if count > MAX_PER_DAY {
                return Some((key, format!("{count} is more than {MAX_PER_DAY}")));
            }
        }
        for (key, worth) in [
            ("reputation.abuseipdb.min_worth", abuseipdb.min_worth),
            ("reputation.ipqualityscore.min_worth", ipqualityscore.min_worth),
        ] {
            if !(0.0..=1.0).contains(&worth) {
                return Some((key, format!("{worth} is not between 0 and 1")));
            }
        }
        for (key, secs) in
            [("reputation.fresh.bad_secs", fresh.bad_secs), ("reputation.fresh.clean_secs", fresh.clean_secs)]
        {
            if !(60..=LONGEST_SECS).contains(&secs) {
                return Some((key, format!("{secs} is not between 60 and {LONGEST_SECS}")));
            }
        }
        if !(1..=365).contains(&abuseipdb.max_age_days) {
            let what = format!("{} is not between 1 and 365", abuseipdb.max_age_days);
            return Some(("reputation.abuseipdb.max_age_days", what));
        }
        if ipqualityscore.strictness > 3 {
            let what = format!("{} is not between 0 and 3", ipqualityscore.strictness);
            return Some(("reputation.ipqualityscore.strictness", what));
        }
        None
    }

    /// What the desk of `AbuseIPDB` goes by.
    pub fn abuseipdb_terms(&self) -> Terms {
        self.terms(self.abuseipdb.checks_per_day, self.abuseipdb.min_worth)
    }

    /// What the desk of `IPQualityScore` goes by.
    pub fn ipqualityscore_terms(&self) -> Terms {
        self.terms(self.ipqualityscore.checks_per_day, self.ipqualityscore.min_worth)
    }

    fn terms(&self, daily: u32, min_worth: f32) -> Terms {
        let secs = std::time::Duration::from_secs;
        Terms {
            daily,
            min_worth,
            fresh_bad: secs(self.fresh.bad_secs),
            fresh_clean: secs(self.fresh.clean_secs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_named() {
        assert_eq!(Config::default().problem(), None);
        for (text, key) in [
            ("[abuseipdb]\nmax_age_days = 0\n", "reputation.abuseipdb.max_age_days"),
            ("[abuseipdb]\nmin_worth = 1.5\n", "reputation.abuseipdb.min_worth"),
            ("[ipqualityscore]\nstrictness = 4\n", "reputation.ipqualityscore.strictness"),
            ("[fresh]\nbad_secs = 1\n", "reputation.fresh.bad_secs"),
            ("[abuseipdb]\nchecks_per_day = 2000000\n", "reputation.abuseipdb.checks_per_day"),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            assert_eq!(config.problem().map(|(key, _)| key), Some(key));
        }
    }
}
