//! `/api/v1/monitoring/security/`: the security report: what is in force, what happened, who was in most of it, and
//! what the detectors and the kernel have counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counters::{self, Measured, Values};
use super::export::Format;
use super::feeds::FeedBody;
use super::kernel::KernelBody;
use super::knowing::Knowing;
use super::problem::Problem;
use super::reputation::AskingBody;
use super::threats::IndicatorBody;
use super::time::rfc3339;

use crate::clock;
use crate::control::{Health, Seen, millis, moment};
use crate::engine::indicators::{Kind, Wanted};
use crate::store::{Attacker, Tally};

/// The longest stretch, in hours.
const MAX_HOURS: u32 = 400 * 24;
/// Attackers named where nothing is said, and at the most.
const ATTACKERS: u32 = 20;
const MAX_ATTACKERS: u32 = 100;
/// Indicators named.
const INDICATORS: usize = 10;
/// Firing alerts that are counted.
const MAX_FIRING: u32 = 1000;

/// What the detectors and the doors have counted.
const DETECTION: &[&str] = &[
    "bans_total",
    "behaviour_claims_total",
    "csp_reports_total",
    "exceptions_used_total",
    "feed_hits_total",
    "incidents_total",
    "inspection_limits_reached_total",
    "near_misses_dropped_total",
    "ratelimited_total",
    "reports_dropped_total",
    "requests_total",
    "response_acts_total",
    "shaped_sources",
    "tap_verdicts_total",
    "unwanted_refused_total",
];
/// How well that is done.
const SUCCESS: &[&str] = &[
    "address_bans_armed",
    "enforcement_drift",
    "enforcement_lag_seconds",
    "rehearsal_detected_ratio",
    "rehearsal_flagged_ratio",
    "rehearsal_time_to_ban_seconds",
    "rehearsal_timestamp_seconds",
];
/// What is in force, by who decided and of what kind.
const IN_FORCE: &[&str] = &["decisions_in_force", "rulings_in_force"];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SecurityQuery {
    /// How far back: 1 to 9600 hours, 24 where nothing is said.
    hours: Option<u32>,
    /// How many attackers are named: 1 to 100, 20 where nothing is said.
    attackers: Option<u32>,
    /// As `csv` or `ndjson` each value of it is a row of `field` and `value`.
    #[param(inline)]
    format: Option<Format>,
}

/// The security report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecurityBody {
    from: String,
    to: String,
    decisions: InForceBody,
    incidents: TallyBody,
    /// Who was in most incidents, most first.
    attackers: Vec<AttackerBody>,
    near_misses: NearMissesBody,
    /// What the detectors and the doors have counted since the daemon started.
    #[schema(value_type = BTreeMap<String, Measured>)]
    detection: Values,
    /// How well that is done: the last rehearsal's shares, and the seconds from a request to its ban in the kernel.
    #[schema(value_type = BTreeMap<String, Measured>)]
    success: Values,
    kernel: DropsBody,
    /// Threat indicators, and those that are surest now.
    indicators: IndicatorsBody,
    /// The lists of others.
    feeds: Vec<FeedBody>,
    reputation: AskingBody,
    /// Alerts that fire, a thousand at the most.
    alerts_firing: usize,
}

/// What is in force.
#[derive(Debug, Serialize, ToSchema)]
struct InForceBody {
    /// Bans of addresses and prefixes.
    bans: usize,
    /// Bans there is room for.
    capacity: usize,
    /// Bans by who decided.
    bans_by_origin: BTreeMap<String, u64>,
    /// What is decided of networks, countries, users and rates, by kind.
    rulings_by_kind: BTreeMap<String, u64>,
    /// Entries of the allow list.
    allowed: usize,
    /// Exceptions to rules.
    exceptions: usize,
    /// Why detectors do not ban the addresses of proxies, where one is in front.
    not_armed: Option<String>,
}

