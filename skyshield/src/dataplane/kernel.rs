//! Bringing the kernel side up: load, verify what is pinned, adopt, attach.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aya::maps::{MapInfo, MapType};
use aya::programs::{ProgramError, ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use skyshield_common::maps as names;
use skyshield_common::{Ban, Counter, EventCounter, PrefixBan, Rate, Settings as Wire, host, near, rate};
use tracing::warn;

use super::attachment::{self, Attachment};
use super::backing::Capacity;
use super::bpffs::{PinDir, file};
use super::capability;
use super::config::{Config, OnSilence};
use super::enforcer::Enforcer;
use super::error::OpenError;
use super::events::Events;
use super::hosts::stash_capacity;
use super::interface::{self, Interface};
use super::link::Link;
use super::maps::KernelMaps;
use super::table::Table;

/// The kernel object.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/skyshield-xdp"));

/// The kernel side, running. Its parts go to different owners; all of it stays in the kernel when
/// they are dropped, and ends only with [`Pinned::detach`](super::Pinned::detach).
pub struct Kernel {
    /// Writes and counts.
    pub enforcer: Box<dyn Enforcer>,
    /// Keeps the program attached.
    pub attachment: Attachment,
    /// Tells of drops.
    pub events: Events,
}

impl Kernel {
    /// Loads the program, adopts what an earlier daemon has pinned, and attaches to the interface.
    ///
    /// The program in force goes on until the new one takes its place between two packets; when
    /// anything fails before that, it stays.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let missing = capability::missing();
        if !missing.is_empty() {
            return Err(OpenError::Capabilities { missing });
        }
        let interface = wanted_interface(config)?;
        let pin_dir = PinDir::claim(&config.pin_dir)?;
        let nothing_before = pin_dir.is_empty()?;
        match bring_up(config, &pin_dir, &interface) {
            Ok(Up { loaded, enforcer, events, link }) => {
                let attachment = Attachment::new(loaded, pin_dir, interface.name, config.mode, link);
                Ok(Self { enforcer: Box::new(enforcer), attachment, events })
            }
            Err(error) => {
                // What was there before stays; of what was not, nothing does.
                if nothing_before && let Err(left) = pin_dir.clear() {
                    warn!(%left, "pins of the failed start are left behind");
                }
                Err(error)
            }
        }
    }
}

struct Up {
    loaded: (Ebpf, ProgramFd),
    enforcer: Table<KernelMaps>,
    events: Events,
    link: Link,
}

fn bring_up(config: &Config, pin_dir: &PinDir, interface: &Interface) -> Result<Up, OpenError> {
    let dir = schema_dir(pin_dir.path());
    fs::create_dir_all(&dir).map_err(file(&dir))?;
    let shapes = shapes(config);
    for shape in &shapes {
        shape.verify(&dir)?;
    }
    let (mut object, program) = load(&dir, &shapes)?;
    let anchor = load_program(&mut object, names::ANCHOR_PROGRAM)?;
    let mut maps = KernelMaps::open(&dir)?;
    maps.take_charge(anchor, rate_buckets(config) - 1)?;
    let mut enforcer = Table::adopt(maps, Capacity::of(config), config.settings())?;
    if config.on_silence == OnSilence::Disarm {
        enforcer.heartbeat(Duration::from_secs(config.silent_after_secs))?;
    }
    let events = Events::open(&dir)?;
    let link = attachment::attach(&program, pin_dir, interface, config.mode)?;
    Ok(Up { loaded: (object, program), enforcer, events, link })
}

/// The folder of maps of the layout that this build knows.
pub(super) fn schema_dir(pin_dir: &Path) -> std::path::PathBuf {
    pin_dir.join(format!("v{}", names::SCHEMA))
}

fn wanted_interface(config: &Config) -> Result<Interface, OpenError> {
    let Some(wanted) = &config.interface else {
        return Err(OpenError::NoInterface { present: interface::names() });
    };
    let found = interface::by_name(wanted)
        .map_err(OpenError::Netlink)?
        .ok_or_else(|| OpenError::UnknownInterface { wanted: wanted.clone(), present: interface::names() })?;
    if !found.is_ethernet() {
        return Err(OpenError::NotEthernet { interface: found.name, link_type: found.link_type });
    }
    Ok(found)
}

fn load(dir: &Path, shapes: &[Shape]) -> Result<(Ebpf, ProgramFd), OpenError> {
    let mut loader = EbpfLoader::new();
    for shape in shapes {
        loader.map_max_entries(shape.name, shape.entries).map_pin_path(shape.name, dir.join(shape.name));
    }
    let mut object =
        loader.load(OBJECT).map_err(|error| OpenError::Load { log: None, source: error.into() })?;
    let program = load_program(&mut object, names::PROGRAM)?;
    Ok((object, program))
}

fn load_program(object: &mut Ebpf, name: &str) -> Result<ProgramFd, OpenError> {
    let refused = |source| OpenError::Load { log: None, source };
    let program = object
        .program_mut(name)
        .ok_or_else(|| refused("the object has no program of ours".into()))
        .and_then(|program| <&mut Xdp>::try_from(program).map_err(|error| refused(error.into())))?;
    program.load().map_err(load_error)?;
    let program = program.fd().map_err(|error| refused(error.into()))?;
    program.try_clone().map_err(|error| refused(error.into()))
}

