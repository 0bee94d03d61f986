//! The cells of rates, each changed by one compare-and-swap.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use skyshield_common::rate::{self, Due};
use skyshield_common::{Limit, Rate, Reason, Settings};
use skyshield_ebpf::{Admission, Load, Tables as _, further};

use crate::maps::{KernelMaps, low};
use crate::settings::rates_last;
use crate::variable::Variable;

/// Written by this program; fixed. A cell is taken from a source only when that has its whole burst
/// to spend, or all of it but a packet ([`rate::forgiven`]), so a flood of spoofed sources neither fills it nor makes it
/// forget. Each of those has but the
/// line in front read, until there are more than that holds.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.RATES")]
static RATES: Variable<[rate::Bucket; rate::FRONT as usize + 2]> = Variable::new();

/// Tries at a cell that other CPUs keep changing; a race lost so often is a source far over its rate.
const SWAP_TRIES: usize = 4;

/// A source's bucket in front, its cell there where it is looked for first, and what was in that.
pub(crate) type Home = (*mut u64, *mut u64, u64);

/// Looks there.
#[inline(always)]
pub(crate) fn home(hash: u64) -> Home {
    let front = front(hash);
    // SAFETY: one of the first four words of a bucket, which is there as long as the program is.
    unsafe {
        let cell = front.add(rate::home(hash));
        // What comes of it is used later: this has it fetched.
        (front, cell, cell.read_volatile())
    }
}

/// Whether a clearance is in the bucket.
#[inline(always)]
pub(crate) fn is_cleared((front, ..): Home, clearance: u64) -> bool {
    let [last, other] = rate::CLEARED;
    // SAFETY: words of a bucket, as above.
    unsafe { front.add(last).read_volatile() == clearance || front.add(other).read_volatile() == clearance }
}

/// Puts a clearance into the bucket, if its source has its cell at home.
#[inline(always)]
pub(crate) fn clear((front, _, before): Home, hash: u64, clearance: u64) {
    let [last, other] = rate::CLEARED;
    if rate::is_of(before, hash) {
        // SAFETY: words of a bucket, as above, each of which says something by itself: another CPU may write them
        // meanwhile, and one more source is then looked up again.
        unsafe {
            front.add(other).write_volatile(front.add(last).read_volatile());
            front.add(last).write_volatile(clearance);
        }
    }
}

/// The cells of a source's bucket in front.
#[inline(always)]
fn front(hash: u64) -> *mut u64 {
    // SAFETY: the number is one of a bucket in front.
    unsafe { RATES.place().cast::<rate::Bucket>().add(rate::front(hash) as usize).cast() }
}

/// The cells of its buckets behind.
#[inline(always)]
fn behind(hash: u64) -> *mut u64 {
    // SAFETY: the number is the first of two buckets that there are.
    unsafe { RATES.opaque().cast::<rate::Bucket>().add(rate::behind(hash, rates_last()) as usize).cast() }
}

/// What is said at home of one more packet of the source.
#[inline(always)]
pub(crate) fn due((front, _, before): Home, hash: u64, now: u64, rate: Rate) -> Due {
    let is_own = rate::is_of(before, hash);
    // A flood is of sources that were never seen before.
    if is_own || rate::is_idle(before, now + rate::forgiven(rate.interval)) && nobody_is_elsewhere(front, now)
    {
        // What is owed there the next owner owes as well.
        match rate::admit(rate::tat(before), now, rate.interval, rate.tolerance) {
            Some(next) => return Due::at(next),
            None if is_own => return Due::OVER,
            None => {}
        }
    }
    core::hint::cold_path();
    Due::UNKNOWN
}

/// Takes a packet out of the bucket of `hash`, by what was said at home.
#[inline(always)]
pub(crate) fn admission_by(
    (_, cell, before): Home,
    hash: u64,
    now_ns: u64,
    settings: &Settings,
    due: Due,
) -> Admission {
    if let Some(next) = due.time()
        && swap(cell, before, hash, next).1
    {
        return Admission::Within;
    }
    core::hint::cold_path();
    // Read anew: the compiler would keep it on the stack meanwhile.
    let rate = settings.rate(Limit::Packets);
    admission(hash, rate::units(now_ns), rate.interval, rate.tolerance)
}

