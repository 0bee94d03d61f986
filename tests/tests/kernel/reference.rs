//! The loaded program against the [`Reference`]: the rows, frames cut short, and frames drawn by lot.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Enforcer as _, Kernel, Memory};
use skyshield_common::{Reason, Verdict};
use tests::packet;
use tests::reference::Reference;

use crate::bench::{Bench, Counted, entry, source};
use crate::drawn::frame;
use crate::in_force::{Drawn, Realm};
use crate::prefixes::Numbers;
use crate::rate::now;
use crate::rows::{self, ROWS};
use crate::table::{self, Setting, address};

/// Every row, those on rates too: none is left out.
pub(crate) fn rows() -> anyhow::Result<()> {
    let (mut compared, mut reasons) = (0, BTreeSet::new());
    let all = table::all();
    let there: usize = all.iter().map(|(_, rows)| rows.len()).sum();
    for (setting, rows) in all {
        let mut reference = of(&setting)?;
        for (description, frame, meant) in rows {
            let said = reference.judge(&frame);
            ensure!(
                said == meant,
                "{}: {description}: {said:?}, and {meant:?} is meant, of {frame:02x?}",
                setting.description
            );
            reasons.insert(said);
            compared += 1;
        }
    }
    crate::report(&format!("{compared} rows, {} reasons", reasons.len()));
    ensure!(compared == there && compared >= ROWS, "{compared} of {there} rows");
    Ok(())
}

/// The reference with what is in force in a setting.
fn of(setting: &Setting) -> anyhow::Result<Reference> {
    let mut settings = plain().settings();
    (setting.change)(&mut settings);
    let nets = |texts: &[&str]| {
        texts.iter().map(|text| Ok(source(text)?.as_prefix())).collect::<anyhow::Result<Vec<_>>>()
    };
    let mut reference = Reference::new(settings);
    reference.is_bypassed = setting.bypassed;
    reference.is_silent = setting.silent;
    reference.now = Duration::from_secs(1);
    reference.bans.extend(nets(setting.bans)?.into_iter().map(|net| (net, None)));
    reference.bans.extend(nets(setting.ended_bans)?.into_iter().map(|net| (net, Some(Duration::ZERO))));
    reference.allowed = nets(setting.allowed)?;
    reference.rules = rows::rules(setting)?;
    let places = rows::places(setting)?;
    for (net, policy) in places.prefixes {
        let policy = places.policies.get(usize::from(policy)).context("no such policy")?;
        reference.places.push((net, policy.clone()));
    }
    Ok(reference)
}

/// No rate but those that are asked for.
fn plain() -> Config {
    Config { rate_packets_per_sec: 0, ..Config::default() }
}

pub(crate) fn truncated() -> anyhow::Result<()> {
    const SHORTEST: usize = 14;
    let bench = Bench::quiet()?;
    let mut reference = Reference::new(plain().settings());
    bench.with_kernel(&bench.config(), |kernel| {
        for whole in [
            packet::udp(address("203.0.113.7")),
            packet::syn(address("2001:db8::7")),
            packet::ethernet(0x8100, &[0; 60]),
        ] {
            for length in 0..=64.min(whole.len()) {
                let frame = &whole[..length];
                let expected = reference.judge(frame);
                if length < SHORTEST {
                    // The kernel does not run these; the reference still has to have an answer.
                    ensure!(expected == Reason::TruncatedEthernet);
                    continue;
                }
                let before = Counted::now(kernel)?;
                let verdict = kernel.attachment.judge(frame)?;
                let counted = Counted::now(kernel)?.since(&before);
                ensure!(
                    counted == BTreeMap::from([(expected, (1, length as u64))]) && verdict == Verdict::Pass,
                    "{length} bytes: {verdict:?} by {counted:?}, not {expected:?}"
                );
            }
        }
        Ok(())
    })
}

/// How many realms are drawn, and how many frames in each: some seven seconds.
const REALMS: u8 = 100;
const FRAMES: usize = 300;
/// Within a second of a realm's first frame nothing has come back under a rate of one a second.
const SPENT_FOR: Duration = Duration::from_millis(900);
/// No realm is begun later than that, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(10);
/// As many frames must have been compared, and as many reasons met, at the least.
const LEAST: (usize, usize) = (5_000, 50);

