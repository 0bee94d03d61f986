//! Packets through the loaded program by `BPF_PROG_TEST_RUN`: each row a verdict and a counter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use skyshield::dataplane::{Config, HitKind, Kernel, Pinned, Reader, Rule};
use skyshield::engine::place::{PlaceAct, PlacePolicy, Places};
use skyshield_common::{Limit, Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::table::{Fate, Setting, address};

/// Reasons that no row can bring about: the kernel runs no frame shorter than its Ethernet header,
/// an array's slot is never missing, a thousand sources at once leave cells to spare, and cookies are
/// another program's.
const BEYOND_ROWS: [Reason; 7] = [
    Reason::TruncatedEthernet,
    Reason::TruncatedEthernetDropped,
    Reason::Unexpected,
    Reason::RateUntracked,
    Reason::SynAnswered,
    Reason::DryRunCookieRefused,
    Reason::CookieRefused,
];
/// As many rows as must be there at the least.
pub(crate) const ROWS: usize = 300;

pub(crate) fn verdicts() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let mut hit = BTreeSet::from(BEYOND_ROWS);
    let mut rows = 0;
    for (setting, packets) in crate::table::all() {
        // Pins of its own each: rates and silence must not reach the next.
        let config = Config {
            pin_dir: bench.bpffs.path().join(setting.description.replace(' ', "-")),
            ..bench.config()
        };
        bench.with_kernel(&config, |kernel| {
            apply(kernel, &config, &setting)?;
            let reader = kernel.enforcer.reader()?;
            for (description, frame, reason) in packets {
                let (before, maps) = (Counted::now(kernel)?, Maps::now(kernel, &*reader, &setting)?);
                let verdict = kernel.attachment.judge(&frame)?;
                let counted = Counted::now(kernel)?.since(&before);
                let expected = BTreeMap::from([(reason, (1, frame.len() as u64))]);
                ensure!(
                    counted == expected && verdict == reason.verdict(),
                    "{}: {description}: {verdict:?} by {counted:?}, not {reason:?}",
                    setting.description
                );
                let changed = Maps::now(kernel, &*reader, &setting)?.since(&maps);
                ensure!(
                    changed.is_of(reason, kernel_has_limits(&setting)),
                    "{}: {description}: {reason:?}, and the maps changed by {changed:?}",
                    setting.description
                );
                hit.insert(reason);
                rows += 1;
            }
            Ok(())
        })?;
        detach(&config)?;
    }
    let missed: Vec<_> = Reason::ALL.into_iter().filter(|reason| !hit.contains(reason)).collect();
    crate::report(&format!("{rows} rows, {} reasons", hit.len()));
    ensure!(missed.is_empty(), "no row has {missed:?}");
    ensure!(rows >= ROWS, "{rows} rows only");
    Ok(())
}

