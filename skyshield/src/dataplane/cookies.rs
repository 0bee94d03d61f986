//! Whether and when the program answers SYNs itself.

use std::fs;
use std::path::Path;

use aya::maps::{Array, MapData};
use skyshield_common::gate::Shielding;
use skyshield_common::maps as names;

use super::clock;
use super::config::Config;
use super::error::{Error, OpenError};
use super::family::{Value, failed, open};

/// Of the network namespace that asks.
const SYSCTL: &str = "/proc/sys/net/ipv4/tcp_syncookies";
/// How long a port stays shielded, once what it gets has gone down.
const HOLD_NS: u64 = 10_000_000_000;
const PORTS: u32 = 1 << 16;

/// Makes sure that the host's stack takes the answers to cookies it has not made: at 1 it does so only
/// once its own queue has been full.
pub(super) fn taken_by_the_stack() -> Result<(), OpenError> {
    const ALWAYS: &str = "2";
    let found = fs::read_to_string(SYSCTL).unwrap_or_else(|error| error.to_string());
    let found = found.trim();
    if found == ALWAYS { Ok(()) } else { Err(OpenError::SynCookies { found: found.to_owned() }) }
}

/// How many ports the program keeps in mind.
pub(super) fn gates(config: &Config) -> u32 {
    if config.syn_cookies_above == 0 { 1 } else { PORTS }
}

/// Tells the program above how many SYNs a second a port is shielded; 0 is never.
pub(super) fn shield(dir: &Path, above: u64) -> Result<(), Error> {
    let mut map: Array<MapData, Value<Shielding>> = open(dir, names::SHIELDING)?;
    let shielding = Shielding::above(above, HOLD_NS, clock::jiffy_ns());
    map.set(0, Value(shielding), 0).map_err(failed("write", names::SHIELDING))
}
