//! What the daemon tells the program: a variable, which a packet finds without a look-up, at the address that the
//! program was loaded with; and constants, which the verifier goes by.

use skyshield_common::{Settings, Sizes};

use crate::variable::Variable;

/// Written by the daemon.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.SETTINGS")]
static SETTINGS: Variable<Settings> = Variable::new();

/// Filled in before the program is loaded.
#[unsafe(no_mangle)]
static SIZES: Sizes = Sizes { hosts: 0, hosts_v6: 0, roster: 0, tag_bits: 0, rates: 0 };

/// Where the settings are.
#[inline(always)]
pub(crate) fn settings() -> *mut Settings {
    SETTINGS.place()
}

/// The last bucket of the IPv4 hosts.
#[inline(always)]
pub(crate) fn hosts_mask() -> u64 {
    // SAFETY: a word, of which the compiler must not know what it is.
    unsafe { (&raw const SIZES.hosts).read_volatile() }
}

/// The last bucket of the IPv6 hosts.
#[inline(always)]
pub(crate) fn hosts_v6_mask() -> u64 {
    // SAFETY: as above.
    unsafe { (&raw const SIZES.hosts_v6).read_volatile() }
}

/// The last line of the IPv4 hosts' roster; 0 where there is none.
#[inline(always)]
pub(crate) fn roster_mask() -> u64 {
    // SAFETY: as above.
    unsafe { (&raw const SIZES.roster).read_volatile() }
}

/// Bits of a tag on it.
#[inline(always)]
pub(crate) fn tag_bits() -> u64 {
    // SAFETY: as above.
    unsafe { (&raw const SIZES.tag_bits).read_volatile() }
}

/// The first of the last two of the rates' buckets behind those in front.
#[inline(always)]
pub(crate) fn rates_last() -> u64 {
    // SAFETY: as above.
    unsafe { (&raw const SIZES.rates).read_volatile() }
}
