//! The record of one dropped packet, as it travels through the ring buffer.

use crate::Address;

/// [`Event::family`] of an IPv4 source.
pub const FAMILY_V4: u8 = 4;
/// [`Event::family`] of an IPv6 source.
pub const FAMILY_V6: u8 = 6;

/// One packet that was dropped, or would have been but for the dry run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When, in `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// The decision behind it; 0 where there is none (a rate).
    pub decision: u64,
    /// The source address in network order; an IPv4 one in the first four bytes.
    pub source: [u8; 16],
    /// The [`Reason`](crate::Reason)'s discriminant.
    pub reason: u32,
    /// The frame's whole length in bytes.
    pub length: u32,
    /// The interface it came in by.
    pub ifindex: u32,
    /// TCP or UDP source port; 0 where it was not read.
    pub source_port: u16,
    /// TCP or UDP destination port; 0 where it was not read.
    pub destination_port: u16,
    /// [`FAMILY_V4`] or [`FAMILY_V6`]; 0 where the frame ends before it names a source.
    pub family: u8,
    /// The IP protocol, or the first next header of IPv6.
    pub protocol: u8,
    #[doc(hidden)]
    pub reserved: [u8; 14],
}

impl Event {
    /// The source address; `None` where the frame names none.
    pub const fn address(&self) -> Option<Address> {
        match self.family {
            FAMILY_V4 => {
                let [a, b, c, d, ..] = self.source;
                Some(Address::from_v4(u32::from_be_bytes([a, b, c, d])))
            }
            FAMILY_V6 => Some(Address::from_octets(self.source)),
            _ => None,
        }
    }

    /// Reads a record out of the ring buffer; `None` if it is of another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: the length is right, `Event` is `Plain`, and the read asks for no alignment.
        #[expect(unsafe_code, reason = "bytes of our own program's making")]
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_length_is_not_read() {
        assert_eq!(Event::from_bytes(&[0; 63]), None);
        assert_eq!(Event::from_bytes(&[0; 65]), None);
        assert_eq!(Event::from_bytes(&[0; 64]), Some(Event::default()));
        assert_eq!(Event::default().address(), None);
    }
}
