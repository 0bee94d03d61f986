//! What the daemon tells the running program.

/// Bits of [`Settings::flags`].
pub mod flag {
    /// Everything passes; packets are still counted.
    pub const BYPASS: u64 = 1;
    /// Count and sample what would be dropped, and pass it.
    pub const DRY_RUN: u64 = 1 << 1;
}

/// The program's parameters. All zero, as a new map is: bans hold, no rate, no events.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// See [`flag`].
    pub flags: u64,
    /// When the program disarms itself unless the daemon moves this on; 0 is never.
    pub silent_after_ns: u64,
    /// Time between two packets of a source at its limit; 0 is no limit.
    pub rate_interval_ns: u64,
    /// How far a source may run ahead of its limit.
    pub rate_tolerance_ns: u64,
    /// Events that each CPU may send in one window of about a millisecond.
    pub events_per_window: u64,
    #[doc(hidden)]
    pub reserved: u64,
}

impl Settings {
    /// Whether `wanted` (of [`flag`]) is set.
    #[inline]
    pub const fn has(&self, wanted: u64) -> bool {
        self.flags & wanted != 0
    }
}
