//! What lies at an address that the program was loaded with.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// What is written while the program runs.
#[repr(transparent)]
pub(crate) struct Variable<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: what is put into one here is made of words, each read and written in one piece.
unsafe impl<T> Sync for Variable<T> {}

impl<T> Variable<T> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// Where it is, for whoever reads a word of it that the type has, and as what may change at any time.
    #[inline(always)]
    pub(crate) const fn place(&self) -> *mut T {
        self.0.get().cast()
    }

    /// The same, where the compiler is not to know what it holds, nor where it ends: a table is as large as the daemon
    /// has made it.
    #[inline(always)]
    pub(crate) fn opaque(&self) -> *mut T {
        let place = self.0.get().expose_provenance();
        let unknown: usize;
        // SAFETY: one instruction on registers. There is one, so that its line is not that of the next, which kernels
        // refuse.
        unsafe {
            core::arch::asm!(
                "{0} = {1}",
                lateout(reg) unknown,
                in(reg) place,
                options(pure, nomem, nostack, preserves_flags)
            );
        };
        core::ptr::with_exposed_provenance_mut(unknown)
    }
}
