//! The clock on the wall, which can be stepped: for this process alone, and for all that asks it.
//!
//! A program that defines `clock_gettime` is asked in the C library's place. It asks the kernel, and adds what the clock
//! was stepped by.

use std::sync::atomic::{AtomicI64, Ordering};

use nix::libc;
use skyshield::clock;

static STEPPED_SECS: AtomicI64 = AtomicI64::new(0);

/// Steps the clock on the wall by so many seconds, forwards or back. False where it cannot be stepped, because the
/// program asks the C library.
pub(super) fn step(secs: i64) -> bool {
    let before = clock::wall();
    STEPPED_SECS.fetch_add(secs, Ordering::SeqCst);
    let after = clock::wall();
    let moved = after.duration_since(before).unwrap_or_else(|earlier| earlier.duration());
    // Between the two looks passes less than a second.
    moved.as_secs().abs_diff(secs.unsigned_abs()) <= 1
}

/// What `clock_gettime` answers in a program whose wall clock can be stepped.
///
/// # Safety
/// `at` points to a `timespec` that may be written, as for `clock_gettime`.
#[expect(unsafe_code, reason = "the C library's interface is unsafe")]
pub unsafe fn tell(clock: libc::clockid_t, at: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the kernel writes to `at` what the caller said may be written.
    let outcome = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, at) };
    if outcome == 0 && clock == libc::CLOCK_REALTIME {
        // SAFETY: the kernel has just written it.
        unsafe { (*at).tv_sec += STEPPED_SECS.load(Ordering::SeqCst) };
    }
    if outcome == 0 { 0 } else { -1 }
}