/// Takes `cost` out of the bucket of `hash`.
#[inline(always)]
pub(crate) fn admission(hash: u64, now: u64, cost: u64, tolerance: u64) -> Admission {
    let mut answer = admit(hash, now, cost, tolerance);
    if answer == BEHIND {
        answer = admit_behind(hash, now, cost, tolerance);
    }
    match answer {
        WITHIN => Admission::Within,
        OVER => Admission::Over,
        _ => Admission::Untracked,
    }
}

/// Puts a time where `before` is, if it is; what was there, and whether it was that.
#[inline(always)]
fn swap(cell: *mut u64, before: u64, hash: u64, next: u64) -> (u64, bool) {
    // SAFETY: a cell is eight aligned bytes in a map.
    unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
            cell,
            before,
            rate::cell(rate::tag(hash), next),
        )
    }
}

/// What [`further`] says.
#[inline(always)]
pub(crate) fn further_of(source: u64, network: u64, load: Load, now: u64) -> Reason {
    let code = low(count_further(source, network, load.0, now)) & 0x7f;
    // SAFETY: the code of a reason, which `count_further` has made of one.
    unsafe { core::mem::transmute::<u32, Reason>(code) }
}

/// [`further`], as a function of its own: the verifier walks it once, and most hosts have no such rates.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_further(source: u64, network: u64, load: u64, now: u64) -> u64 {
    let maps = KernelMaps::long();
    let Some(settings) = maps.settings() else { return Reason::Passed as u64 };
    further(&maps, source, network, Load(load), now, settings) as u64
}

const WITHIN: u64 = 0;
const OVER: u64 = 1;
const UNTRACKED: u64 = 2;
const BEHIND: u64 = 3;

/// Takes `cost` out of the bucket of `hash` in front, or says where else to look. A function of its own, with a name:
/// the verifier then walks it once for any arguments, and not once for every way there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit(hash: u64, now: u64, cost: u64, tolerance: u64) -> u64 {
    let front = front(hash);
    let (_, home, before) = home(hash);
    let is_idle = rate::is_idle(before, now);
    let at_home = rate::is_of(before, hash) || is_idle && nobody_is_elsewhere(front, now);
    let (cell, before, place) = if at_home {
        (home, before, Place::Home)
    } else if let Some((cell, before)) = own_of(front, rate::FRONT_CELLS, hash) {
        (cell, before, Place::Beside)
    } else if somebody_is_behind(front, now) {
        return BEHIND;
    } else if is_idle {
        (home, before, Place::Home)
    } else if let Some((cell, before)) = idle_of(front, rate::FRONT_CELLS, now) {
        (cell, before, Place::Beside)
    } else {
        return BEHIND;
    };
    take(cell, before, (hash, now, cost, tolerance), (front, place))
}

/// Where a source has its cell: where it is looked for first, or else in front, or behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Home,
    Beside,
    Behind,
}

/// The same of a source whose bucket in front is full, or was when it came: in the cell that it has
/// behind, or else in one in front, or in one behind.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit_behind(hash: u64, now: u64, cost: u64, tolerance: u64) -> u64 {
    let (front, behind) = (front(hash), behind(hash));
    let asked = (hash, now, cost, tolerance);
    if let Some((cell, before)) = own_of(behind, rate::BEHIND_CELLS, hash)
        && !rate::is_idle(before, now)
    {
        return take(cell, before, asked, (front, Place::Behind));
    }
    let (_, home, before) = home(hash);
    // Its own by now, if another CPU was faster.
    if rate::is_of(before, hash) || rate::is_idle(before, now) {
        return take(home, before, asked, (front, Place::Home));
    }
    if let Some((cell, before)) = idle_of(front, rate::FRONT_CELLS, now) {
        return take(cell, before, asked, (front, Place::Beside));
    }
    match idle_of(behind, rate::BEHIND_CELLS, now) {
        Some((cell, before)) => take(cell, before, asked, (front, Place::Behind)),
        None => UNTRACKED,
    }
}

