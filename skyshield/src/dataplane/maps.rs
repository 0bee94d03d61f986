//! The kernel's maps, opened by their pins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use ipnet::IpNet;
use skyshield_common::{
    Ban, Counter, EventCounter, Plain, PrefixBan, Reason, Settings as Wire, maps as names,
};

use super::clock;
use super::enforcer::{Counters, Entry, EventTotals, Reader};
use super::error::Error;
use super::table::{self, Maps};
use crate::engine::source::Source;

/// A value of a map, as aya takes it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Value<T>(T);

// SAFETY: transparent over a `Plain`, which is integers without padding.
#[expect(unsafe_code, reason = "`Plain` promises what `Pod` asks")]
unsafe impl<T: Plain> aya::Pod for Value<T> {}

/// All maps but the ring buffer.
pub(super) struct KernelMaps {
    dir: PathBuf,
    settings: Array<MapData, Value<Wire>>,
    bans_v4: HashMap<MapData, [u8; 4], Value<Ban>>,
    bans_v6: HashMap<MapData, [u8; 16], Value<Ban>>,
    prefixes_v4: LpmTrie<MapData, [u8; 4], Value<PrefixBan>>,
    prefixes_v6: LpmTrie<MapData, [u8; 16], Value<PrefixBan>>,
    allowed_v4: LpmTrie<MapData, [u8; 4], u64>,
    allowed_v6: LpmTrie<MapData, [u8; 16], u64>,
    stats: PerCpuArray<MapData, Value<Counter>>,
    event_stats: PerCpuArray<MapData, Value<EventCounter>>,
}

impl KernelMaps {
    /// Opens the maps pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        fn open<T: TryFrom<Map, Error = MapError>>(dir: &Path, name: &'static str) -> Result<T, Error> {
            MapData::from_pin(dir.join(name))
                .and_then(Map::from_map_data)
                .and_then(T::try_from)
                .map_err(failed("open", name))
        }
        Ok(Self {
            settings: open(dir, names::SETTINGS)?,
            bans_v4: open(dir, names::BANS_V4)?,
            bans_v6: open(dir, names::BANS_V6)?,
            prefixes_v4: open(dir, names::PREFIXES_V4)?,
            prefixes_v6: open(dir, names::PREFIXES_V6)?,
            allowed_v4: open(dir, names::ALLOWED_V4)?,
            allowed_v6: open(dir, names::ALLOWED_V6)?,
            stats: open(dir, names::STATS)?,
            event_stats: open(dir, names::EVENT_STATS)?,
            dir: dir.to_owned(),
        })
    }
}

fn failed(what: &'static str, map: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map { what, map, source }
}

/// A key that is not there is an answer, not an error.
fn present<T>(found: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &MapError) -> bool {
    if let MapError::SyscallError(error) = error {
        error.io_error.raw_os_error() == Some(nix::libc::ENOENT)
    } else {
        false
    }
}

fn v4_key(net: ipnet::Ipv4Net) -> Key<[u8; 4]> {
    Key::new(u32::from(net.prefix_len()), net.network().octets())
}

fn v6_key(net: ipnet::Ipv6Net) -> Key<[u8; 16]> {
    Key::new(u32::from(net.prefix_len()), net.network().octets())
}

/// A prefix out of a key; a length that no prefix has cannot be in the map.
fn prefix_of(address: IpAddr, len: u32) -> Option<IpNet> {
    IpNet::new(address, u8::try_from(len).ok()?).ok()
}

impl Maps for KernelMaps {
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn ban(&self, address: IpAddr) -> Result<Option<Ban>, Error> {
        match address {
            IpAddr::V4(v4) => {
                present(self.bans_v4.get(&v4.octets(), 0)).map_err(failed("read", names::BANS_V4))
            }
            IpAddr::V6(v6) => {
                present(self.bans_v6.get(&v6.octets(), 0)).map_err(failed("read", names::BANS_V6))
            }
        }
        .map(|found| found.map(|Value(ban)| ban))
    }

