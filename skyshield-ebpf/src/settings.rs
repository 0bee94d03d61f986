//! What the daemon tells the program: a variable, which a packet finds without a look-up, at the address that the
//! program was loaded with.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use skyshield_common::Settings;

/// Written by the daemon.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.SETTINGS")]
static SETTINGS: Variable<Settings> = Variable(UnsafeCell::new(MaybeUninit::zeroed()));

/// What is written while the program runs.
struct Variable<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: it is made of words, each read in one piece.
unsafe impl<T> Sync for Variable<T> {}

/// Where the settings are. The compiler is not to know what they are.
#[inline(always)]
pub(crate) fn settings() -> *mut Settings {
    let mut place = SETTINGS.0.get().cast::<Settings>();
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) place, options(nostack, preserves_flags)) };
    place
}
