//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

use aya::maps::MapError;
use skyshield_common::maps as names;

/// A write to or read of the running data plane failed. Nothing was changed unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room. Nothing is ever evicted to make some.
    #[error("{map} is full at {capacity} entries; lift some, or raise dataplane.{}", setting(map))]
    Full {
        /// Which map.
        map: &'static str,
        /// What it holds.
        capacity: u32,
    },
    /// The kernel refused.
    #[error("the kernel refused to {what} {map}")]
    Map {
        /// What was tried.
        what: &'static str,
        /// On which map.
        map: &'static str,
        /// Its answer.
        source: MapError,
    },
}

/// The configuration's key for how much fits in `map`.
fn setting(map: &str) -> &'static str {
    match map {
        names::PREFIXES_V4 | names::PREFIXES_V6 => "max_prefixes",
        names::ALLOWED_V4 | names::ALLOWED_V6 | names::SHAPES => "max_allowed",
        names::HOSTS_V4 => "max_listed",
        names::RANGES_V4 | names::RANGES_V6 => "max_listed_prefixes",
        names::PLACES_V4 | names::PLACES_V6 => "max_place_prefixes",
        _ => "max_bans",
    }
}

/// The data plane could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The process may not do what is needed.
    #[error("missing capabilities: {} (run as root, or grant them in the service unit)", .missing.join(", "))]
    Capabilities {
        /// Their names.
        missing: Vec<&'static str>,
    },
    /// No interface is configured.
    #[error("no interface is configured (dataplane.interface, dataplane.interfaces); there are: {}", .present.join(", "))]
    NoInterface {
        /// The interfaces of this machine.
        present: Vec<String>,
    },
    /// The interface is not there.
    #[error("interface `{wanted}` does not exist; there are: {}", .present.join(", "))]
    UnknownInterface {
        /// The one configured.
        wanted: String,
        /// The interfaces of this machine.
        present: Vec<String>,
    },
    /// The host's stack would not take the answers to cookies that the program makes.
    #[error(
        "dataplane.syn_cookies_above needs net.ipv4.tcp_syncookies = 2, and it is {found}: run \
         `sysctl -w net.ipv4.tcp_syncookies=2`, or set the key to 0"
    )]
    SynCookies {
        /// The sysctl's value.
        found: String,
    },
    /// The kernel does not say where its sockets hold what the tap asks of them.
    #[error(
        "the tap needs a kernel that describes its types (CONFIG_DEBUG_INFO_BTF) in /sys/kernel/btf/vmlinux: \
         take `tap.ports` out of the configuration, or take another kernel"
    )]
    Types {
        /// Why they are not known.
        source: io::Error,
    },
    /// Frames on the interface do not begin with an Ethernet header.
    #[error("interface `{interface}` does not carry Ethernet frames (link type {link_type})")]
    NotEthernet {
        /// Which.
        interface: String,
        /// Its ARP hardware type.
        link_type: u16,
    },
    /// The kernel makes no table of the size that the configuration asks for.
    #[error(
        "the kernel makes no table {map} of {bytes} bytes: give it memory, or lower dataplane.max_listed, max_bans or \
         max_sources (Linux before 6.0 makes none above 4 MiB)"
    )]
    Table {
        /// Which.
        map: &'static str,
        /// Its size.
        bytes: usize,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else's program is there. It is left alone.
    #[error(
        "interface `{interface}` is already guarded by the XDP program `{program}` (id {program_id}, \
         attached {how}); remove it first, SkyShield does not replace what is not its own"
    )]
    OtherOwner {
        /// On which interface.
        interface: String,
        /// The program's name in the kernel.
        program: String,
        /// Its number in the kernel.
        program_id: u32,
        /// How it is attached.
        how: String,
    },
    /// Another daemon holds the same pins.
    #[error("another SkyShield is running with pin_dir {}", .pin_dir.display())]
    InUse {
        /// The folder.
        pin_dir: PathBuf,
    },
    /// The folder for pins is not on a BPF file system.
    #[error("pin_dir {} is not on a BPF file system (bpffs): choose a folder under /sys/fs/bpf", .pin_dir.display())]
    NotBpffs {
        /// The folder.
        pin_dir: PathBuf,
    },
    /// There is no BPF file system, and it could not be mounted.
    #[error("no BPF file system at {}, and mounting one failed", .at.display())]
    Mount {
        /// Where.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A pinned map has another size than is configured.
    #[error(
        "pinned map {map} holds {pinned} entries, {setting} asks for {wanted}: set {setting} = {pinned}, \
         or run `skyshield detach` once and start again"
    )]
    Capacity {
        /// Which map.
        map: &'static str,
        /// The configuration's key.
        setting: &'static str,
        /// What the map holds, as the key would say it.
        pinned: u32,
        /// What the configuration asks for.
        wanted: u32,
    },
    /// A pinned map is not what its name says.
    #[error("pinned map {} is not ours: {what}", .path.display())]
    ForeignMap {
        /// Where it is.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
    /// A file or folder could not be used.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused the program; the verifier's last words are in `log`.
    #[error("the kernel did not load the program{}", .log.as_deref().map(|log| format!(":\n{log}")).unwrap_or_default())]
    Load {
        /// The end of the verifier's log.
        log: Option<String>,
        /// The loader's error, without the log.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel refused to attach the program.
    #[error("the program could not be attached to `{interface}` in {mode} mode{hint}")]
    Attach {
        /// To which interface.
        interface: String,
        /// How it was tried.
        mode: &'static str,
        /// What may help.
        hint: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The interfaces could not be asked for.
    #[error("the kernel did not answer about its interfaces")]
    Netlink(#[source] io::Error),
    /// The maps could not be used.
    #[error(transparent)]
    Maps(#[from] Error),
}
