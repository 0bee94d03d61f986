//! Bringing the kernel side up: load, verify what is pinned, adopt, attach.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::maps::{Array, MapData};
use aya::programs::{ProgramError, ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use skyshield_common::tap::SocketFields;
use skyshield_common::{Settings as Wire, maps as names};
use tracing::{error, warn};

use super::attachment::{self, Attachment, Guarded, Loaded, Wanted};
use super::backing::Capacity;
use super::bpffs::{PinDir, file};
use super::capability;
use super::config::{Config, OnSilence};
use super::cookies;
use super::enforcer::Enforcer;
use super::error::{Error, OpenError};
use super::events::Events;
use super::family::{self, Value};
use super::inheritance::Inheritance;
use super::interface;
use super::maps::{KernelMaps, Masks};
use super::shape::{Shape, flow_buckets, rate_buckets, shapes};
use super::stats;
use super::table::Table;
use super::tap::{self, Segments, TapCollector};

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
    /// What is copied for the tap, and its counters; none where there is no tap.
    pub segments: Option<(Segments, TapCollector)>,
}

impl Kernel {
    /// Loads the program, adopts what an earlier daemon has pinned, and attaches to the interfaces.
    /// One of several may be absent: it is guarded from [`Attachment::check`] on, once it is there.
    ///
    /// The program in force goes on until the new one takes its place between two packets; when
    /// anything fails before that, it stays.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let missing = capability::missing();
        if !missing.is_empty() {
            return Err(OpenError::Capabilities { missing });
        }
        if config.syn_cookies_above > 0 {
            cookies::taken_by_the_stack()?;
        }
        let interfaces = wanted_interfaces(config)?;
        let pin_dir = PinDir::claim(&config.pin_dir)?;
        let nothing_before = pin_dir.is_empty()?;
        match bring_up(config, &pin_dir, interfaces) {
            Ok(Up { guarded, enforcer, events, segments }) => {
                let attachment = Attachment::new(guarded, pin_dir, config.mode);
                Ok(Self { enforcer: Box::new(enforcer), attachment, events, segments })
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
    guarded: Vec<Guarded>,
    enforcer: Table<KernelMaps>,
    events: Events,
    segments: Option<(Segments, TapCollector)>,
}

fn bring_up(config: &Config, pin_dir: &PinDir, interfaces: Vec<Wanted>) -> Result<Up, OpenError> {
    let dir = schema_dir(pin_dir.path());
    let is_new = !dir.exists();
    fs::create_dir_all(&dir).map_err(file(&dir))?;
    bring_up_in(&dir, config, pin_dir, interfaces).inspect_err(|_| {
        // Half of what another version holds must not be taken for the whole by the next start.
        if is_new && let Err(left) = fs::remove_dir_all(&dir) {
            warn!(%left, "maps of the failed start are left behind");
        }
    })
}

fn bring_up_in(
    dir: &Path,
    config: &Config,
    pin_dir: &PinDir,
    interfaces: Vec<Wanted>,
) -> Result<Up, OpenError> {
    let shapes = shapes(config);
    let fields = config.tapped.as_ref().map(|_| tap::socket_fields()).transpose()?;
    let mut loaded = Vec::new();
    for wanted in &interfaces {
        for shape in &shapes {
            shape.verify(&shape.pin(dir, &wanted.name))?;
        }
        loaded.push(load(dir, &shapes, config, &wanted.name, fields.as_ref())?);
    }
    let Some(first) = loaded.first_mut() else {
        return Err(OpenError::NoInterface { present: interface::names() });
    };
    let anchor = load_program(&mut first.object, names::ANCHOR_PROGRAM)?;
    let names: Vec<_> = interfaces.iter().map(|wanted| wanted.name.clone()).collect();
    stats::keep_only(dir, &names)?;
    let mut maps = KernelMaps::open(dir)?;
    maps.take_charge(anchor, Masks { rates: rate_buckets(config) - 1, flows: flow_buckets(config) - 1 })?;
    cookies::shield(dir, config.syn_cookies_above)?;
    let mut enforcer = Table::adopt(maps, Capacity::of(config), config.settings())?;
    enforcer.set_rules(&config.rules)?;
    let inherited = Inheritance::find(pin_dir.path(), dir)?;
    inherited.hand_to(&mut enforcer)?;
    if config.on_silence == OnSilence::Disarm {
        enforcer.heartbeat(Duration::from_secs(config.silent_after_secs))?;
    }
    let events = Events::open(dir)?;
    let seed = RandomState::new().hash_one(());
    tap::say(dir, config.tapped.as_ref(), seed)?;
    let segments = match config.tapped {
        Some(_) => Some((Segments::open(dir, seed)?, TapCollector::open(dir)?)),
        None => None,
    };
    let guarded = attachment::attach_all(loaded, interfaces, pin_dir, config.mode)?;
    inherited.forget()?;
    Ok(Up { guarded, enforcer, events, segments })
}

/// The folder of maps of the layout that this build knows.
pub(super) fn schema_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join(format!("v{}", names::SCHEMA))
}

/// The interfaces to guard, of which at least one is there.
fn wanted_interfaces(config: &Config) -> Result<Vec<Wanted>, OpenError> {
    let mut wanted = Vec::new();
    for name in config.guarded() {
        let found = interface::by_name(&name).map_err(OpenError::Netlink)?;
        if let Some(found) = &found
            && !found.is_ethernet()
        {
            return Err(OpenError::NotEthernet { interface: name, link_type: found.link_type });
        }
        wanted.push(Wanted { name, found });
    }
    match wanted.first() {
        None => Err(OpenError::NoInterface { present: interface::names() }),
        Some(first) if wanted.iter().all(|one| one.found.is_none()) => {
            Err(OpenError::UnknownInterface { wanted: first.name.clone(), present: interface::names() })
        }
        Some(_) => Ok(wanted),
    }
}

/// The program for one interface: the same for all, over maps that are all but one the same.
fn load(
    dir: &Path,
    shapes: &[Shape],
    config: &Config,
    interface: &str,
    fields: Option<&SocketFields>,
) -> Result<Loaded, OpenError> {
    let mut loader = EbpfLoader::new();
    for shape in shapes {
        let name = shape.in_object();
        loader.map_max_entries(name, shape.entries).map_pin_path(name, shape.pin(dir, interface));
    }
    // A variable is given its first value when it is loaded: one that programs go by already keeps what it has.
    let in_force = settings_in_force(&dir.join(names::SETTINGS))?;
    if let Some(in_force) = &in_force {
        loader.override_global(names::SETTINGS, in_force, true);
    }
    if let Some(fields) = fields {
        loader.override_global(names::SOCKET_FIELDS, fields, true);
    }
    let mut object =
        loader.load(OBJECT).map_err(|error| OpenError::Load { log: None, source: error.into() })?;
    let (plain, with_cookies) = match fields {
        None => (names::PROGRAM, names::COOKIES_PROGRAM),
        Some(_) => (names::TAP_PROGRAM, names::TAP_COOKIES_PROGRAM),
    };
    if config.syn_cookies_above > 0 {
        match load_program(&mut object, with_cookies) {
            Ok(program) => return Ok(Loaded { object, program, name: with_cookies }),
            // A host without them is still better guarded than one without the rest.
            Err(error) => {
                error!(%error, "no SYN cookies: this kernel does not load what makes them (Linux 6.0 is needed)");
            }
        }
    }
    let program = load_program(&mut object, plain)?;
    Ok(Loaded { object, program, name: plain })
}

/// What is pinned as settings, if anything is.
fn settings_in_force(path: &Path) -> Result<Option<Value<Wire>>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |error: Error| OpenError::Load { log: None, source: error.into() };
    let settings: Array<MapData, Value<Wire>> =
        family::open_at(path).map_err(family::failed("open", names::SETTINGS)).map_err(failed)?;
    settings.get(&0, 0).map(Some).map_err(|error| failed(family::failed("read", names::SETTINGS)(error)))
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