/// In each realm other bans, lists, places, rules and settings, which change on the way; `SKYSHIELD_SEED` draws the
/// same again.
pub(crate) fn random() -> anyhow::Result<()> {
    let told = std::env::var("SKYSHIELD_SEED").ok().map(|told| told.parse()).transpose()?;
    let seed = told.map_or_else(getrandom::u64, Ok)?;
    let bench = Bench::quiet()?;
    let config = Config {
        max_listed: 1_024,
        max_listed_prefixes: 1_024,
        max_place_prefixes: 1_024,
        max_sources: 1 << 16,
        ..bench.config()
    };
    let (mut realms, mut compared, mut reasons) = (0, 0, BTreeSet::new());
    let begun = now();
    bench.with_kernel(&config, |kernel| {
        let mut numbers = Numbers(seed);
        for realm in 0..REALMS {
            let met = visited(kernel, &config, Realm(realm), &mut numbers)
                .with_context(|| format!("SKYSHIELD_SEED={seed}, realm {realm}"))?;
            compared += met.len();
            reasons.extend(met);
            realms += 1;
            if begun.elapsed() > LONGEST {
                break;
            }
        }
        Ok(())
    })?;
    let took = begun.elapsed().as_secs_f32();
    crate::report(&format!(
        "{compared} frames, {} reasons, {realms} realms in {took:.1} s; SKYSHIELD_SEED={seed}",
        reasons.len()
    ));
    ensure!(compared >= LEAST.0 && reasons.len() >= LEAST.1, "too few: {reasons:?}");
    Ok(())
}

/// Frames of a realm through both; the reasons that they had.
fn visited(
    kernel: &mut Kernel,
    config: &Config,
    realm: Realm,
    numbers: &mut Numbers,
) -> anyhow::Result<Vec<Reason>> {
    let mut drawn = Drawn::by(numbers, realm, config)?;
    drawn.enforce(kernel)?;
    let mut met = Vec::new();
    let begun = now();
    for _ in 0..FRAMES {
        if numbers.below(16) == 0 {
            drawn.change(kernel, numbers)?;
        }
        let frame = frame(numbers, realm);
        // A debt of another realm's, at another rate, is being paid all the time.
        let is_owing = |source| realm.is_anothers(source) || drawn.is_rated && !realm.holds(source);
        if Reference::source(&frame).is_some_and(is_owing) {
            continue;
        }
        let before = Counted::now(kernel)?;
        let verdict = kernel.attachment.judge(&frame)?;
        if drawn.is_rated && begun.elapsed() > SPENT_FOR {
            break;
        }
        let counted = Counted::now(kernel)?.since(&before);
        let meant = drawn.reference.judge(&frame);
        ensure!(
            counted == BTreeMap::from([(meant, (1, frame.len() as u64))]) && verdict == meant.verdict(),
            "{verdict:?} by {counted:?}, and {meant:?} is meant, of {frame:02x?} with {:#?}",
            drawn.reference
        );
        met.push(meant);
    }
    drawn.lift(kernel)?;
    Ok(met)
}

/// Bans of nested prefixes that come, end and go: the kernel judges as the model, which is itself
/// held against what was meant by its property test.
pub(crate) fn nested() -> anyhow::Result<()> {
    const STEPS: usize = 1_500;
    let bench = Bench::quiet()?;
    let config = bench.config();
    bench.with_kernel(&config, |kernel| {
        let mut memory = Memory::new(&config);
        for step in 0..STEPS {
            let [len, bits, what, probe, ..] = getrandom::u64()?.to_le_bytes();
            // 10.0.0.0/24 to /32 and fd00::/120 to /128: few enough to meet.
            let (family, base) = if what & 1 == 0 { ("10.0.0.", 24) } else { ("fd00::", 120) };
            let octet = |bits: u8| {
                if base == 24 { format!("{family}{bits}") } else { format!("{family}{bits:x}") }
            };
            let ban = source(&format!("{}/{}", octet(bits % 32), base + u32::from(len % 9)))?;
            let ttl = (what & 2 == 0).then_some(Duration::ZERO);
            if what & 0x0c == 0 {
                ensure!(kernel.enforcer.remove(ban)? == memory.remove(ban)?);
            } else {
                kernel.enforcer.install(ban, entry(step as u64 + 1, ttl))?;
                memory.install(ban, entry(step as u64 + 1, ttl))?;
            }
            if what & 0xf0 == 0 {
                ensure!(kernel.enforcer.sweep(100)? == memory.sweep(100)?);
            }
            for bits in [probe % 32, bits % 32] {
                let from: IpAddr = octet(bits).parse()?;
                let expected = if memory.judge(from).is_some() { Verdict::Drop } else { Verdict::Pass };
                let verdict = kernel.attachment.judge(&packet::udp(from))?;
                ensure!(verdict == expected, "{from}: {verdict:?} after {step} steps, the last {ban}");
            }
        }
        let sorted = |mut all: Vec<_>| {
            all.sort_by_key(|(source, _)| *source);
            all
        };
        ensure!(sorted(kernel.enforcer.entries()?) == sorted(memory.entries()?));
        ensure!(kernel.enforcer.fill() == memory.fill());
        Ok(())
    })
}
