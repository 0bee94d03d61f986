//! Where bans and the allow list are near, in the program's variables.

use skyshield_common::host::Hash;
use skyshield_common::near::{self, Depth};
use skyshield_common::{Address, Settings};

use crate::maps::low;
use crate::roster;
use crate::settings::{hosts_mask, settings};
use crate::variable::Variable;

/// Written by the daemon through shared memory; made for as many as `HOSTS_V4` is, or for none beside `ROSTER_V4`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.NEAR_HOSTS_V4")]
static NEAR_HOSTS_V4: Variable<u64> = Variable::new();
/// Written by the daemon through shared memory; a bit for every /18 and every /24 there is.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.NEAR_V4")]
static NEAR_V4: Variable<[u64; near::V4_WORDS as usize]> = Variable::new();
/// Written by the daemon through shared memory; fixed, and of less help the more is in it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.NEAR_V6")]
static NEAR_V6: Variable<[u64; near::V6_WORDS as usize]> = Variable::new();
/// Written by the daemon through shared memory; fixed.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.NEAR_ALLOWED")]
static NEAR_ALLOWED: Variable<[u64; near::ALLOWED_WORDS as usize]> = Variable::new();

/// Whether an address itself may be banned or listed.
#[inline(always)]
pub(crate) fn host(source: &Address, settings: &Settings) -> bool {
    match source.v4() {
        Some(address) if roster::is_there() => !roster::is_clear(address),
        Some(address) => host_v4(Hash::of(address)),
        None => {
            settings.depths & Depth::Host.bit() != 0
                && is_put_in(NEAR_V6.place().cast(), near::v6(*source, Depth::Host))
        }
    }
}

/// Whether an IPv4 address may be, where there is no roster.
#[inline(always)]
pub(crate) fn host_v4(hash: Hash) -> bool {
    is_put_in(NEAR_HOSTS_V4.opaque(), near::host_v4(hash, low(hosts_mask()) >> 1))
}

/// Whether a prefix that holds it may be.
#[inline(always)]
pub(crate) fn prefix(source: &Address, settings: &Settings) -> bool {
    if let Some(address) = source.v4() {
        return near_prefix_v4(address);
    }
    let mut is_near = false;
    for depth in Depth::OF_PREFIXES {
        if settings.depths & depth.bit() != 0 {
            is_near |= is_put_in(NEAR_V6.place().cast(), near::v6(*source, depth));
        }
    }
    is_near
}

#[inline(always)]
fn near_prefix_v4(address: u32) -> bool {
    is_put_in(NEAR_V4.place().cast(), near::wide_v4(address))
        && is_put_in(NEAR_V4.place().cast(), near::v4(address))
}

/// Whether an address may be on the allow list.
#[inline(always)]
pub(crate) fn allowed(source: &Address) -> bool {
    is_put_in(NEAR_ALLOWED.place().cast(), near::allowed(*source))
}

/// What is near an address, in bits of [`near`].
#[inline(always)]
pub(crate) fn hints(source: &Address) -> usize {
    low(hints_of(source.high, source.low)) as usize & (near::HOSTS | near::PREFIXES)
}

/// The same, a function of its own: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hints_of(high: u64, low: u64) -> u64 {
    let source = Address { high, low };
    // SAFETY: zeros are settings, and the daemon writes none that are not.
    let settings = unsafe { &*settings() };
    let mut hints = 0;
    if host(&source, settings) {
        hints |= near::HOSTS;
    }
    if prefix(&source, settings) {
        hints |= near::PREFIXES;
    }
    hints as u64
}

#[inline(always)]
fn is_put_in(words: *mut u64, (word, bits): (u32, u64)) -> bool {
    // SAFETY: the number is one of a word that the table has.
    unsafe { words.add(word as usize).read_volatile() & bits == bits }
}
