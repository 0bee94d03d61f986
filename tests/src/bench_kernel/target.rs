//! One filter under fire, and what is sent at it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Entry, Kernel};
use skyshield::engine::decision::{DecisionId, Origin};
use skyshield::engine::source::Source;
use skyshield_common::Reason;

use super::field::{FAR_END, Field, Idle, Sources};
use super::{scattered, scattered_v6};
use crate::netns::Netns;

/// Prefixes banned beside a million addresses, of each family.
pub(super) const PREFIXES: u32 = 10_000;
/// Their numbers among all scattered addresses; no list and no flood comes so far.
const FIRST_PREFIX: u32 = 60_000_000;

/// Sources that are neither on a list nor in a prefix, by their numbers.
pub(super) const HONEST: u32 = 3_000_000;
pub(super) const HONEST_COUNT: u32 = 1_000;

/// What becomes of all frames of a run, which is made sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Our program drops them, counted.
    Banned,
    /// The same, but for the few that are within the rate.
    Limited,
    /// They come to no IP stack.
    BeforeTheStack,
    /// The same, but for the few that are within a rate.
    LimitedBeforeTheStack,
    /// They come to the IP stack, and not through it.
    InTheStack,
    /// Our program passes them, counted as what nothing speaks against.
    Passed,
    /// Our program counts each: some it passes, and some it drops.
    Judged,
    /// They are not counted.
    Any,
}

/// Frames that are sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) sources: Sources,
    pub(super) to_host: bool,
    pub(super) fate: Fate,
}

impl Run {
    /// To be dropped.
    pub(super) fn dropped(name: &str, sources: Sources, fate: Fate) -> Self {
        Self { name: name.to_owned(), sources, to_host: true, fate }
    }

    /// To be passed, to a neighbour that is not there: a sink that costs little.
    pub(super) fn passed(name: &str, sources: Sources) -> Self {
        Self { name: name.to_owned(), sources, to_host: false, fate: Fate::Any }
    }

    /// The same, counted by our program.
    pub(super) fn passed_by_us(name: &str, sources: Sources) -> Self {
        Self { fate: Fate::Passed, ..Self::passed(name, sources) }
    }

    /// The same, of sources of which some are banned.
    pub(super) fn judged_by_us(name: &str, sources: Sources) -> Self {
        Self { fate: Fate::Judged, ..Self::passed(name, sources) }
    }
}