/// What the incidents come to.
#[derive(Debug, Serialize, ToSchema)]
struct TallyBody {
    total: u64,
    /// Whether all were counted in the time there is for it; the newest are counted first.
    is_whole: bool,
    by_act: BTreeMap<String, u64>,
    by_door: BTreeMap<String, u64>,
    by_route: BTreeMap<String, u64>,
    /// In how many a rule of the class found something; of an operator's own rules, `own`.
    by_class: BTreeMap<String, u64>,
    by_rule: BTreeMap<String, u64>,
    /// Oldest first; hours without any are left out.
    by_hour: Vec<HourBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct HourBody {
    /// When the hour begins.
    at: String,
    incidents: u64,
    /// Those that were refused, banned ones among them.
    refused: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct AttackerBody {
    /// The address, or the name it stands under after a while.
    address: String,
    incidents: u64,
    max_score: f64,
    /// Its newest incident.
    last_incident: String,
    /// Whether a ban of it is in force now.
    is_banned: bool,
    /// How sure it is an attacker's by its own deeds, 0 to 1.
    indicator_confidence: f64,
}

/// Requests that passed although something spoke against them.
#[derive(Debug, Serialize, ToSchema)]
struct NearMissesBody {
    total: u64,
    by_route: BTreeMap<String, u64>,
}

/// What the kernel side dropped since it was attached.
#[derive(Debug, Serialize, ToSchema)]
struct DropsBody {
    dropped_packets: u64,
    dropped_bytes: u64,
    /// Packets, of all interfaces, by why.
    by_reason: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct IndicatorsBody {
    by_kind: BTreeMap<&'static str, usize>,
    surest: Vec<IndicatorBody>,
}

/// The security report.
///
/// What is in force, incidents by class and by hour, who was in most of them, near misses, what detectors and kernel
/// have counted, and how lists and providers are.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/security/",
    tag = "monitoring",
    params(SecurityQuery),
    responses((status = 200, content((SecurityBody = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn report(
    State(api): State<Api>,
    query: Result<Query<SecurityQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let (hours, attackers) = (query.hours.unwrap_or(24), query.attackers.unwrap_or(ATTACKERS));
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!("hours: 1 to {MAX_HOURS}")));
    }
    if !(1..=MAX_ATTACKERS).contains(&attackers) {
        return Err(Problem::bad_request(format!("attackers: 1 to {MAX_ATTACKERS}")));
    }
    let to = millis(clock::wall());
    let from = to - i64::from(hours) * 3_600_000;
    // It is closed by nobody.
    let _turn = api.own.reporting.acquire().await;
    let (reader, named) = (api.reader.clone(), attackers as usize);
    let read = super::read(move || {
        let firing = reader.alerts_firing(None, MAX_FIRING)?.len();
        Ok((reader.tally(from, named)?, reader.near_misses_by_route(from)?, firing))
    });
    let (tally, near_misses, alerts_firing) = read.await?;
    let attackers = tally.attackers.iter().map(|attacker| AttackerBody::new(attacker, &api.knowing));
    let body = SecurityBody {
        from: rfc3339(moment(from)),
        to: rfc3339(moment(to)),
        decisions: in_force(&api).await?,
        attackers: attackers.collect(),
        incidents: TallyBody::new(tally),
        near_misses: NearMissesBody { total: near_misses.values().sum(), by_route: near_misses },
        detection: counters::of(&api.registry, DETECTION),
        success: counters::of(&api.registry, SUCCESS),
        kernel: drops(api.control.seen().await?),
        indicators: indicators(&api.knowing),
        feeds: api.knowing.feeds.states().into_iter().map(FeedBody::from).collect(),
        reputation: AskingBody::from(api.knowing.asking.borrow().clone()),
        alerts_firing,
    };
    api.own.exports.report(("security", query.format), &body)
}

async fn in_force(api: &Api) -> Result<InForceBody, Problem> {
    let Health { decisions_in_force: bans, capacity, not_armed, .. } = api.control.health().await?;
    let mut counted = counters::of(&api.registry, IN_FORCE);
    Ok(InForceBody {
        bans,
        capacity,
        bans_by_origin: by_label(counted.remove("decisions_in_force")),
        rulings_by_kind: by_label(counted.remove("rulings_in_force")),
        allowed: api.control.allows().await?.len(),
        exceptions: api.control.exceptions().load().iter().count(),
        not_armed,
    })
}

/// By the one label that there is.
fn by_label(measured: Option<Measured>) -> BTreeMap<String, u64> {
    let Some(Measured::Several(several)) = measured else { return BTreeMap::new() };
    let bare = |which: String| which.split_once('=').map_or(which.clone(), |(_, value)| value.to_owned());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, as it was counted")]
    several.into_iter().map(|(which, value)| (bare(which), value as u64)).collect()
}

fn drops(seen: Seen) -> DropsBody {
    let KernelBody { interfaces, .. } = KernelBody::from(seen);
    let mut drops = DropsBody { dropped_packets: 0, dropped_bytes: 0, by_reason: BTreeMap::new() };
    for interface in interfaces {
        drops.dropped_packets += interface.dropped.packets;
        drops.dropped_bytes += interface.dropped.bytes;
        for (reason, traffic) in interface.drops {
            *drops.by_reason.entry(reason.to_owned()).or_default() += traffic.packets;
        }
    }
    drops
}

fn indicators(knowing: &Knowing) -> IndicatorsBody {
    let now = clock::wall();
    let mut all =
        knowing.indicators.page(&Wanted { limit: usize::MAX, min_confidence: 0.5, ..Wanted::default() });
    all.sort_by(|one, other| other.confidence(now).total_cmp(&one.confidence(now)));
    all.truncate(INDICATORS);
    let by_kind = knowing.indicators.counts().into_iter().map(|(kind, count)| (kind.name(), count));
    IndicatorsBody { by_kind: by_kind.collect(), surest: all.into_iter().map(IndicatorBody::from).collect() }
}

impl TallyBody {
    fn new(tally: Tally) -> Self {
        let Tally { total, by_act, by_door, by_route, by_hour, by_rule, by_class, attackers: _, is_whole } =
            tally;
        let by_hour = by_hour.into_iter().map(|(at, hour)| HourBody {
            at: rfc3339(moment(at)),
            incidents: hour.incidents,
            refused: hour.refused,
        });
        Self { total, is_whole, by_act, by_door, by_route, by_class, by_rule, by_hour: by_hour.collect() }
    }
}

impl AttackerBody {
    fn new(attacker: &Attacker, knowing: &Knowing) -> Self {
        // What stands under a pseudonym is nobody's any more.
        let address = attacker.address.parse::<IpAddr>().ok();
        let is_banned = address.is_some_and(|address| knowing.view.ban_of(address, clock::now()).is_some());
        let confidence = knowing.indicators.confidence(Kind::Address, &attacker.address);
        Self {
            address: attacker.address.clone(),
            incidents: attacker.incidents,
            max_score: attacker.max_score,
            last_incident: attacker.last.clone(),
            is_banned,
            indicator_confidence: (confidence * 1000.0).round() / 1000.0,
        }
    }
}
