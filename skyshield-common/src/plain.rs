//! What may be copied to and from a kernel map as bytes.

use crate::gate::{Gate, Shielding};
use crate::tap::{Flow, Segment, TapCounter, Tapping};
use crate::{Ban, Banned, Counter, Event, EventCounter, Hits, PrefixBan, Rate, Settings, Sizes, Tally};

/// A type whose every bit pattern is a value and which has no padding.
///
/// # Safety
///
/// The implementor is `#[repr(C)]`, made of integers and arrays of integers, and its size is the
/// sum of its fields' sizes.
#[expect(unsafe_code, reason = "an unsafe promise about layout, kept by the size assertions")]
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($kind:ty => $size:literal,)*) => {$(
        const _: () = assert!(size_of::<$kind>() == $size && align_of::<$kind>() == 8);
        // SAFETY: integers only, and the size asserted above is the sum of the fields' sizes.
        #[expect(unsafe_code, reason = "the size is asserted on the line above")]
        unsafe impl Plain for $kind {}
    )*};
}

plain! {
    Ban => 24,
    Hits => 16,
    Banned => 40,
    PrefixBan => 80,
    Counter => 16,
    EventCounter => 72,
    Tally => 2_120,
    Event => 64,
    Settings => 360,
    Sizes => 40,
    Rate => 16,
    Gate => 104,
    Shielding => 56,
    Segment => 88,
    Tapping => 40,
    Flow => 16,
    TapCounter => 112,
}
