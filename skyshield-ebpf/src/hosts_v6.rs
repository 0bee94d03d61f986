//! The flat table of IPv6 hosts in the kernel, and what does not fit into it.

use skyshield_common::host::Hold;
use skyshield_common::host_v6::{self, Bucket, Holds, SLOTS};
use skyshield_common::{Address, Settings};

use crate::maps::{low, recorded_v6};
use crate::settings::{hosts_v6_mask, settings};
use crate::variable::Variable;

/// Written by the daemon through shared memory; what fits into no bucket is found among the records.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.HOSTS_V6")]
static HOSTS_V6: Variable<Bucket> = Variable::new();

/// What is said of an IPv6 address, by a function of its own: the verifier walks it once.
#[inline(always)]
pub(crate) fn hold_at_length(source: &Address) -> Hold {
    Hold::from_bits(low(hold_v6_of(source.high, source.low)))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hold_v6_of(high: u64, low: u64) -> u64 {
    // SAFETY: zeros are settings, and the daemon writes none that are not.
    let (source, settings) = (Address { high, low }, unsafe { &*settings() });
    let hold = match in_table(source, settings) {
        Some(Hold::NONE) if settings.beside_v6 == 0 => Hold::NONE,
        Some(Hold::NONE) | None => recorded_v6(&source),
        Some(hold) => hold,
    };
    hold.bits().into()
}

/// What the buckets of an address say of it; `None` where one was changed meanwhile.
#[inline(always)]
fn in_table(source: Address, settings: &Settings) -> Option<Hold> {
    let (first, second) = host_v6::buckets(source, settings.seed, low(hosts_v6_mask()));
    match held(first, source) {
        Some(Hold::NONE) => held(second, source),
        found => found,
    }
}

/// What a bucket says of an address.
#[inline(always)]
fn held(bucket: u32, source: Address) -> Option<Hold> {
    // SAFETY: there are as many buckets as the mask says.
    let words: *mut u64 = unsafe { HOSTS_V6.opaque().add(bucket as usize).cast() };
    // SAFETY: one of the eight words of a bucket, which is there as long as the program is. The daemon may write it
    // meanwhile: then it is read as it was or as it is.
    let word = |at: usize| unsafe { words.add(at).read_volatile() };
    // The turn first: whose slot was given away before it was read has a hold of its own by then, or none.
    let turn = word(Holds::AT + 1);
    let holds = Holds([word(Holds::AT), turn]);
    let mut slot = 0;
    while slot < SLOTS {
        let (hold, at) = (holds.of(slot), host_v6::address_at(slot));
        if hold != Hold::NONE && word(at) == source.high && word(at + 1) == source.low {
            return (word(Holds::AT + 1) == turn).then_some(hold);
        }
        slot += 1;
    }
    Some(Hold::NONE)
}
