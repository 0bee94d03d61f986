//! How long something is to last, as people write it: `4h`.

use std::time::Duration;

/// A hundred years. Clocks end somewhere beyond it, each at another point.
const LONGEST_SECS: u64 = 100 * 365 * 86_400;

/// How long, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// For this long.
    For(Duration),
    /// Until it is lifted.
    Forever,
}

/// `90s`, `30m`, `4h`, `7d`, `2w` or sums such as `1h30m`; `forever`.
pub fn ttl(text: &str) -> Result<Ttl, String> {
    if text == "forever" {
        return Ok(Ttl::Forever);
    }
    let wrong = || {
        let text: String = text.chars().take(40).collect();
        format!(
            "`{}` is no duration; write for example 90s, 30m, 4h, 7d, 1h30m or forever",
            text.escape_debug()
        )
    };
    let mut secs: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next().ok_or_else(wrong)?;
        let unit_secs = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_secs));
        secs = part.and_then(|part| secs.checked_add(part)).ok_or_else(wrong)?;
        rest = &after[unit.len_utf8()..];
    }
    if secs > LONGEST_SECS {
        return Err("a hundred years is the longest; write forever".to_owned());
    }
    if secs == 0 { Err(wrong()) } else { Ok(Ttl::For(Duration::from_secs(secs))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, secs) in [("90s", 90), ("30m", 1800), ("4h", 14_400), ("7d", 604_800), ("1h30m", 5400)] {
            assert_eq!(ttl(text), Ok(Ttl::For(Duration::from_secs(secs))), "{text}");
        }
        assert_eq!(ttl("forever"), Ok(Ttl::Forever));
        for text in [
            "",
            "4",
            "h",
            "4x",
            "-4h",
            "4 h",
            "0s",
            "99999999999999999999h",
            "9999999999999999999w",
            "9223372000000000000s",
            "101w101000d",
            "4ä",
        ] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }
}