fn apply(kernel: &mut Kernel, config: &Config, setting: &Setting) -> anyhow::Result<()> {
    for (decision, ban) in (1..).zip(setting.bans) {
        kernel.enforcer.install(source(ban)?, entry(decision, None))?;
    }
    for ban in setting.ended_bans {
        kernel.enforcer.install(source(ban)?, entry(1, Some(Duration::ZERO)))?;
    }
    let allowed = setting.allowed.iter().map(|text| source(text)).collect::<Result<Vec<_>, _>>()?;
    kernel.enforcer.set_allowed(&allowed)?;
    kernel.enforcer.set_places(&places(setting)?)?;
    kernel.enforcer.set_rules(&rules(setting)?)?;
    let mut settings = config.settings();
    (setting.change)(&mut settings);
    kernel.enforcer.set_settings(settings)?;
    if setting.bypassed {
        kernel.enforcer.bypass(Some(Duration::from_hours(1)))?;
    }
    if setting.silent {
        kernel.enforcer.heartbeat(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// What is decided of places in a setting: one policy for each fate there is.
pub(crate) fn places(setting: &Setting) -> anyhow::Result<Places> {
    let slow = PlaceAct::Limit { packets_per_sec: 1, burst: 1 };
    let policy = |act, dry_run| PlacePolicy { name: format!("{act:?}, dry: {dry_run}"), act, dry_run };
    let policies = [(PlaceAct::Ban, false), (slow, false), (PlaceAct::Ban, true), (slow, true)];
    let index = |fate| match fate {
        Fate::Banned => 0,
        Fate::Limited => 1,
        Fate::Watched => 2,
        Fate::LimitWatched => 3,
    };
    let prefixes = setting.places.iter().map(|(prefix, fate)| Ok((prefix.parse()?, index(*fate))));
    Ok(Places {
        policies: policies.map(|(act, dry_run)| policy(act, dry_run)).to_vec(),
        prefixes: prefixes.collect::<anyhow::Result<_>>()?,
    })
}

pub(crate) fn rules(setting: &Setting) -> anyhow::Result<Vec<Rule>> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Rules {
        rules: Vec<Rule>,
    }
    Ok(toml::from_str::<Rules>(setting.rules)?.rules)
}

/// Whether packets of a setting that nothing else ends are counted under a rate, whatever they are.
fn kernel_has_limits(setting: &Setting) -> bool {
    let mut settings = Config { rate_packets_per_sec: 0, ..Config::default() }.settings();
    (setting.change)(&mut settings);
    [Limit::Packets, Limit::Bytes, Limit::NetworkPackets, Limit::NetworkBytes]
        .into_iter()
        .any(|limit| settings.limit(limit).per_sec > 0)
}

/// What a row may change in the maps beside the counter of its reason; or by how much it did.
#[derive(Debug)]
struct Maps {
    /// Events of drops, whatever became of them.
    events: u64,
    /// What the bans have met.
    met: u64,
    /// What places and rules have met.
    places: u64,
    rules: u64,
    /// Bans and what is allowed.
    entries: usize,
    cells: Vec<[u64; 8]>,
    /// Cells of rates that are not as they were.
    changed: usize,
}

impl Maps {
    fn now(kernel: &Kernel, reader: &dyn Reader, setting: &Setting) -> anyhow::Result<Self> {
        let events = kernel.enforcer.event_counters()?;
        ensure!(events.lost == 0, "lost, and the ring has room: {events:?}");
        let mut met = 0;
        for ban in setting.bans.iter().chain(setting.ended_bans) {
            met += kernel.enforcer.met(source(ban)?)?.packets;
        }
        let (mut places, mut rules) = (0, 0);
        for hit in reader.hits()? {
            match hit.kind {
                HitKind::Place => places += hit.counter.packets,
                HitKind::Rule => rules += hit.counter.packets,
            }
        }
        Ok(Self {
            events: events.sent + events.skipped + events.lost,
            met,
            places,
            rules,
            entries: kernel.enforcer.entries()?.len() + kernel.enforcer.allowed().len(),
            cells: kernel.attachment.cells()?,
            changed: 0,
        })
    }

    fn since(&self, earlier: &Self) -> Self {
        let differ = |one: &[u64; 8], other: &[u64; 8]| one.iter().zip(other).filter(|(a, b)| a != b).count();
        Self {
            events: self.events - earlier.events,
            met: self.met - earlier.met,
            places: self.places - earlier.places,
            rules: self.rules - earlier.rules,
            entries: self.entries.abs_diff(earlier.entries),
            cells: Vec::new(),
            changed: self.cells.iter().zip(&earlier.cells).map(|(one, other)| differ(one, other)).sum(),
        }
    }

    /// Whether a packet with this reason changes just so much.
    fn is_of(&self, reason: Reason, has_limits: bool) -> bool {
        let of_place =
            matches!(reason.in_dry_run(), Reason::DryRunBannedPlace | Reason::DryRunPlaceRateExceeded);
        let of_rule = matches!(
            reason.in_dry_run(),
            Reason::DryRunRuleDropped | Reason::DryRunRuleRateExceeded | Reason::Tapped
        );
        // What goes on to the host may have been met by a place or a rule that lets it.
        let passes = matches!(reason, Reason::Passed | Reason::AllowedBan | Reason::AllowedRate);
        let is_met = |met: u64, must: bool| met == u64::from(must) || passes && met <= 1;
        // What is dropped before its rates spends nothing; what is over one has spent what it had.
        let ends_before = reason.drops() && !reason.is_rate()
            || reason.index() < Reason::Unexpected.index() && reason != Reason::Passed;
        let spends = if reason == Reason::Passed && has_limits {
            self.changed >= 1
        } else if ends_before {
            self.changed == 0
        } else {
            self.changed <= 3
        };
        self.events == u64::from(reason.is_told())
            && self.met == u64::from(reason.is_of_a_ban())
            && is_met(self.places, of_place)
            && is_met(self.rules, of_rule)
            && self.entries == 0
            && spends
    }
}

fn detach(config: &Config) -> anyhow::Result<()> {
    if let Some(pinned) = Pinned::open(&config.pin_dir)? {
        pinned.detach()?;
    }
    Ok(())
}

pub(crate) fn nested_prefixes() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let frame = packet::udp(address("203.0.113.3"));
        let (outer, inner) = (source("203.0.113.0/24")?, source("203.0.113.0/28")?);
        kernel.enforcer.install(outer, entry(1, None))?;
        kernel.enforcer.install(inner, entry(2, Some(Duration::ZERO)))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the ended inner ban hid the outer one");
        kernel.enforcer.remove(outer)?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Pass, "the lifted outer ban is still in force");
        kernel.enforcer.install(outer, entry(3, None))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the inner entry did not take it up");
        ensure!(kernel.enforcer.sweep(10)? == 1);
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "swept, and the outer ban went with it");
        Ok(())
    })
}
