//! What is allocated and not given back, to the byte.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

/// Bytes that are allocated now.
pub(super) fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

#[expect(unsafe_code, reason = "an allocator's interface is unsafe")]
// SAFETY: every call goes to the system's allocator as it came; beside it only a number changes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc::alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc::dealloc` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}
