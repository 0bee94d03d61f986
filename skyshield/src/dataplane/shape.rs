//! The maps' shapes: what the configuration makes of them, and whether what is pinned is so.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::{MapInfo, MapType};
use skyshield_common::gate::{Gate, Shielding};
use skyshield_common::maps as names;
use skyshield_common::tap::{Flow, TapCounter, Tapping};
use skyshield_common::{
    Banned, Counter, PrefixBan, Rate, Settings as Wire, Sizes, Tally, host, host_v6, near, place, range,
    rate, roster, rules, top,
};

use super::bpffs::file;
use super::config::Config;
use super::cookies;
use super::error::OpenError;
use super::places;
use super::ranges;
use super::rule_maps;
use super::stats;
use super::sys;
use super::tap;

/// What a pinned map has to be. Of a variable, which is one value, the entries are its words.
pub(super) struct Shape {
    pub(super) name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    pub(super) entries: u32,
    /// The configuration's key behind `entries`, and its value; none for what never varies.
    setting: Option<(&'static str, u32)>,
}

/// Bytes of a word.
const WORD: u32 = 8;

/// The room a trie is given above what it may hold. Older kernels refuse to overwrite an entry of a
/// full trie, and an allow list is added to before it is taken from.
const TRIE_SLACK: u32 = 1;

/// Buckets of the rates: a power of two, so that a hash is masked.
pub(super) fn rate_buckets(config: &Config) -> u32 {
    /// As many as a source may have its cell in.
    const LEAST: u32 = 2;
    const MOST: u32 = 1 << 24;
    (config.max_sources / 8).clamp(LEAST, MOST).next_power_of_two()
}

/// Buckets of the flows, of which there are as many as of the rates, or one.
pub(super) fn flow_buckets(config: &Config) -> u32 {
    if config.counts_flows() { rate_buckets(config) } else { 1 }
}

/// What the program is told of its tables' sizes.
pub(super) fn sizes(config: &Config) -> Sizes {
    let buckets = host_buckets(config);
    let lines = roster::line_count(buckets);
    Sizes {
        hosts: u64::from(buckets) - 1,
        hosts_v6: u64::from(host_v6::bucket_count(config.max_bans)) - 1,
        roster: u64::from(lines.saturating_sub(1)),
        tag_bits: roster::tag_bits(lines).into(),
        rates: u64::from(rate_buckets(config)) - 2,
    }
}

/// Buckets of the IPv4 hosts.
fn host_buckets(config: &Config) -> u32 {
    host::bucket_count(config.max_bans.saturating_add(config.max_listed))
}

/// Words of a value.
fn words_of<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or_default() / WORD
}

/// Every map, as this configuration has it.
pub(super) fn shapes(config: &Config) -> Vec<Shape> {
    let shape = |name, kind, key, value, entries, setting| Shape { name, kind, key, value, entries, setting };
    let bans = |name, key| {
        let entries = config.max_bans.max(1);
        shape(name, MapType::Hash, key, size_of::<Banned>(), entries, Some(("max_bans", config.max_bans)))
    };
    let prefixes = |name, key| {
        let entries = config.max_prefixes.saturating_add(TRIE_SLACK);
        let setting = Some(("max_prefixes", config.max_prefixes));
        shape(name, MapType::LpmTrie, key, size_of::<PrefixBan>(), entries, setting)
    };
    let allowed = |name, key| {
        let entries = config.max_allowed.saturating_mul(2).saturating_add(TRIE_SLACK);
        shape(name, MapType::LpmTrie, key, 8, entries, Some(("max_allowed", config.max_allowed)))
    };
    let sources = Some(("max_sources", config.max_sources));
    let allowing = Some(("max_allowed", config.max_allowed));
    let buckets = host_buckets(config);
    let variable = |name, words, setting| shape(name, MapType::Array, 4, WORD as usize, words, setting);
    let hosts = Some(("max_listed", config.max_listed));
    let (ring, flows) = tap::sizes(config.tapped.as_ref());
    let place_prefixes = Some(("max_place_prefixes", config.max_place_prefixes));
    let prefixes_listed = Some(("max_listed_prefixes", config.max_listed_prefixes));
    vec![
        variable(names::SETTINGS, words_of::<Wire>(), None),
        bans(names::BANS_V4, 4),
        bans(names::BANS_V6, 16),
        prefixes(names::PREFIXES_V4, 8),
        prefixes(names::PREFIXES_V6, 20),
        allowed(names::ALLOWED_V4, 8),
        allowed(names::ALLOWED_V6, 20),
        variable(names::RATES, (rate::FRONT + rate_buckets(config)) * words_of::<rate::Bucket>(), sources),
        shape(names::FLOWS, MapType::Array, 4, size_of::<rate::Bucket>(), flow_buckets(config), sources),
        shape(names::TOP, MapType::Array, 4, size_of::<top::Bucket>(), top::BUCKETS, None),
        shape(names::RULES, MapType::Array, 4, size_of::<rules::Row>(), rule_maps::SLOTS, None),
        shape(names::HITS, MapType::PerCpuArray, 4, size_of::<Counter>(), names::HITS_SLOTS, None),
        shape(
            names::PLACES_V4,
            MapType::Array,
            4,
            8,
            places::slots_v4(config.max_place_prefixes),
            place_prefixes,
        ),
        shape(
            names::PLACES_V6,
            MapType::Array,
            4,
            8 * place::WORDS_V6,
            places::slots_v6(config.max_place_prefixes),
            place_prefixes,
        ),
        shape(names::SHIELDING, MapType::Array, 4, size_of::<Shielding>(), 1, None),
        shape(names::GATES, MapType::Array, 4, size_of::<Gate>(), cookies::gates(config), None),
        shape(names::TAP, MapType::Array, 4, size_of::<Tapping>(), 1, None),
        shape(names::TAP_PORTS, MapType::Array, 4, 8, names::TAP_PORTS_WORDS, None),
        shape(names::TAP_FLOWS, MapType::Array, 4, size_of::<Flow>(), flows, None),
        shape(names::TAP_RING, MapType::RingBuf, 0, 0, ring, None),
        shape(names::TAP_STATS, MapType::PerCpuArray, 4, size_of::<TapCounter>(), 1, None),
        shape(names::SHAPES, MapType::Hash, 16, size_of::<Rate>(), config.max_allowed.max(1), allowing),
        variable(names::HOSTS_V4, buckets * words_of::<host::Bucket>(), hosts),
        variable(
            names::HOSTS_V6,
            host_v6::bucket_count(config.max_bans) * words_of::<host_v6::Bucket>(),
            Some(("max_bans", config.max_bans)),
        ),
        shape(
            names::RANGES_V4,
            MapType::Array,
            4,
            8,
            ranges::slots_v4(config.max_listed_prefixes),
            prefixes_listed,
        ),
        shape(
            names::RANGES_V6,
            MapType::Array,
            4,
            8 * range::WORDS_V6,
            ranges::slots_v6(config.max_listed_prefixes),
            prefixes_listed,
        ),
        shape(names::STASH_V4, MapType::Hash, 4, 8, host::stash_capacity(buckets), hosts),
        variable(names::ROSTER_V4, roster::line_count(buckets).max(1) * words_of::<roster::Line>(), hosts),
        variable(names::NEAR_HOSTS_V4, near::host_words(buckets).max(1), hosts),
        variable(names::NEAR_V4, near::V4_WORDS, None),
        variable(names::NEAR_V6, near::V6_WORDS, None),
        variable(names::NEAR_ALLOWED, near::ALLOWED_WORDS, None),
        shape(names::STATS, MapType::PerCpuArray, 4, size_of::<Tally>(), 1, None),
        shape(names::EVENTS, MapType::RingBuf, 0, 0, names::EVENTS_BYTES, None),
    ]
}

