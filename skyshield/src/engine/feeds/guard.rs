//! What a list has to be before it counts: freed of what nobody may list, not a share of the internet, and
//! not half gone since the last time.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::special::special_purpose;
use crate::engine::ranges::Ranges;
use crate::engine::source::Source;

/// How much is on a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Ranges, aggregated.
    pub ranges: u64,
    /// IPv4 addresses.
    pub addresses_v4: u64,
    /// Entries that were left out, because nobody may list them.
    #[serde(default)]
    pub left_out: u64,
}

/// Why a list is not taken up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It names a share of the internet in one entry.
    #[error("it lists {0}, which is a share of the whole internet")]
    TooWide(IpNet),
    /// It covers too much in all.
    #[error("it covers {covered:.3} of all IPv4 addresses, and may cover {may:.3} (max_share)")]
    TooMuch {
        /// The share it covers.
        covered: f64,
        /// The share it may cover.
        may: f64,
    },
    /// Half of it or more is gone.
    #[error(
        "it has shrunk to {now} from {before}: half of it or more is gone; take it up with `skyshield feeds accept`"
    )]
    Shrunk {
        /// Ranges now.
        now: u64,
        /// Ranges before.
        before: u64,
    },
    /// All that it lists may not be listed.
    #[error("nothing is left of it without special-purpose and protected addresses")]
    NothingLeft,
}

/// Below this many ranges a list may lose half: a few entries come and go.
const FEW: u64 = 20;
/// All IPv4 addresses.
const ALL_V4: f64 = 4_294_967_296.0;

/// What of `nets` counts, without what nobody may list and without `protected`; `before` is what was taken
/// up last, where that matters.
pub fn admit(
    nets: &[IpNet],
    protected: &Ranges,
    max_share: f64,
    before: Option<Measure>,
) -> Result<(Ranges, Measure), Refused> {
    let special = special_purpose();
    let wide = nets.iter().find(|net| Source::prefix(**net).is_too_wide() && !special.covers(**net));
    if let Some(wide) = wide {
        return Err(Refused::TooWide(*wide));
    }
    let listed = Ranges::of(nets.iter().copied());
    let left = listed.without(special).without(protected);
    let left_out = nets.iter().filter(|net| !left.covers(**net)).count() as u64;
    let measure = Measure { ranges: left.len() as u64, addresses_v4: left.addresses_v4(), left_out };
    #[expect(clippy::cast_precision_loss, reason = "2^32 at the most")]
    let covered = measure.addresses_v4 as f64 / ALL_V4;
    if covered > max_share {
        return Err(Refused::TooMuch { covered, may: max_share });
    }
    if left.is_empty() {
        return Err(Refused::NothingLeft);
    }
    if let Some(before) = before
        && before.ranges >= FEW
        && (measure.ranges * 2 <= before.ranges || measure.addresses_v4 * 2 < before.addresses_v4)
    {
        return Err(Refused::Shrunk { now: measure.ranges, before: before.ranges });
    }
    Ok((left, measure))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn many(count: u32) -> Vec<IpNet> {
        (0..count).map(|n| format!("45.{}.{}.0/24", n / 128, n % 128 * 2).parse().unwrap()).collect()
    }

    #[test]
    fn private_ranges_and_protected_addresses_are_taken_out() {
        let firehol =
            nets(&["0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "45.0.0.0/24", "fe80::/10"]);
        let protected = Ranges::of(nets(&["45.0.0.7/32"]));
        let (left, measure) = admit(&firehol, &protected, 0.05, None).unwrap();
        for gone in
            ["0.0.0.1", "10.1.1.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "45.0.0.7", "fe80::1"]
        {
            assert!(!left.contains(gone.parse().unwrap()), "{gone}");
        }
        assert!(left.contains("45.0.0.8".parse().unwrap()));
        assert_eq!(measure.addresses_v4, 255);
    }

    #[test]
    fn a_list_of_everybody_is_refused() {
        let none = Ranges::default();
        let told = |texts: &[&str]| admit(&nets(texts), &none, 0.05, None).unwrap_err();
        assert!(matches!(told(&["0.0.0.0/0"]), Refused::TooWide(_)));
        assert!(matches!(told(&["2000::/3"]), Refused::TooWide(_)));
        let eighths: Vec<_> = (30..60).map(|n| format!("{n}.0.0.0/8")).collect();
        let eighths: Vec<_> = eighths.iter().map(String::as_str).collect();
        assert!(matches!(told(&eighths), Refused::TooMuch { .. }));
        assert_eq!(told(&["10.0.0.0/8"]), Refused::NothingLeft);
    }

    #[test]
    fn a_list_of_which_half_is_gone_is_refused_until_somebody_accepts_it() {
        let none = Ranges::default();
        let (_, before) = admit(&many(100), &none, 0.05, None).unwrap();
        assert!(matches!(admit(&many(50), &none, 0.05, Some(before)), Err(Refused::Shrunk { .. })));
        assert!(admit(&many(51), &none, 0.05, Some(before)).is_ok());
        assert!(admit(&many(50), &none, 0.05, None).is_ok());
        let (_, few) = admit(&many(4), &none, 0.05, None).unwrap();
        assert!(admit(&many(1), &none, 0.05, Some(few)).is_ok());
    }
}
