//! The flat table of IPv4 hosts in the kernel, and its stash.

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use skyshield_common::Settings;
use skyshield_common::host::{self, Hash, Hold};

use crate::maps::low;
use crate::settings::{hosts_mask, settings};
use crate::variable::Variable;

/// The daemon's default, for whoever loads the object without it.
const ENTRIES: u32 = 1024;

/// Written by the daemon through shared memory; a bucket that is full sends its next to the stash.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.HOSTS_V4")]
static HOSTS_V4: Variable<host::Bucket> = Variable::new();
/// Written by the daemon, which refuses what fits into neither a bucket nor this.
#[map]
static STASH_V4: HashMap<u32, u64> = HashMap::with_max_entries(ENTRIES, 0);

/// What is said of an IPv4 address: in its buckets, or in the stash if there is anything.
#[inline(always)]
pub(crate) fn hold(address: u32, settings: &Settings) -> Hold {
    let hash = Hash::of(address);
    let (first, second) = host::buckets(hash, low(hosts_mask()));
    let mut hold = held(first, address, hash);
    if hold == Hold::NONE {
        hold = held(second, address, hash);
    }
    if hold == Hold::NONE
        && settings.stashed != 0
        && let Some(stashed) = STASH_V4.get_ptr(address.to_be())
    {
        // SAFETY: the kernel keeps the element's memory while the program runs, as it does a ban's.
        hold = Hold::from_bits(low(unsafe { stashed.read_volatile() }));
    }
    hold
}

/// The same, by a function of its own: the verifier walks it once.
#[inline(always)]
pub(crate) fn hold_at_length(address: u32) -> Hold {
    Hold::from_bits(low(hold_of(address.into())))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hold_of(address: u64) -> u64 {
    // SAFETY: zeros are settings, and the daemon writes none that are not.
    hold(low(address), unsafe { &*settings() }).bits().into()
}

/// What is said of an IPv4 address where it is looked for first. That is all there is to say of most that are banned.
#[inline(always)]
pub(crate) fn hold_at_home(address: u32, hash: Hash) -> Hold {
    let (first, _) = host::buckets(hash, low(hosts_mask()));
    // SAFETY: one of the eight words of a bucket, which is there as long as the program is.
    let home = unsafe { slots(first).add(host::home(hash)).read_volatile() };
    if host::address_of(home) == address { host::hold_of(home) } else { Hold::NONE }
}

/// The slots of a bucket.
#[inline(always)]
fn slots(bucket: u32) -> *mut u64 {
    // SAFETY: there are as many buckets as the mask says.
    unsafe { HOSTS_V4.opaque().add(bucket as usize).cast() }
}

/// A bucket's hold on an address.
#[inline(always)]
fn held(bucket: u32, address: u32, hash: Hash) -> Hold {
    let slots = slots(bucket);
    // SAFETY: as below.
    let home = unsafe { slots.add(host::home(hash)).read_volatile() };
    if host::address_of(home) == address && host::hold_of(home) != Hold::NONE {
        return host::hold_of(home);
    }
    let mut at = 0;
    while at < host::SLOTS {
        // The address is in the upper half, which comes last on this target. Most slots end here.
        // SAFETY: one of the eight words of a bucket, which is there as long as the program is.
        let found = unsafe { slots.add(at).cast::<u32>().add(1).read_volatile() };
        if found == address {
            // SAFETY: as above. The daemon may write it meanwhile: then it is read as it was or as it is.
            let slot = unsafe { slots.add(at).read_volatile() };
            if host::address_of(slot) == address && host::hold_of(slot) != Hold::NONE {
                return host::hold_of(slot);
            }
        }
        at += 1;
    }
    Hold::NONE
}
