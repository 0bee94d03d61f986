//! The detectors: what is remembered of a source, as confidence.

use std::time::{Duration, Instant};

use super::campaign::Campaign;
use super::claims::{Claims, Detector};
use super::config::Config;
use super::track::{FLOOD_HALF_LIFE, LOGIN_HALF_LIFE, PAGES_HALF_LIFE, Track};

/// No behaviour is surer than this: another may share the address.
const SUREST: f32 = 0.95;
/// A detector that only slows its source down is no surer than this.
const HINT: f32 = 0.65;

pub(super) fn claims(
    track: &Track,
    campaign: &Campaign,
    config: &Config,
    now: Duration,
    at: Instant,
) -> Claims {
    let mut sure = [0.0; Detector::ALL.len()];
    let mut claim = |detector: Detector, confidence: f32| {
        if confidence > 0.01 {
            sure[detector as usize] = confidence.min(SUREST);
        }
    };
    let login = |count: super::count::Fading| count.value(now, LOGIN_HALF_LIFE);
    let pages = |count: super::count::Fading| count.value(now, PAGES_HALF_LIFE);

    // Those who succeed make up for those who do not: an office has both behind one address.
    let (failed, succeeded) = (login(track.failed), login(track.succeeded));
    let accounts = track.failed_accounts.count(now) - 2.0 * track.succeeded_accounts.count(now);
    let excess = failed - 4.0 * succeeded;
    let (patience, pace) = if campaign.is_on() { (2.0, 2.5) } else { (6.0, 5.0) };
    claim(Detector::LoginGuessing, rising(excess - patience, pace));
    let (patience, pace) = if campaign.is_on() { (0.5, 1.4) } else { (3.0, 2.5) };
    if failed >= 1.5 {
        claim(Detector::LoginStuffing, rising(accounts.min(excess) - patience, pace));
    }
    if login(track.at_target) >= 0.5 && excess > 0.0 {
        claim(Detector::LoginTarget, 0.45);
    }

    let (found, missed) = (pages(track.found), pages(track.missed));
    let missing = ramp(missed / (missed + found).max(1.0), 0.5, 0.8);
    if !campaign.is_outage(missed, now) {
        let different = track.missed_pages.count(now);
        claim(Detector::MissingPages, rising(different - 4.0, 8.0) * missing);
        claim(Detector::WellKnownPages, rising(track.well_known.count(now) - 1.0, 2.0) * missing);
        let sites = track.missed_sites.count(now);
        claim(Detector::SitesProbing, (rising(sites - 2.0, 2.0) * missing).min(HINT));
        let (steps, missteps) = (pages(track.steps), pages(track.missteps));
        claim(Detector::Enumeration, rising(steps - 10.0, 15.0) * ramp(missteps / steps.max(1.0), 0.3, 0.6));
    }

    let (accepted, rejected) = (login(track.accepted), login(track.rejected));
    let refused = ramp(rejected / (rejected + accepted).max(1.0), 0.6, 0.9);
    claim(Detector::ValueGuessing, rising(track.rejected_values.count(now) - 4.0, 4.0) * refused);

    let per_sec =
        track.requests.value(now, FLOOD_HALF_LIFE) * std::f32::consts::LN_2 / FLOOD_HALF_LIFE.as_secs_f32();
    if per_sec >= config.flood_per_sec {
        claim(Detector::Flood, (0.5 * per_sec / config.flood_per_sec).min(HINT));
    }
    Claims::new(sure, at)
}

/// 0 up to 0, half the way to 1 at `pace`, and half of the rest with each further one.
fn rising(amount: f32, pace: f32) -> f32 {
    if amount <= 0.0 { 0.0 } else { 1.0 - 0.5_f32.powf(amount / pace) }
}

/// 0 up to `from`, 1 from `to` on, even in between.
fn ramp(share: f32, from: f32, to: f32) -> f32 {
    ((share - from) / (to - from)).clamp(0.0, 1.0)
}
