//! An array of the kernel's, written as memory: a word at a time, seen by the program at once.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{MapData, MapError};
use nix::libc;

use super::error::Error;
use super::family::failed;

/// The words of an array map.
pub(super) struct Shared {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the memory is the map's and is there until it is unmapped; it is touched as atomic words only.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Send for Shared {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps the array pinned under `name` in `dir`. Its values are whole words.
    pub(super) fn open(dir: &Path, name: &'static str) -> Result<Self, Error> {
        let refused = failed("map the memory of", name);
        let map = MapData::from_pin(dir.join(name)).map_err(&refused)?;
        let info = map.info().map_err(&refused)?;
        let count = info.max_entries() as usize * (info.value_size() as usize / size_of::<AtomicU64>());
        let fd = map.fd().as_fd().as_raw_fd();
        let bytes = count * size_of::<AtomicU64>();
        // SAFETY: a new mapping wherever the kernel likes, of a descriptor that is open here.
        #[expect(unsafe_code, reason = "a system call")]
        let at = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, 0)
        };
        match NonNull::new(at.cast::<AtomicU64>()) {
            Some(words) if at != libc::MAP_FAILED => Ok(Self { words, count }),
            Some(_) | None => Err(refused(MapError::IoError(io::Error::last_os_error()))),
        }
    }

    /// All words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: that many words are mapped, page-aligned, until `self` is dropped; any bits are an
        // `AtomicU64`, and whoever else has the map writes whole words.
        #[expect(unsafe_code, reason = "shared memory as a slice")]
        unsafe {
            std::slice::from_raw_parts(self.words.as_ptr(), self.count)
        }
    }

    /// The word at `index`; 0 beyond the end.
    pub(super) fn load(&self, index: usize) -> u64 {
        self.words().get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Writes a word, after all that was written before.
    pub(super) fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.words().get(index) {
            word.store(value, Ordering::Release);
        }
    }

    /// Has the word at `index` fetched into the processor's cache, where that can be asked for.
    pub(super) fn fetch(&self, index: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(word) = self.words().get(index) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: of an address that is mapped, and a hint: it changes nothing but the time.
            #[expect(unsafe_code, reason = "an instruction of the processor's")]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast());
            }
        }
    }

    /// Sets bits of a word.
    pub(super) fn set(&self, index: usize, bits: u64) {
        let before = self.load(index);
        if before & bits != bits {
            self.store(index, before | bits);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: what was mapped at open, and nobody keeps a slice of it beyond `self`.
        #[expect(unsafe_code, reason = "a system call")]
        unsafe {
            libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<AtomicU64>())
        };
    }
}
