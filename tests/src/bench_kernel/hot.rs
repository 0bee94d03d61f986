//! Honest packets of a thousand sources: what the whole program costs over parsing and counting them.

use anyhow::{Context as _, ensure};
use skyshield::dataplane::Config;

use super::field::Sources;
use super::target::{HONEST, HONEST_COUNT, Target, median};

const TIMES: u32 = 200_000;
/// So often that the thousand are in the caches.
const WARM_UP: u32 = 20_000;
const ROUNDS: usize = 41;

/// Medians of interleaved rounds, for IPv4 and IPv6. By `BPF_PROG_TEST_RUN`, in time of the processor,
/// the rate limit on: a relay makes each packet another source's and hands it to the program that only
/// parses and counts, or to ours.
pub(super) fn hot(target: &mut Target) -> anyhow::Result<[f64; 2]> {
    let config = Config { rate_packets_per_sec: 1_000_000, rate_burst: 1_000_000_000, ..Config::default() };
    target.kernel()?.enforcer.set_settings(config.settings())?;
    let program_id = target.program_id()?;
    let ours = aya::programs::loaded_programs().flatten().find(|program| program.id() == program_id);
    let ours = ours.context("not loaded")?.fd()?;
    let parsed = target.field.own("parsed")?;
    let mut rounds: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let [_, _, before, _] = target.counted()?;
    for _ in 0..ROUNDS {
        let families = [Sources::v4(HONEST, HONEST_COUNT), Sources::v6(HONEST, HONEST_COUNT)];
        for (sources, round) in families.into_iter().zip(&mut rounds) {
            let mut took = [0.0; 2];
            for (program, took) in [&parsed, &ours].into_iter().zip(&mut took) {
                target.field.relay(program, sources, WARM_UP)?;
                *took = target.field.relay(program, sources, TIMES)?;
            }
            round.push(took[1] - took[0]);
        }
    }
    let ([_, _, after, _], wanted) = (target.counted()?, 2 * ROUNDS as u64 * u64::from(WARM_UP + TIMES));
    ensure!(after - before >= wanted, "of {wanted} honest packets {} passed", after - before);
    Ok(rounds.map(|round| median(&round)))
}
