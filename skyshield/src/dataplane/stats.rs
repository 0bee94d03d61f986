//! What each guarded interface has counted: a map of its own, so that its packets pay for no look-up.

use std::fs;
use std::path::{Path, PathBuf};

use aya::maps::{MapData, MapError, PerCpuArray, PerCpuValues};
use skyshield_common::{Counter, Reason, Tally, maps as names};

use super::bpffs::file;
use super::enforcer::{Counters, EventTotals};
use super::error::{Error, OpenError};
use super::family::{self, Value, failed};

type Map = PerCpuArray<MapData, Value<Tally>>;

/// The counters of every interface that is guarded, by its name.
pub(super) struct Stats(Vec<(String, Map)>);

/// Where the counters of `interface` are pinned: by its name, so that they go on when it returns.
pub(super) fn pin(dir: &Path, interface: &str) -> PathBuf {
    // A name on a BPF file system has no dot, and an interface's has no colon.
    dir.join(format!("{}-{}", names::STATS, interface.replace('.', ":")))
}

/// The interfaces whose counters are pinned in `dir`, and where.
fn pinned(dir: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if let Some(interface) = name.strip_prefix(names::STATS).and_then(|rest| rest.strip_prefix('-')) {
            found.push((interface.replace(':', "."), file.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Lets go of the counters of interfaces that are guarded no more.
pub(super) fn keep_only(dir: &Path, interfaces: &[String]) -> Result<(), OpenError> {
    for (interface, path) in pinned(dir).map_err(file(dir))? {
        if !interfaces.contains(&interface) {
            fs::remove_file(&path).map_err(file(&path))?;
        }
    }
    Ok(())
}

impl Stats {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let found = pinned(dir).map_err(|error| failed("find", names::STATS)(MapError::IoError(error)))?;
        let opened = found.into_iter().map(|(interface, path)| {
            Ok((interface, family::open_at::<Map>(&path).map_err(failed("open", names::STATS))?))
        });
        opened.collect::<Result<_, _>>().map(Self)
    }

    /// Packets and bytes per reason, of each interface.
    pub(super) fn by_interface(&self) -> Result<Vec<(String, Counters)>, Error> {
        self.0.iter().map(|(interface, map)| Ok((interface.clone(), read(map)?))).collect()
    }

    /// Packets and bytes per reason, of all interfaces together.
    pub(super) fn all(&self) -> Result<Counters, Error> {
        let mut sum: Counters = Reason::ALL.into_iter().map(|reason| (reason, Counter::default())).collect();
        for (_, map) in &self.0 {
            for ((_, sum), (_, one)) in sum.iter_mut().zip(read(map)?) {
                *sum = added(*sum, one);
            }
        }
        Ok(sum)
    }

    /// What became of events, on all interfaces together.
    pub(super) fn events(&self) -> Result<EventTotals, Error> {
        let mut sum = EventTotals::default();
        for (_, map) in &self.0 {
            for Value(Tally { events, .. }) in tallies(map)?.iter() {
                sum.sent = sum.sent.wrapping_add(events.sent);
                sum.skipped = sum.skipped.wrapping_add(events.skipped).wrapping_add(events.passed_over);
                sum.lost = sum.lost.wrapping_add(events.lost);
            }
        }
        Ok(sum)
    }
}

fn read(map: &Map) -> Result<Counters, Error> {
    let tallies = tallies(map)?;
    let of = |reason: Reason| {
        let counters = tallies.iter().map(|Value(tally)| tally.counters[reason.index() as usize]);
        (reason, counters.fold(Counter::default(), added))
    };
    Ok(Reason::ALL.into_iter().map(of).collect())
}

fn tallies(map: &Map) -> Result<PerCpuValues<Value<Tally>>, Error> {
    map.get(&0, 0).map_err(failed("read", names::STATS))
}

pub(super) const fn added(one: Counter, other: Counter) -> Counter {
    Counter { packets: one.packets.wrapping_add(other.packets), bytes: one.bytes.wrapping_add(other.bytes) }
}
