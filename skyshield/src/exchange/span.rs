//! How long, as other programs write it: `4h`, `3h59m57.64s`, `-2m`, `forever`.

use std::time::Duration;

use super::Span;

/// A hundred years: clocks end somewhere beyond it.
const LONGEST_SECS: f64 = 100.0 * 365.0 * 86_400.0;

/// What a duration comes to; nothing where it was over already.
pub(super) fn span(text: &str) -> Result<Option<Span>, String> {
    let text = text.trim();
    match text {
        "" => return Ok(Some(Span::Unsaid)),
        "forever" | "-1" => return Ok(Some(Span::Forever)),
        _ => {}
    }
    let wrong = || {
        let shown: String = text.chars().take(40).collect();
        format!("`{}` is no duration; write for example 30m, 4h, 7d or forever", shown.escape_debug())
    };
    if let Ok(secs) = text.parse::<f64>() {
        return seconds(secs).ok_or_else(wrong);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut secs = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let after = &rest[digits..];
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        secs += number
            * match &after[..end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                _ => return Err(wrong()),
            };
        rest = &after[end..];
    }
    seconds(sign * secs).ok_or_else(wrong)
}

#[expect(clippy::option_option, reason = "no number, one that is over, and one that is not")]
fn seconds(secs: f64) -> Option<Option<Span>> {
    match secs {
        secs if !secs.is_finite() || secs > LONGEST_SECS => None,
        secs if secs <= 0.0 => Some(None),
        secs => Duration::try_from_secs_f64(secs).ok().map(|duration| Some(Span::For(duration))),
    }
}
