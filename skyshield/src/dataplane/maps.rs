//! The kernel's maps, opened by their pins.

mod charge;
mod policies;
mod written;

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aya::maps::{Array, HashMap, MapData, MapError};
use aya::programs::ProgramFd;
use ipnet::IpNet;
use skyshield_common::host::Hold;
use skyshield_common::{Ban, Hits, PrefixBan, Rate, RateKey, Settings as Wire, maps as names};

use policies::Called;

use super::backing::{self, Listed, Maps};
use super::clock;
use super::enforcer::{Counters, Entry, EventTotals, Hit, Reader, Replaced, Sender};
use super::error::Error;
use super::family::{Family, Names, Value, failed, open};
use super::hosts::Hosts;
use super::hosts_v6::HostsV6;
use super::list::List;
use super::near::Near;
use super::near_allowed::NearAllowed;
use super::places::{PlaceMaps, Placed};
use super::ranges::{Generations, Ranges};
use super::rule_maps::RuleMaps;
use super::rules::Rule;
use super::shared::Shared;
use super::stats::Stats;
use super::sys;
use super::top::Top;
use crate::engine::source::Source;

const V4: Names = Names { bans: names::BANS_V4, prefixes: names::PREFIXES_V4, allowed: names::ALLOWED_V4 };
const V6: Names = Names { bans: names::BANS_V6, prefixes: names::PREFIXES_V6, allowed: names::ALLOWED_V6 };

/// All maps but the ring buffer, the rates and the flows, which the daemon does not read.
pub(super) struct KernelMaps {
    dir: PathBuf,
    settings: Array<MapData, Value<Wire>>,
    /// The same as memory, of which the epoch is written by itself.
    told: Shared,
    v4: Family<[u8; 4]>,
    v6: Family<[u8; 16]>,
    stats: Stats,
    shapes: HashMap<MapData, [u8; 16], Value<Rate>>,
    hosts: Hosts,
    hosts_v6: HostsV6,
    near: Near,
    near_allowed: NearAllowed,
    ranges: Ranges,
    places: PlaceMaps,
    rules: RuleMaps,
    top: Top,
    /// What is decided of places, without the prefixes it was made of.
    placed: Placed,
    /// What rules and places are called, for whoever reads their counters.
    called: Arc<Mutex<Called>>,
    /// What this room alone says to the program; the rest comes by [`Maps::put_settings`].
    own: Wire,
    /// What was said last.
    said: Wire,
    anchor: Option<ProgramFd>,
    /// The listed ranges in force.
    generations: Generations,
    /// How much is on the list.
    listed: Listed,
    /// Bits of `near` that may be set for nothing.
    stale: u32,
}

impl KernelMaps {
    /// Opens the maps pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            settings: open(dir, names::SETTINGS)?,
            told: Shared::open(dir, names::SETTINGS)?,
            v4: Family::open(dir, V4)?,
            v6: Family::open(dir, V6)?,
            stats: Stats::open(dir)?,
            shapes: open(dir, names::SHAPES)?,
            hosts: Hosts::open(dir)?,
            hosts_v6: HostsV6::open(dir)?,
            near: Near::open(dir)?,
            near_allowed: NearAllowed::open(dir)?,
            ranges: Ranges::open(dir)?,
            places: PlaceMaps::open(dir)?,
            rules: RuleMaps::open(dir)?,
            top: Top::open(dir)?,
            placed: Placed::default(),
            called: Arc::default(),
            own: Wire::default(),
            said: Wire::default(),
            anchor: None,
            generations: Generations::default(),
            listed: Listed::default(),
            stale: 0,
            dir: dir.to_owned(),
        })
    }

    /// The entry of this prefix, or of the one around it, with what it has met.
    fn prefix(&self, prefix: IpNet) -> Result<Option<PrefixBan>, Error> {
        match prefix {
            IpNet::V4(net) => self.v4.prefix(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.prefix(net.prefix_len(), net.network().octets()),
        }
    }

    fn ranges_in_force(&self) -> List {
        let (v4, v6) = (self.ranges.read_v4(self.generations), self.ranges.read_v6(self.generations));
        List { v4, v6, ..List::default() }
    }

    fn list_in_force(&self) -> Result<List, Error> {
        let mut list = self.ranges_in_force();
        let all = self.hosts.all()?;
        list.hosts =
            all.into_iter().filter(|(_, hold)| hold.is_listed()).map(|(address, _)| address).collect();
        list.hosts.sort_unstable();
        Ok(list)
    }
}

impl Maps for KernelMaps {
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn ban(&self, address: IpAddr) -> Result<Option<Ban>, Error> {
        match address {
            IpAddr::V4(address) => self.v4.ban(address.octets()),
            IpAddr::V6(address) => self.v6.ban(address.octets()),
        }
    }