/// One filter under fire.
pub(super) struct Target {
    pub(super) field: Field,
    pub(super) kernel: Option<Kernel>,
    pub(super) config: Config,
    pub(super) runs: Vec<Run>,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Target {
    /// One of the bench's own programs.
    pub(super) fn idle(hint: &str, idle: Idle, runs: Vec<Run>) -> anyhow::Result<Self> {
        let mut field = Field::new(hint)?;
        field.attach(idle)?;
        Ok(Self { field, kernel: None, config: Config::default(), runs })
    }

    /// Ours, with so many addresses on the list, with or without prefixes; and how long the list took.
    pub(super) fn listed(
        hint: &str,
        count: u32,
        with_prefixes: bool,
        rate: Rate,
        runs: Vec<Run>,
    ) -> anyhow::Result<(Self, Duration)> {
        let (mut target, config) = Self::ours(hint, count, rate, runs)?;
        let took = target.field.far.run(|| {
            let mut kernel = Kernel::open(&config)?;
            let addresses: Vec<_> = (0..count).map(scattered).collect();
            let started = now();
            kernel.enforcer.replace_list(&addresses)?;
            let took = started.elapsed();
            if with_prefixes {
                prefixes(&mut kernel)?;
            }
            target.kernel = Some(kernel);
            Ok(took)
        })?;
        Ok((target, took))
    }

    /// Ours, with so many banned addresses of IPv6.
    pub(super) fn banned_v6(hint: &str, count: u32, runs: Vec<Run>) -> anyhow::Result<Self> {
        let (mut target, config) = Self::ours(hint, 1, Rate::NONE, runs)?;
        let config = Config { max_bans: count, ..config };
        target.field.far.run(|| {
            let mut kernel = Kernel::open(&config)?;
            for n in 0..count {
                kernel.enforcer.install(Source::host(scattered_v6(n).into()), entry(u64::from(n)))?;
            }
            prefixes(&mut kernel)?;
            target.kernel = Some(kernel);
            Ok(())
        })?;
        Ok(target)
    }

    fn ours(hint: &str, count: u32, rate: Rate, runs: Vec<Run>) -> anyhow::Result<(Self, Config)> {
        let field = Field::new(hint)?;
        let config = Config {
            interface: Some(FAR_END.to_owned()),
            pin_dir: field.bpffs.pin_dir(),
            max_bans: 4_096,
            max_prefixes: 2 * PREFIXES,
            max_listed: count,
            rate_packets_per_sec: rate.per_sec,
            rate_burst: rate.burst,
            events_per_ms: 4,
            ..Config::default()
        };
        Ok((Self { field, kernel: None, config: config.clone(), runs }, config))
    }

    /// Its kernel side.
    pub(super) fn kernel(&mut self) -> anyhow::Result<&mut Kernel> {
        self.kernel.as_mut().context("a target without a kernel side")
    }

    /// The number of the program that is attached.
    pub(super) fn program_id(&self) -> anyhow::Result<u32> {
        program_id(self.kernel.as_ref(), self.field.far.name())
    }

    /// What its program has dropped so far, as banned and as over the rate, what it has passed, and all that it has seen.
    pub(super) fn counted(&self) -> anyhow::Result<[u64; 4]> {
        let Some(kernel) = &self.kernel else { return Ok([0; 4]) };
        let counters = kernel.enforcer.counters()?;
        let of =
            |wanted| counters.iter().find(|(reason, _)| *reason == wanted).map_or(0, |(_, of)| of.packets);
        let all = counters.iter().map(|(_, of)| of.packets).sum();
        Ok([of(Reason::BannedExact), of(Reason::RateExceeded), of(Reason::Passed), all])
    }

    /// Does one run: ns for a frame of the generator alone, and with all that lies behind it.
    pub(super) fn fire(&mut self, at: usize, frames: u32) -> anyhow::Result<[f64; 2]> {
        let run = self.runs.get(at).context("no such run")?.clone();
        // Other filters had their turns since the last, and the caches with them.
        let warm_up = frames / 2;
        let before = self.field.taken()?;
        self.field.send(run.sources, warm_up, run.to_host)?;
        self.field.taken_since(before, warm_up.into())?;
        let counted = self.counted()?;
        let before = self.field.taken()?;
        let alone = self.field.make_only(run.sources, frames)?;
        let took = self.field.send(run.sources, frames, run.to_host)?;
        let [came, begun, ended] = self.field.taken_since(before, u64::from(frames))?;
        let after = self.counted()?;
        let [banned, over, passed, all] = [0, 1, 2, 3].map(|at| after[at] - counted[at]);
        let frames = u64::from(frames);
        let is_right = match run.fate {
            Fate::Banned => banned == frames,
            Fate::Limited => over <= frames && frames - over <= ROUTINE + frames / 500,
            Fate::BeforeTheStack => begun <= ROUTINE,
            Fate::LimitedBeforeTheStack => begun <= ROUTINE + frames / 500,
            Fate::Passed => passed >= frames,
            Fate::InTheStack => begun >= frames && ended <= ROUTINE,
            Fate::Judged => (frames..=frames + ROUTINE).contains(&all),
            Fate::Any => true,
        };
        ensure!(
            is_right && came >= frames,
            "{}: {frames} sent, {came} came, {banned} banned, {over} over the rate, {passed} passed, {begun} in the stack, {ended} \
             through it",
            run.name
        );
        Ok([alone, took])
    }
}

/// What one source may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_sec: u64,
    pub(super) burst: u64,
}

impl Rate {
    /// No limit.
    pub(super) const NONE: Self = Self { per_sec: 0, burst: 0 };

    /// So many a second, and as many at once.
    pub(super) const fn of(per_sec: u64) -> Self {
        Self { per_sec, burst: per_sec }
    }
}

/// Packets of the host's own that a run may be counted with.
const ROUTINE: u64 = 20;

/// Of IPv4 in such shares: 60 in a hundred a /24, 15 a /22, 10 a /20, 5 a /16 and 10 a /28. None that holds one of the
/// sources that are to be honest.
fn prefixes(kernel: &mut Kernel) -> anyhow::Result<()> {
    let honest: Vec<_> = (HONEST..HONEST + HONEST_COUNT).map(scattered).collect();
    let mut numbers = FIRST_PREFIX..;
    for at in 0..PREFIXES {
        let len = match at % 20 {
            0..12 => 24,
            12..15 => 22,
            15..17 => 20,
            17 => 16,
            _ => 28,
        };
        let nets = numbers.by_ref().map(|number| ipnet::Ipv4Net::new_assert(scattered(number), len).trunc());
        let mut nets = nets.skip_while(|net| honest.iter().any(|address| net.contains(address)));
        let net = nets.next().context("no prefix is left")?;
        kernel.enforcer.install(Source::prefix(net.into()), entry(u64::from(at)))?;
        let prefix: Source = format!("2001:{:x}:{:x}::/48", at % 16 + 0x4000, at).parse()?;
        kernel.enforcer.install(prefix, entry(u64::from(at)))?;
    }
    Ok(())
}

/// The number of the program that is attached in the namespace of this name.
pub(super) fn program_id(kernel: Option<&Kernel>, netns: &str) -> anyhow::Result<u32> {
    let attachment = &kernel.context("no kernel side")?.attachment;
    Netns::enter(netns, || Ok(attachment.status()?.context("not attached")?.program_id))
}

pub(super) fn entry(decision: u64) -> Entry {
    Entry { decision: DecisionId(decision + 1), origin: Origin::Operator, ttl: None }
}

pub(super) fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To a tenth.
pub(super) fn tenth(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}