/// A verifier's log runs to thousands of lines; what it stumbled over stands at the end.
fn load_error(error: ProgramError) -> OpenError {
    const LINES: usize = 40;
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let log = verifier_log.to_string();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n");
        return OpenError::Load { log: (!last.is_empty()).then_some(last), source: io_error.into() };
    }
    OpenError::Load { log: None, source: error.into() }
}

/// What a pinned map has to be.
struct Shape {
    name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    entries: u32,
    /// The configuration's key behind `entries`, and its value; none for what never varies.
    setting: Option<(&'static str, u32)>,
}

/// The room a trie is given above what it may hold. Older kernels refuse to overwrite an entry of a
/// full trie, and an allow list is added to before it is taken from.
const TRIE_SLACK: u32 = 1;

/// Buckets of the rates: a power of two, so that a hash is masked.
fn rate_buckets(config: &Config) -> u32 {
    const MOST: u32 = 1 << 24;
    (config.max_sources / 8).clamp(1, MOST).next_power_of_two()
}

fn shapes(config: &Config) -> Vec<Shape> {
    let shape = |name, kind, key, value, entries, setting| Shape { name, kind, key, value, entries, setting };
    let bans = |name, key| {
        let entries = config.max_bans.max(1);
        shape(name, MapType::Hash, key, size_of::<Ban>(), entries, Some(("max_bans", config.max_bans)))
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
    let buckets = host::bucket_count(config.max_bans.saturating_add(config.max_listed));
    let hosts = Some(("max_listed", config.max_listed));
    vec![
        shape(names::SETTINGS, MapType::Array, 4, size_of::<Wire>(), 1, None),
        bans(names::BANS_V4, 4),
        bans(names::BANS_V6, 16),
        prefixes(names::PREFIXES_V4, 8),
        prefixes(names::PREFIXES_V6, 20),
        allowed(names::ALLOWED_V4, 8),
        allowed(names::ALLOWED_V6, 20),
        shape(names::RATES, MapType::Array, 4, size_of::<rate::Bucket>(), rate_buckets(config), sources),
        shape(names::SHAPES, MapType::Hash, 16, size_of::<Rate>(), config.max_allowed.max(1), allowing),
        shape(names::HOSTS_V4, MapType::Array, 4, size_of::<host::Bucket>(), buckets, hosts),
        shape(names::STASH_V4, MapType::Hash, 4, 8, stash_capacity(buckets as usize), hosts),
        shape(names::NEAR_V4, MapType::Array, 4, 8, near::V4_WORDS, None),
        shape(names::NEAR_V6, MapType::Array, 4, 8, near::V6_WORDS, None),
        shape(names::STATS, MapType::PerCpuArray, 4, size_of::<Counter>(), names::STATS_SLOTS, None),
        shape(names::EVENTS, MapType::RingBuf, 0, 0, names::EVENTS_BYTES, None),
        shape(names::EVENT_STATS, MapType::PerCpuArray, 4, size_of::<EventCounter>(), 1, None),
    ]
}

impl Shape {
    /// Compares with what is pinned, if anything is.
    fn verify(&self, dir: &Path) -> Result<(), OpenError> {
        let path = dir.join(self.name);
        if !path.exists() {
            return Ok(());
        }
        let foreign = |what: String| OpenError::ForeignMap { path: path.clone(), what };
        let info = MapInfo::from_pin(&path).map_err(|error| foreign(error.to_string()))?;
        let kind = info.map_type().map_err(|error| foreign(error.to_string()))?;
        let (key, value) = (info.key_size() as usize, info.value_size() as usize);
        if kind != self.kind || key != self.key || value != self.value {
            return Err(foreign(format!(
                "it is a {kind:?} of {key}+{value} bytes, not a {:?} of {}+{}",
                self.kind, self.key, self.value
            )));
        }
        if info.max_entries() == self.entries {
            return Ok(());
        }
        if self.name == names::RATES {
            // State, not policy: the new program begins with an empty one of the new size.
            return fs::remove_file(&path).map_err(file(&path));
        }
        match self.setting {
            None => Err(foreign(format!("it has {} entries, not {}", info.max_entries(), self.entries))),
            Some((setting, wanted)) => {
                let pinned = match self.name {
                    names::ALLOWED_V4 | names::ALLOWED_V6 => (info.max_entries() - TRIE_SLACK) / 2,
                    names::PREFIXES_V4 | names::PREFIXES_V6 => info.max_entries() - TRIE_SLACK,
                    // The most that gives as many buckets, in slots that are three quarters full.
                    names::HOSTS_V4 => info.max_entries().saturating_mul(6),
                    names::STASH_V4 => info.max_entries().saturating_mul(96),
                    _ => info.max_entries(),
                };
                Err(OpenError::Capacity { map: self.name, setting, pinned, wanted })
            }
        }
    }
}
