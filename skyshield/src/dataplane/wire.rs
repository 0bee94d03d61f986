//! What the daemon says and hears, in the program's words.

use std::time::Duration;

use skyshield_common::{Hits, Limit, Rate, Reason, Settings as Wire, flag};

use super::clock;
use super::config::LARGEST_FRAME;
use super::enforcer::{Met, Settings};

/// What several entries have met, together.
pub(super) fn met(all: impl IntoIterator<Item = Hits>, now_ns: u64) -> Met {
    let mut met = Met::default();
    for Hits { packets, last_ns } in all {
        met.packets = met.packets.saturating_add(packets);
        if last_ns != 0 {
            let ago = Duration::from_nanos(now_ns.saturating_sub(last_ns));
            met.last = Some(met.last.map_or(ago, |least| least.min(ago)));
        }
    }
    met
}

/// Hits of bans that each CPU writes down in a millisecond: each costs some tenths of a microsecond.
const HITS_PER_MS: u64 = 16;

/// What the program is told of `settings`.
pub(super) fn wire(settings: Settings) -> Wire {
    let jiffy_ns = clock::jiffy_ns();
    let mut wire = Wire {
        flags: if settings.dry_run { flag::DRY_RUN } else { 0 },
        dropped: dropped(settings),
        spared: if settings.dry_run { u64::MAX } else { settings.spared },
        events_per_window: u64::from(settings.events_per_ms),
        hits_per_window: HITS_PER_MS,
        ..Wire::default()
    };
    for (limit, allowance) in Limit::ALL.into_iter().zip(settings.limits) {
        let (per_sec, burst) = (allowance.per_sec, allowance.burst);
        let is_of_bytes = matches!(limit, Limit::Bytes | Limit::NetworkBytes);
        let least = if is_of_bytes { LARGEST_FRAME } else { 0 };
        let burst = if burst == 0 { per_sec.saturating_mul(2).max(least) } else { burst };
        let rate = if is_of_bytes {
            Rate::bytes_per_sec(per_sec, burst, jiffy_ns)
        } else {
            Rate::per_sec(per_sec, burst, jiffy_ns)
        };
        wire = wire.with_rate(limit, rate);
    }
    wire
}

/// The oddities that are dropped, by their bits.
fn dropped(settings: Settings) -> u64 {
    let is_dropped = |oddity: Reason| {
        if matches!(oddity, Reason::MartianSource | Reason::Land) {
            settings.drop_martians
        } else if matches!(oddity, Reason::TcpNull | Reason::TcpXmas | Reason::TcpSynFin) {
            settings.drop_bad_flags
        } else {
            settings.drop_malformed
        }
    };
    let oddities = Reason::ALL.into_iter().filter(|reason| reason.is_oddity() && !reason.drops());
    oddities.filter(|oddity| is_dropped(*oddity)).fold(0, |bits, oddity| bits | oddity.bit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::Config;

    #[test]
    fn the_largest_frame_fits_into_any_rate_of_bytes() {
        for per_sec in [1, 500, 1 << 20] {
            let config =
                Config { bytes_per_sec: per_sec, network_bytes_per_sec: per_sec, ..Config::default() };
            let wire = wire(config.settings());
            for limit in [Limit::Bytes, Limit::NetworkBytes] {
                let Rate { interval, tolerance } = wire.rate(limit);
                assert!((interval * LARGEST_FRAME) >> 10 <= tolerance, "{per_sec} bytes a second: {limit:?}");
            }
        }
    }
}
