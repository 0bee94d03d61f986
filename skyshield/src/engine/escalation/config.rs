//! The section `escalation`.

use serde::{Deserialize, Serialize};

/// How bans grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many times longer each further ban of one source is. 1 to 100, default 2.
    pub factor: f64,
    /// The longest that a detector bans for, in seconds; not below `risk.ban_secs`. Default 604800 (a week).
    pub longest_ban_secs: u64,
    /// For how long after its last ban a source counts as one that comes back, in seconds. Default 2592000
    /// (30 days).
    pub remember_secs: u64,
    /// By how much a further ban may be shorter or longer, so that bans that began together do not end
    /// together. A share, 0 to 0.5, default 0.1.
    pub jitter: f64,
    /// Whether a prefix is banned when enough of its members are. Default true.
    pub widen: bool,
    /// Members of a prefix that are banned within `widen_secs` before all of it is: addresses of an IPv4 /24
    /// and of an IPv6 /64, /64s of a /56, /56s of a /48. 2 to 64, default 8.
    pub widen_after: u32,
    /// The same, in seconds; a widened ban lasts so long too. Default 86400 (a day).
    pub widen_secs: u64,
    /// Sources and prefixes that are remembered at a time; further ones are not, and counted. Default 100000.
    pub tracked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            factor: 2.0,
            longest_ban_secs: 7 * 86_400,
            remember_secs: 30 * 86_400,
            jitter: 0.1,
            widen: true,
            widen_after: 8,
            widen_secs: 86_400,
            tracked: 100_000,
        }
    }
}

/// A hundred years: clocks end somewhere beyond it.
const LONGEST_SECS: u64 = 100 * 365 * 86_400;

impl Config {
    /// What is wrong with this section where a first ban lasts `ban_secs`, if anything: the key and how
    /// to mend it.
    pub fn problem(&self, ban_secs: u64) -> Option<(&'static str, String)> {
        if !(1.0..=100.0).contains(&self.factor) {
            return Some(("escalation.factor", format!("{} is not between 1 and 100", self.factor)));
        }
        if !(0.0..=0.5).contains(&self.jitter) {
            return Some(("escalation.jitter", format!("{} is not between 0 and 0.5", self.jitter)));
        }
        if self.longest_ban_secs < ban_secs {
            let what = format!(
                "{} is below risk.ban_secs ({ban_secs}): a further ban is no shorter",
                self.longest_ban_secs
            );
            return Some(("escalation.longest_ban_secs", what));
        }
        if !(2..=64).contains(&self.widen_after) {
            return Some(("escalation.widen_after", format!("{} is not between 2 and 64", self.widen_after)));
        }
        if !(1024..=1 << 24).contains(&self.tracked) {
            return Some((
                "escalation.tracked",
                format!("{} is not between 1024 and {}", self.tracked, 1 << 24),
            ));
        }
        [
            ("escalation.longest_ban_secs", self.longest_ban_secs),
            ("escalation.remember_secs", self.remember_secs),
            ("escalation.widen_secs", self.widen_secs),
        ]
        .into_iter()
        .find(|&(_, secs)| !(1..=LONGEST_SECS).contains(&secs))
        .map(|(key, secs)| (key, format!("{secs} is not between 1 and {LONGEST_SECS} (a hundred years)")))
    }
}
