//! Bringing the kernel side up: load, verify what is pinned, adopt, attach.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::maps::Map;
use aya::programs::{ProgramError, ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use skyshield_common::maps as names;
use skyshield_common::tap::SocketFields;
use tracing::{error, warn};

use super::attachment::{self, Attachment, Guarded, Loaded, Wanted};
use super::backing::Capacity;
use super::bpffs::{PinDir, file, schema_dir};
use super::capability;
use super::config::Config;
use super::cookies;
use super::enforcer::Enforcer;
use super::error::{Error, OpenError};
use super::events::Events;
use super::family::Value;
use super::inheritance::Inheritance;
use super::interface;
use super::maps::KernelMaps;
use super::shape::{Shape, flow_buckets, shapes, sizes};
use super::stats;
use super::sys;
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

/// The kernel side but for the links: nothing of it is in force yet.
struct Ready {
    loaded: Vec<Loaded>,
    enforcer: Table<KernelMaps>,
    events: Events,
    segments: Option<(Segments, TapCollector)>,
    inherited: Inheritance,
}

fn bring_up(config: &Config, pin_dir: &PinDir, interfaces: Vec<Wanted>) -> Result<Up, OpenError> {
    attachment::refuse_other_owners(&interfaces, pin_dir)?;
    let dir = schema_dir(pin_dir.path());
    let is_new = !dir.exists();
    fs::create_dir_all(&dir).map_err(file(&dir))?;
    let forget = || {
        // Half of what another version holds must not be taken for the whole by the next start.
        if is_new && let Err(left) = fs::remove_dir_all(&dir) {
            warn!(%left, "maps of the failed start are left behind");
        }
    };
    let ready = prepare(&dir, config, pin_dir, &interfaces).inspect_err(|_| forget())?;
    let Ready { loaded, mut enforcer, events, segments, inherited } = ready;
    if is_new {
        // No program goes by these yet.
        begin(&mut enforcer, config).inspect_err(|_| forget())?;
    }
    let mut guarded = Vec::new();
    attachment::attach_all(loaded, interfaces, pin_dir, config.mode, &mut guarded).inspect_err(|_| {
        // Maps that are in force on some interface are what its bans are lifted by.
        if !guarded.iter().any(Guarded::is_attached) {
            forget();
        }
    })?;
    if !is_new {
        begin(&mut enforcer, config)?;
    }
    inherited.forget()?;
    Ok(Up { guarded, enforcer, events, segments })
}

/// Has the program go by this configuration. In maps that are in force that changes what another program does, which
/// stays where the start fails: there it is the last thing to do.
fn begin(enforcer: &mut Table<KernelMaps>, config: &Config) -> Result<(), Error> {
    let bypass_left = enforcer.begin(config.settings())?;
    if !bypass_left.is_zero() {
        let seconds_left = bypass_left.as_secs();
        warn!(seconds_left, "the kernel side was bypassed, which this start has ended");
    }
    enforcer.set_rules(&config.rules)?;
    enforcer.heartbeat(config.missed_after())
}

fn prepare(dir: &Path, config: &Config, pin_dir: &PinDir, interfaces: &[Wanted]) -> Result<Ready, OpenError> {
    let shapes = shapes(config);
    let fields = config.tapped.as_ref().map(|_| tap::socket_fields()).transpose()?;
    let mut loaded = Vec::new();
    for wanted in interfaces {
        for shape in &shapes {
            shape.verify(&shape.pin(dir, &wanted.name))?;
        }
        let object = object_over(dir, &shapes, config, &wanted.name, fields.as_ref())?;
        loaded.push(load(object, config)?);
    }
    let Some(first) = loaded.first_mut() else {
        return Err(OpenError::NoInterface { present: interface::names() });
    };
    let anchor = load_program(&mut first.object, names::ANCHOR_PROGRAM)?;
    let names: Vec<_> = interfaces.iter().map(|wanted| wanted.name.clone()).collect();
    stats::keep_only(dir, &names)?;
    let mut maps = KernelMaps::open(dir)?;
    maps.take_charge(anchor, flow_buckets(config) - 1)?;
    cookies::shield(dir, config.syn_cookies_above)?;
    let mut enforcer = Table::adopt(maps, Capacity::of(config))?;
    let inherited = Inheritance::find(pin_dir.path(), dir)?;
    inherited.hand_to(&mut enforcer)?;
    let events = Events::open(dir)?;
    let seed = RandomState::new().hash_one(());
    tap::say(dir, config.tapped.as_ref(), seed)?;
    let segments = match config.tapped {
        Some(_) => Some((Segments::open(dir, seed)?, TapCollector::open(dir)?)),
        None => None,
    };
    Ok(Ready { loaded, enforcer, events, segments, inherited })
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

/// The object as this configuration has it, over new maps pinned in `dir`, none of its programs loaded: for whoever
/// wants to know what a kernel makes of them.
pub fn object(dir: &Path, config: &Config) -> Result<Ebpf, OpenError> {
    let fields = tap::socket_fields()?;
    object_over(dir, &shapes(config), config, "any", Some(&fields))
}

/// The object over maps that are the same for all interfaces but for one.
fn object_over(
    dir: &Path,
    shapes: &[Shape],
    config: &Config,
    interface: &str,
    fields: Option<&SocketFields>,
) -> Result<Ebpf, OpenError> {
    let mut loader = EbpfLoader::new();
    for shape in shapes.iter().filter(|shape| !shape.is_variable()) {
        loader.map_max_entries(shape.name, shape.entries).map_pin_path(shape.name, shape.pin(dir, interface));
    }
    let sizes = Value(sizes(config));
    loader.override_global(names::SIZES, &sizes, true);
    if let Some(fields) = fields {
        loader.override_global(names::SOCKET_FIELDS, fields, true);
    }
    let object = loader.load(OBJECT).map_err(|error| OpenError::Load { log: None, source: error.into() })?;
    for shape in shapes.iter().filter(|shape| shape.is_variable()) {
        put_in_place(&object, shape, &shape.pin(dir, interface))?;
    }
    Ok(object)
}

/// The program for one interface.
fn load(mut object: Ebpf, config: &Config) -> Result<Loaded, OpenError> {
    let (plain, with_cookies) = match config.tapped {
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

/// Has the programs of the object go by the variable that is pinned, or by a new one. What the loader makes of
/// variables is empty at each start and as large as the object has it (4.5 MiB of all, for a moment): the programs,
/// which are loaded later, know a map by its descriptor's number, and that is given to the other.
fn put_in_place(object: &Ebpf, shape: &Shape, pin: &Path) -> Result<(), OpenError> {
    let section = format!("{}{}", names::VARIABLE_SECTION, shape.name);
    let refused = |source| OpenError::Load { log: None, source };
    let Some(Map::Array(place)) = object.map(&section) else {
        return Err(refused(format!("the object has no {section}").into()));
    };
    let map = shape.variable(pin)?;
    sys::take_place(place.fd().as_fd(), map.as_fd()).map_err(|error| refused(error.into()))
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
