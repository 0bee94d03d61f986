//! What lies at an address that the program was loaded with.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// What is written while the program runs.
#[repr(transparent)]
pub(crate) struct Variable<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: it is made of words, each read and written in one piece.
unsafe impl<T> Sync for Variable<T> {}

impl<T> Variable<T> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// Where it is. The compiler is not to know what it holds, nor where it ends: a table is as large as the daemon
    /// has made it.
    #[inline(always)]
    pub(crate) fn place(&self) -> *mut T {
        let mut place = self.0.get().cast::<T>();
        // SAFETY: no instruction.
        unsafe {
            core::arch::asm!("/* {0} */", inout(reg) place, options(pure, nomem, nostack, preserves_flags))
        };
        place
    }
}