    fn put_ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), Error> {
        let written = self.write_ban(address, ban);
        self.begin_epoch();
        written
    }

    fn cut_ban(&mut self, address: IpAddr) -> Result<(), Error> {
        match address {
            IpAddr::V4(address) => {
                let hold = self.hosts.hold(address.to_bits()).until(0);
                self.put_host(address.to_bits(), hold)?;
                self.v4.cut_ban(address.octets())
            }
            IpAddr::V6(address) => {
                self.stale += 1;
                self.hosts_v6.put(address, Hold::NONE);
                self.v6.cut_ban(address.octets())?;
                self.say_changes()
            }
        }
    }

    fn put_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error> {
        let written = self.write_prefix(prefix, ban);
        self.begin_epoch();
        written
    }

    fn cut_prefix(&mut self, prefix: IpNet) -> Result<(), Error> {
        self.stale += 1;
        match prefix {
            IpNet::V4(net) => self.v4.cut_prefix(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.cut_prefix(net.prefix_len(), net.network().octets()),
        }
    }

    fn put_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.put_allowed(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.put_allowed(net.prefix_len(), net.network().octets()),
        }?;
        self.near_allowed.add(prefix);
        self.say()
    }

    fn cut_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.cut_allowed(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.cut_allowed(net.prefix_len(), net.network().octets()),
        }
    }

    fn put_settings(&mut self, settings: &Wire) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.said, *settings);
        // What was refused must not come with what is said next.
        self.say().inspect_err(|_| self.said = before)
    }

    fn settings(&self) -> Wire {
        self.said
    }

    fn keep_time(&mut self) -> Result<(), Error> {
        // So many bits for nothing cost a few packets a look at a table; all of them anew, 10 ms.
        const STALE: u32 = 16_384;
        if self.stale > STALE {
            self.rebuild_near()?;
            self.say()?;
        }
        let Some(anchor) = &self.anchor else { return Ok(()) };
        sys::run_once(anchor.as_fd())
            .map_err(|error| failed("set the clock in", names::SETTINGS)(MapError::IoError(error)))
    }

    fn put_shape(&mut self, key: RateKey, rate: Option<Rate>) -> Result<(), Error> {
        let before = self.shapes.get(&key.0, 0).ok().map(|Value(rate)| rate);
        self.write_shape(key, before, rate)?;
        let said = self.say();
        if said.is_err() {
            self.write_shape(key, rate, before)?;
        }
        said
    }

    fn bans(&self) -> Result<Vec<(Source, Ban)>, Error> {
        let mut all = self.v4.bans()?;
        all.extend(self.v6.bans()?);
        Ok(all)
    }

    fn prefixes(&self) -> Result<Vec<(IpNet, PrefixBan)>, Error> {
        let mut all = self.v4.prefixes()?;
        all.extend(self.v6.prefixes()?);
        Ok(all)
    }

    fn allowed(&self) -> Result<Vec<IpNet>, Error> {
        let mut all = self.v4.allowed()?;
        all.extend(self.v6.allowed()?);
        Ok(all)
    }

    fn counters(&self) -> Result<Counters, Error> {
        self.stats.all()
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        self.stats.events()
    }

    fn put_list(&mut self, list: &List) -> Result<Replaced, Error> {
        let written = self.write_list(list);
        self.begin_epoch();
        written
    }

    fn listed(&self) -> Listed {
        self.listed
    }

    fn put_places(&mut self, placed: &Placed) -> Result<(), Error> {
        self.place(placed)
    }

    fn placed(&self) -> [u32; 2] {
        self.placed.edges()
    }

    fn put_rules(&mut self, rules: &[Rule]) -> Result<(), Error> {
        self.rule_by(rules)
    }

    fn hits(&self, address: IpAddr) -> Result<Hits, Error> {
        match address {
            IpAddr::V4(address) => self.v4.hits(&address.octets()),
            IpAddr::V6(address) => self.v6.hits(&address.octets()),
        }
    }

    fn prefix_hits(&self, prefix: IpNet) -> Result<PrefixBan, Error> {
        Ok(self.prefix(prefix)?.unwrap_or_default())
    }

    fn take_senders(&mut self) -> Vec<Sender> {
        self.top.take()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(Self { called: Arc::clone(&self.called), ..Self::open(&self.dir)? }))
    }
}

impl Reader for KernelMaps {
    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error> {
        backing::entries(self)
    }

    fn counters(&self) -> Result<Counters, Error> {
        Maps::counters(self)
    }

    fn by_interface(&self) -> Result<Vec<(String, Counters)>, Error> {
        self.stats.by_interface()
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        Maps::event_counters(self)
    }

    fn hits(&self) -> Result<Vec<Hit>, Error> {
        self.named_hits()
    }
}