    fn put_ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), Error> {
        match address {
            IpAddr::V4(v4) => {
                self.bans_v4.insert(v4.octets(), Value(ban), 0).map_err(failed("write", names::BANS_V4))
            }
            IpAddr::V6(v6) => {
                self.bans_v6.insert(v6.octets(), Value(ban), 0).map_err(failed("write", names::BANS_V6))
            }
        }
    }

    fn cut_ban(&mut self, address: IpAddr) -> Result<(), Error> {
        match address {
            IpAddr::V4(v4) => {
                present(self.bans_v4.remove(&v4.octets())).map_err(failed("delete from", names::BANS_V4))
            }
            IpAddr::V6(v6) => {
                present(self.bans_v6.remove(&v6.octets())).map_err(failed("delete from", names::BANS_V6))
            }
        }
        .map(|_| ())
    }

    fn put_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => self
                .prefixes_v4
                .insert(&v4_key(net), Value(ban), 0)
                .map_err(failed("write", names::PREFIXES_V4)),
            IpNet::V6(net) => self
                .prefixes_v6
                .insert(&v6_key(net), Value(ban), 0)
                .map_err(failed("write", names::PREFIXES_V6)),
        }
    }

    fn cut_prefix(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => present(self.prefixes_v4.remove(&v4_key(net)))
                .map_err(failed("delete from", names::PREFIXES_V4)),
            IpNet::V6(net) => present(self.prefixes_v6.remove(&v6_key(net)))
                .map_err(failed("delete from", names::PREFIXES_V6)),
        }
        .map(|_| ())
    }

    fn put_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => {
                self.allowed_v4.insert(&v4_key(net), 1, 0).map_err(failed("write", names::ALLOWED_V4))
            }
            IpNet::V6(net) => {
                self.allowed_v6.insert(&v6_key(net), 1, 0).map_err(failed("write", names::ALLOWED_V6))
            }
        }
    }

    fn cut_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        match prefix {
            IpNet::V4(net) => present(self.allowed_v4.remove(&v4_key(net)))
                .map_err(failed("delete from", names::ALLOWED_V4)),
            IpNet::V6(net) => present(self.allowed_v6.remove(&v6_key(net)))
                .map_err(failed("delete from", names::ALLOWED_V6)),
        }
        .map(|_| ())
    }

    fn put_settings(&mut self, settings: Wire) -> Result<(), Error> {
        self.settings.set(0, Value(settings), 0).map_err(failed("write", names::SETTINGS))
    }

    fn bans(&self) -> Result<Vec<(Source, Ban)>, Error> {
        let mut all = Vec::new();
        for entry in self.bans_v4.iter() {
            let (address, Value(ban)) = entry.map_err(failed("walk", names::BANS_V4))?;
            all.push((Source::host(IpAddr::from(Ipv4Addr::from(address))), ban));
        }
        for entry in self.bans_v6.iter() {
            let (address, Value(ban)) = entry.map_err(failed("walk", names::BANS_V6))?;
            all.push((Source::host(IpAddr::from(Ipv6Addr::from(address))), ban));
        }
        Ok(all)
    }

    fn prefixes(&self) -> Result<Vec<(IpNet, PrefixBan)>, Error> {
        let mut all = Vec::new();
        for entry in self.prefixes_v4.iter() {
            let (key, Value(ban)) = entry.map_err(failed("walk", names::PREFIXES_V4))?;
            let address = IpAddr::from(Ipv4Addr::from(key.data()));
            all.extend(prefix_of(address, key.prefix_len()).map(|prefix| (prefix, ban)));
        }
        for entry in self.prefixes_v6.iter() {
            let (key, Value(ban)) = entry.map_err(failed("walk", names::PREFIXES_V6))?;
            let address = IpAddr::from(Ipv6Addr::from(key.data()));
            all.extend(prefix_of(address, key.prefix_len()).map(|prefix| (prefix, ban)));
        }
        Ok(all)
    }

    fn allowed(&self) -> Result<Vec<IpNet>, Error> {
        let mut all = Vec::new();
        for key in self.allowed_v4.keys() {
            let key = key.map_err(failed("walk", names::ALLOWED_V4))?;
            all.extend(prefix_of(IpAddr::from(Ipv4Addr::from(key.data())), key.prefix_len()));
        }
        for key in self.allowed_v6.keys() {
            let key = key.map_err(failed("walk", names::ALLOWED_V6))?;
            all.extend(prefix_of(IpAddr::from(Ipv6Addr::from(key.data())), key.prefix_len()));
        }
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
        table::entries(self)
    }

    fn counters(&self) -> Result<Counters, Error> {
        Maps::counters(self)
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        Maps::event_counters(self)
    }
}