impl Shape {
    /// Whether the map is that of a variable.
    pub(super) fn is_variable(&self) -> bool {
        names::VARIABLES.contains(&self.name)
    }

    /// Makes the map of a variable, and pins it, if none is pinned; what is pinned then.
    pub(super) fn variable(&self, path: &Path) -> Result<OwnedFd, OpenError> {
        if path.exists() {
            return sys::object_get(path).map_err(file(path));
        }
        let bytes = self.value * self.entries as usize;
        let map = sys::map_create(self.name, bytes).map_err(|source| OpenError::Table {
            map: self.name,
            bytes,
            source,
        })?;
        sys::object_pin(map.as_fd(), path).map_err(file(path))?;
        Ok(map)
    }

    /// Where the map is pinned that the program on `interface` uses.
    pub(super) fn pin(&self, dir: &Path, interface: &str) -> PathBuf {
        if self.name == names::STATS { stats::pin(dir, interface) } else { dir.join(self.name) }
    }

    /// Compares with what is pinned at `path`, if anything is.
    pub(super) fn verify(&self, path: &Path) -> Result<(), OpenError> {
        if !path.exists() {
            return Ok(());
        }
        let foreign = |what: String| OpenError::ForeignMap { path: path.to_owned(), what };
        let info = MapInfo::from_pin(path).map_err(|error| foreign(error.to_string()))?;
        let kind = info.map_type().map_err(|error| foreign(error.to_string()))?;
        if self.is_variable() && info.max_entries() != 1 {
            return Err(foreign(format!("it has {} entries, not 1", info.max_entries())));
        }
        let (key, value, entries) = match info.value_size() {
            bytes if self.is_variable() => (info.key_size() as usize, WORD as usize, bytes / WORD),
            value => (info.key_size() as usize, value as usize, info.max_entries()),
        };
        if kind != self.kind || key != self.key || value != self.value {
            return Err(foreign(format!(
                "it is a {kind:?} of {key}+{value} bytes, not a {:?} of {}+{}",
                self.kind, self.key, self.value
            )));
        }
        if entries == self.entries {
            return Ok(());
        }
        if [names::RATES, names::GATES, names::FLOWS, names::TAP_FLOWS, names::TAP_RING].contains(&self.name)
        {
            // State, not policy: the new program begins with an empty one of the new size.
            return fs::remove_file(path).map_err(file(path));
        }
        match self.setting {
            None => Err(foreign(format!("it has {entries} entries, not {}", self.entries))),
            Some((setting, wanted)) => {
                let pinned = match self.name {
                    names::ALLOWED_V4 | names::ALLOWED_V6 => (entries - TRIE_SLACK) / 2,
                    names::PREFIXES_V4 | names::PREFIXES_V6 => entries - TRIE_SLACK,
                    // The most that gives as many slots, of which three quarters are full.
                    names::HOSTS_V4 => entries / 4 * 3,
                    names::HOSTS_V6 => entries / 4,
                    names::RANGES_V4 => (entries / 2).saturating_sub(range::INDEX_V4),
                    names::RANGES_V6 => entries / 2,
                    names::PLACES_V4 => places::prefixes_of_v4(entries),
                    names::PLACES_V6 => places::prefixes_of_v6(entries),
                    names::ROSTER_V4 => entries.saturating_mul(3),
                    names::NEAR_HOSTS_V4 => entries.saturating_mul(12),
                    names::STASH_V4 => entries.saturating_mul(384),
                    _ => entries,
                };
                Err(OpenError::Capacity { map: self.name, setting, pinned, wanted })
            }
        }
    }
}
