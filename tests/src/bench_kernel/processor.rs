//! The one core that everything is measured on, and how fast it is meanwhile. On a machine with neighbours the other half
//! of it is theirs for a while, and what is measured then takes up to twice as long.

use std::hint::black_box;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::target::now;

/// Above this, over what it takes at best, known work was slowed down: more than the core's clock varies by.
const SLOWED: f64 = 1.2;
/// How long the work is timed on each core at first, for the neighbours to be away once.
const AT_FIRST: Duration = Duration::from_secs(1);
/// Half of what a core has nearest.
const WORDS: usize = 2_048;
/// Some ten microseconds.
const STEPS: usize = 10_000;

/// A core that this thread stays on, and those it starts.
pub(super) struct Core {
    every: CpuSet,
    work: Box<[u64; WORDS]>,
    /// The least that the work ever took, in ns.
    least: f64,
    looks: u32,
    slowed: u32,
}

impl Core {
    /// Goes to the one that is slowed down least, of those that this thread may be on.
    pub(super) fn stay() -> anyhow::Result<Self> {
        let every = sched_getaffinity(Pid::from_raw(0))?;
        let mut core = Self { every, work: Box::new([1; WORDS]), least: f64::INFINITY, looks: 0, slowed: 0 };
        let mut best = (f64::INFINITY, every);
        for cpu in (0..CpuSet::count()).filter(|cpu| every.is_set(*cpu) == Ok(true)) {
            let mut only = CpuSet::new();
            only.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &only)?;
            let (started, mut times) = (now(), 0_u32);
            while started.elapsed() < AT_FIRST {
                core.time();
                times += 1;
            }
            // The fewer had room in the same time, the more of it went to somebody else.
            let took = AT_FIRST.as_secs_f64() / f64::from(times);
            if took < best.0 {
                best = (took, only);
            }
        }
        sched_setaffinity(Pid::from_raw(0), &best.1)?;
        Ok(core)
    }

    /// Looks whether it is slowed down now, by a loop of known work.
    pub(super) fn look(&mut self) {
        // The first has what was measured out of the nearest cache again, and an interrupt may come into one.
        let took = self.time().min(self.time()).min(self.time());
        self.looks += 1;
        self.slowed += u32::from(took > SLOWED * self.least);
    }

    /// The share of all looks, 0 to 1, that found it slowed down.
    pub(super) fn slowed(&self) -> f64 {
        f64::from(self.slowed) / f64::from(self.looks.max(1))
    }

    /// What the work takes now, in ns: as much of it goes on at once as a core can, so that half a core is seen.
    fn time(&mut self) -> f64 {
        let started = now();
        let work = black_box(&mut *self.work);
        let mut sums = [0_u64; 4];
        for at in 0..STEPS {
            sums[0] = sums[0].wrapping_add(work[at % WORDS]);
            sums[1] ^= work[at * 7 % WORDS];
            sums[2] = sums[2].wrapping_add(sums[0] >> 1);
            sums[3] = (sums[3] ^ at as u64).wrapping_add(3);
        }
        work[0] = black_box(sums).iter().fold(1, |all, one| all ^ one);
        let took = started.elapsed().as_secs_f64() * 1e9;
        self.least = self.least.min(took);
        took
    }
}

impl Drop for Core {
    /// Gives the thread all its processors back.
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.every);
    }
}