/// Whether no source of a bucket has its cell elsewhere than where it is looked for first: then one whose cell is not
/// there has none.
#[inline(always)]
fn nobody_is_elsewhere(front: *mut u64, now: u64) -> bool {
    rate::is_idle(elsewhere(front).1, now)
}

/// Whether one may have it behind.
#[inline(always)]
fn somebody_is_behind(front: *mut u64, now: u64) -> bool {
    let (_, until) = elsewhere(front);
    rate::tag(until) == rate::IS_BEHIND && !rate::is_idle(until, now)
}

/// The word of a bucket in front that says until when there may be somebody elsewhere, and what is in it.
#[inline(always)]
fn elsewhere(front: *mut u64) -> (*mut u64, u64) {
    // SAFETY: one of the bucket's words, which is there as long as the program is.
    unsafe {
        let word = front.add(rate::ELSEWHERE);
        (word, word.read_volatile())
    }
}

/// Takes what is asked for out of a cell, which is the source's own or idle.
#[inline(always)]
fn take(
    cell: *mut u64,
    mut before: u64,
    (hash, now, cost, tolerance): (u64, u64, u64, u64),
    (front, place): (*mut u64, Place),
) -> u64 {
    let mut tat = if rate::is_of(before, hash) { rate::tat(before) } else { 0 };
    let mut tries = 0;
    while tries < SWAP_TRIES {
        tries += 1;
        let next = rate::admit(tat, now, cost, tolerance);
        if place != Place::Home {
            raise(front, place, next.unwrap_or(tat), now);
        }
        let Some(next) = next else { return OVER };
        let (found, swapped) = swap(cell, before, hash, next);
        if swapped {
            return WITHIN;
        }
        if !rate::is_of(found, hash) {
            // Another source was first at the idle cell; the next packet finds another.
            return UNTRACKED;
        }
        before = found;
        tat = rate::tat(found);
    }
    OVER
}

/// Says that somebody elsewhere is not idle until `time`, which that source says again with each packet. If two other
/// CPUs say so at the same moment it may not be heard: then the source gets once what it would have after a pause.
#[inline(always)]
fn raise(front: *mut u64, place: Place, time: u64, now: u64) {
    const TRIES: usize = 2;
    let (word, mut before) = elsewhere(front);
    let mut tries = 0;
    while tries < TRIES {
        tries += 1;
        let (mut is_behind, mut until) = (u64::from(place == Place::Behind), time);
        if !rate::is_idle(before, now) {
            is_behind |= rate::tag(before);
            until = if rate::tat(before) > time { rate::tat(before) } else { time };
        }
        if rate::cell(is_behind, until) == before {
            break;
        }
        let (found, swapped) = swap(word, before, rate::cell(is_behind, 0), until);
        if swapped {
            break;
        }
        before = found;
    }
}

/// The source's own cell among the first `cells` of a bucket.
#[inline(always)]
fn own_of(bucket: *mut u64, cells: usize, hash: u64) -> Option<(*mut u64, u64)> {
    first_of(bucket, cells, |cell| rate::is_of(cell, hash))
}

/// The first that may be taken.
#[inline(always)]
fn idle_of(bucket: *mut u64, cells: usize, now: u64) -> Option<(*mut u64, u64)> {
    first_of(bucket, cells, |cell| rate::is_idle(cell, now))
}

#[inline(always)]
fn first_of(bucket: *mut u64, cells: usize, suits: impl Fn(u64) -> bool) -> Option<(*mut u64, u64)> {
    let mut bucket = bucket.expose_provenance();
    // SAFETY: one instruction on registers. Each search then has places of its own: to keep one's for the next would
    // take most of the stack.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) bucket, options(nomem, nostack, preserves_flags)) };
    let bucket = core::ptr::with_exposed_provenance_mut::<u64>(bucket);
    let mut at = 0;
    while at < cells {
        // SAFETY: one of the words of a bucket or two, which are there as long as the program is.
        let (place, cell) = unsafe { (bucket.add(at), bucket.add(at).read_volatile()) };
        if suits(cell) {
            return Some((place, cell));
        }
        at += 1;
    }
    None
}
