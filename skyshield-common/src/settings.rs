//! What the daemon tells the running program.

use crate::Reason;

/// Bits of [`Settings::flags`].
pub mod flag {
    /// Everything passes; packets are still counted.
    pub const BYPASS: u64 = 1;
    /// Count and sample what would be dropped, and pass it.
    pub const DRY_RUN: u64 = 1 << 1;
    /// Drop what is cut short or contradicts itself.
    pub const DROP_MALFORMED: u64 = 1 << 2;
    /// Drop what comes from where nobody can be.
    pub const DROP_MARTIANS: u64 = 1 << 3;
    /// Drop TCP with flags that no stack sends.
    pub const DROP_BAD_FLAGS: u64 = 1 << 4;
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

    /// Whether packets that are odd in this way are to be dropped.
    #[inline]
    pub const fn drops(&self, oddity: Reason) -> bool {
        let flag = if matches!(oddity, Reason::MartianSource | Reason::Land) {
            flag::DROP_MARTIANS
        } else if matches!(oddity, Reason::TcpNull | Reason::TcpXmas | Reason::TcpSynFin) {
            flag::DROP_BAD_FLAGS
        } else if oddity.is_oddity() {
            flag::DROP_MALFORMED
        } else {
            return false;
        };
        self.has(flag)
    }
}
