//! What a daemon has left in the kernel, seen without one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::attachment::{Attached, describe};
use super::backing::{self, Maps as _};
use super::bpffs::{Lasting, PinDir, file, is_bpffs, schema_dir};
use super::clock;
use super::enforcer::{Counters, Entry, EventTotals};
use super::error::OpenError;
use super::link::Link;
use super::maps::KernelMaps;
use crate::engine::source::Source;

/// The pins of a daemon, which may be dead.
#[derive(Debug)]
pub struct Pinned {
    place: Lasting,
}

/// What is in force without the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Where the program is attached in this network namespace.
    pub attached: Vec<Attached>,
    /// Links whose interface is gone, or in another network namespace.
    pub elsewhere: usize,
    /// Packets and bytes per reason.
    pub counters: Counters,
    /// What became of the events.
    pub events: EventTotals,
    /// The bans in force.
    pub bans: Vec<(Source, Entry)>,
    /// The allow list.
    pub allowed: Vec<Source>,
    /// How much longer everything passes; zero where nothing is bypassed.
    pub bypass_left: Duration,
}

impl Pinned {
    /// Looks for pins; `None` if there are none.
    pub fn open(pin_dir: &Path) -> Result<Option<Self>, OpenError> {
        let place = Lasting::of(pin_dir);
        if !place.path().exists() {
            return Ok(None);
        }
        if !is_bpffs(place.path()) {
            return Err(OpenError::NotBpffs { pin_dir: pin_dir.to_owned() });
        }
        let mut files = fs::read_dir(place.path()).map_err(file(pin_dir))?;
        Ok(files.next().is_some().then_some(Self { place }))
    }

    /// What is in force. Reads only, also beside a living daemon.
    pub fn remains(&self) -> Result<Remains, OpenError> {
        let mut attached = Vec::new();
        let mut elsewhere = 0;
        for (link, _) in Link::pinned(self.place.path()).map_err(file(self.place.path()))? {
            match describe(&link)? {
                Some(one) => attached.push(one),
                None => elsewhere += 1,
            }
        }
        let maps = KernelMaps::open(&schema_dir(self.place.path()))?;
        Ok(Remains {
            attached,
            elsewhere,
            counters: maps.counters()?,
            events: maps.event_counters()?,
            bans: backing::entries(&maps)?,
            allowed: maps.allowed()?.into_iter().map(Source::prefix).collect(),
            bypass_left: maps.bypass_left()?,
        })
    }

    /// How much longer everything passes; zero where nothing is bypassed.
    pub fn bypass_left(&self) -> Result<Duration, OpenError> {
        Ok(KernelMaps::open(&schema_dir(self.place.path()))?.bypass_left()?)
    }

    /// Lets everything pass for `ttl`, [`LONGEST_BYPASS`](super::LONGEST_BYPASS) at the most; or, with `None`, no more.
    /// Refused while a daemon lives: what is in force is his to say. The next start ends it.
    pub fn bypass(&self, ttl: Option<Duration>) -> Result<(), OpenError> {
        let pin_dir = PinDir::claim(self.place.path())?;
        let mut maps = KernelMaps::open(&schema_dir(pin_dir.path()))?;
        Ok(maps.bypass(clock::bypass_until(clock::now_ns(), ttl))?)
    }

    /// Ends it all: detaches, and removes every pin of every layout. Refused while a daemon lives.
    pub fn detach(self) -> Result<Vec<Attached>, OpenError> {
        let pin_dir = PinDir::claim(self.place.path())?;
        let failed = file(self.place.path());
        let mut detached = Vec::new();
        for (link, _) in Link::pinned(pin_dir.path()).map_err(&failed)? {
            detached.extend(describe(&link)?);
            link.detach().map_err(&failed)?;
        }
        pin_dir.clear()?;
        Ok(detached)
    }
}
