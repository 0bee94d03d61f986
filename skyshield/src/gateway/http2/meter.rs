//! What a client's frames may cost beyond what it asks for.

use std::time::Instant;

use super::PREFACE;
use super::config::Config;
use super::frames::{Frame, Frames, Kind};
use super::metrics::Metrics;

/// Frames that a request accounts for: a priority, a window.
const PER_REQUEST: u32 = 4;
/// Frames that a frame of data which we send accounts for: its stream's window, the connection's, and as
/// much again for who measures the line with a `PING` each time.
const PER_DATA_SENT: u32 = 4;
/// Of what is used up, this part comes back each second.
const BACK_PER_SEC: u32 = 10;

/// Of what a client sent too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Excess {
    ControlFrames = 1,
    Resets = 2,
}

impl Excess {
    /// Its name in metrics and logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ControlFrames => "control_frames",
            Self::Resets => "resets",
        }
    }
}

/// Looks at the frames of a connection as they pass.
#[derive(Debug)]
pub(super) struct Meter {
    inbound: Frames,
    outbound: Frames,
    control: Allowance,
    resets: Allowance,
    metrics: Metrics,
}

impl Meter {
    pub(super) fn new(config: &Config, metrics: Metrics, now: Instant) -> Self {
        Self {
            inbound: Frames::after(PREFACE.len()),
            outbound: Frames::after(0),
            control: Allowance::new(config.control_frames, now),
            resets: Allowance::new(config.resets, now),
            metrics,
        }
    }

    /// Looks at what came from the client; what it has sent too much of, if anything.
    pub(super) fn received(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> Option<Excess> {
        let Self { inbound, control, resets, metrics, .. } = self;
        let mut excess = None;
        inbound.scan(bytes, |Frame { kind, len, ends }| {
            let spent = match kind {
                Kind::Data if len > 0 || ends => true,
                Kind::Headers => {
                    control.earn(PER_REQUEST);
                    true
                }
                Kind::Reset => resets.spend(&now),
                Kind::Data
                | Kind::Continuation
                | Kind::Priority
                | Kind::Settings
                | Kind::Ping
                | Kind::WindowUpdate
                | Kind::Other => control.spend(&now),
            };
            metrics.frame(kind);
            if !spent {
                excess = Some(if kind == Kind::Reset { Excess::Resets } else { Excess::ControlFrames });
            }
        });
        excess
    }

    /// Looks at what goes to the client.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Self { outbound, control, resets, .. } = self;
        outbound.scan(bytes, |Frame { kind, ends, .. }| {
            if kind == Kind::Data {
                control.earn(PER_DATA_SENT);
            }
            if ends {
                resets.earn(1);
            }
        });
    }
}

/// How much is left of something that comes back with time.
#[derive(Debug)]
struct Allowance {
    most: u32,
    left: u32,
    /// Since when nothing came back.
    since: Instant,
}

impl Allowance {
    fn new(most: u32, now: Instant) -> Self {
        Self { most, left: most, since: now }
    }

    /// Takes one; false where none is left. Time is asked for only then.
    fn spend(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let passed = now.saturating_duration_since(self.since);
            let back = passed.as_millis() * u128::from(self.most) / u128::from(BACK_PER_SEC * 1000);
            if back == 0 {
                return false;
            }
            self.left = u32::try_from(back).unwrap_or(self.most).min(self.most);
            self.since = now;
        }
        self.left -= 1;
        true
    }

    fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.most);
    }
}

/// The least time in which all of an allowance comes back.
#[cfg(test)]
const ALL_BACK: std::time::Duration = std::time::Duration::from_secs(BACK_PER_SEC as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn meter(now: Instant) -> Meter {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let mut meter =
            Meter::new(&Config { control_frames: 100, resets: 50, ..Config::default() }, metrics, now);
        assert_eq!(meter.received(PREFACE, || now), None);
        meter
    }

    fn frame(kind: u8, flags: u8, len: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, len, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + usize::from(len), 0);
        bytes
    }

    #[test]
    fn a_flood_of_any_frame_that_asks_for_nothing_is_told_at_its_limit() {
        let now = clock::now();
        for (what, kind, len, most, excess) in [
            ("empty DATA", 0, 0, 100, Excess::ControlFrames),
            ("PRIORITY", 2, 5, 100, Excess::ControlFrames),
            ("RST_STREAM", 3, 4, 50, Excess::Resets),
            ("SETTINGS", 4, 0, 100, Excess::ControlFrames),
            ("PING", 6, 8, 100, Excess::ControlFrames),
            ("WINDOW_UPDATE", 8, 4, 100, Excess::ControlFrames),
            ("CONTINUATION", 9, 0, 100, Excess::ControlFrames),
            ("unknown", 200, 1, 100, Excess::ControlFrames),
        ] {
            let mut meter = meter(now);
            for number in 0..most {
                assert_eq!(meter.received(&frame(kind, 0, len), || now), None, "{what} {number}");
            }
            assert_eq!(meter.received(&frame(kind, 0, len), || now), Some(excess), "{what}");
        }
    }

    #[test]
    fn an_honest_client_accounts_for_its_frames() {
        let now = clock::now();
        let mut meter = meter(now);
        for _ in 0..10_000 {
            let request = [frame(1, 5, 20), frame(2, 0, 5), frame(8, 0, 4)].concat();
            assert_eq!(meter.received(&request, || now), None);
            meter.sent(&[frame(1, 4, 20), frame(0, 0, 200), frame(0, 1, 200)].concat());
            let windows = [frame(8, 0, 4), frame(8, 0, 4), frame(8, 0, 4), frame(8, 0, 4), frame(3, 0, 4)];
            assert_eq!(meter.received(&windows.concat(), || now), None);
        }
        for _ in 0..10_000 {
            assert_eq!(meter.received(&frame(0, 0, 200), || now), None, "a body accounts for itself");
        }
    }

    #[test]
    fn what_was_used_up_comes_back_with_time() {
        let now = clock::now();
        let mut meter = meter(now);
        for _ in 0..100 {
            assert_eq!(meter.received(&frame(6, 0, 8), || now), None);
        }
        assert!(meter.received(&frame(6, 0, 8), || now).is_some());
        let later = now + ALL_BACK / 10;
        for _ in 0..10 {
            assert_eq!(meter.received(&frame(6, 0, 8), || later), None);
        }
        assert!(meter.received(&frame(6, 0, 8), || later).is_some());
        let rested = later + 100 * ALL_BACK;
        for _ in 0..100 {
            assert_eq!(meter.received(&frame(6, 0, 8), || rested), None);
        }
        assert!(meter.received(&frame(6, 0, 8), || rested).is_some(), "never more than all of it");
    }
}
