//! The kernel's maps, opened by their pins.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aya::maps::{Array, MapData, PerCpuArray};
use ipnet::IpNet;
use skyshield_common::{Ban, Counter, EventCounter, PrefixBan, Reason, Settings as Wire, maps as names};

use super::backing::{self, Maps};
use super::clock;
use super::enforcer::{Counters, Entry, EventTotals, Reader};
use super::error::Error;
use super::family::{Family, Names, Value, failed, open};
use crate::engine::source::Source;

const V4: Names = Names { bans: names::BANS_V4, prefixes: names::PREFIXES_V4, allowed: names::ALLOWED_V4 };
const V6: Names = Names { bans: names::BANS_V6, prefixes: names::PREFIXES_V6, allowed: names::ALLOWED_V6 };

/// All maps but the ring buffer and the rates, which nobody here reads.
pub(super) struct KernelMaps {
    dir: PathBuf,
    settings: Array<MapData, Value<Wire>>,
    v4: Family<[u8; 4]>,
    v6: Family<[u8; 16]>,
    stats: PerCpuArray<MapData, Value<Counter>>,
    event_stats: PerCpuArray<MapData, Value<EventCounter>>,
}

impl KernelMaps {
    /// Opens the maps pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            settings: open(dir, names::SETTINGS)?,
            v4: Family::open(dir, V4)?,
            v6: Family::open(dir, V6)?,
            stats: open(dir, names::STATS)?,
            event_stats: open(dir, names::EVENT_STATS)?,
            dir: dir.to_owned(),
        })
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
        match address {
            IpAddr::V4(address) => self.v4.put_ban(address.octets(), ban),
            IpAddr::V6(address) => self.v6.put_ban(address.octets(), ban),
        }
    }

    fn cut_ban(&mut self, address: IpAddr) -> Result<(), Error> {
        match address {
            IpAddr::V4(address) => self.v4.cut_ban(address.octets()),
            IpAddr::V6(address) => self.v6.cut_ban(address.octets()),
        }
    }

    fn put_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.put_prefix(net.prefix_len(), net.network().octets(), ban),
            IpNet::V6(net) => self.v6.put_prefix(net.prefix_len(), net.network().octets(), ban),
        }
    }

    fn cut_prefix(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.cut_prefix(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.cut_prefix(net.prefix_len(), net.network().octets()),
        }
    }

    fn put_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.put_allowed(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.put_allowed(net.prefix_len(), net.network().octets()),
        }
    }

    fn cut_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self.v4.cut_allowed(net.prefix_len(), net.network().octets()),
            IpNet::V6(net) => self.v6.cut_allowed(net.prefix_len(), net.network().octets()),
        }
    }

    fn put_settings(&mut self, settings: Wire) -> Result<(), Error> {
        self.settings.set(0, Value(settings), 0).map_err(failed("write", names::SETTINGS))
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
        Reason::ALL
            .into_iter()
            .map(|reason| {
                let per_cpu = self.stats.get(&reason.index(), 0).map_err(failed("read", names::STATS))?;
                let sum = per_cpu.iter().fold(Counter::default(), |sum, Value(counter)| Counter {
                    packets: sum.packets.wrapping_add(counter.packets),
                    bytes: sum.bytes.wrapping_add(counter.bytes),
                });
                Ok((reason, sum))
            })
            .collect()
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        let per_cpu = self.event_stats.get(&0, 0).map_err(failed("read", names::EVENT_STATS))?;
        Ok(per_cpu.iter().fold(EventTotals::default(), |sum, Value(counter)| EventTotals {
            sent: sum.sent.wrapping_add(counter.sent),
            skipped: sum.skipped.wrapping_add(counter.skipped),
            lost: sum.lost.wrapping_add(counter.lost),
        }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(Self::open(&self.dir)?))
    }
}

impl Reader for KernelMaps {
    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error> {
        backing::entries(self)
    }

    fn counters(&self) -> Result<Counters, Error> {
        Maps::counters(self)
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        Maps::event_counters(self)
    }
}
