//! Past the extension headers of IPv6, which few packets have.

use skyshield_common::Reason;

use crate::look::is_odd_fragment;
use crate::parse::Frame;

pub(crate) const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM: u8 = 140;
/// Every extension header there is, once, and one to spare.
const MAX_EXTENSIONS: usize = 6;

/// Which part of its packet a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first of several.
    First,
    /// A later one, which carries no header.
    Later,
}

/// What lies behind the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Its protocol.
    pub protocol: u8,
    /// Where it begins.
    pub at: usize,
    /// How much of the packet it is of.
    pub part: Part,
    /// What is odd about a header on the way, at which the walk ended; or [`Reason::Passed`].
    pub oddity: Reason,
}

#[inline(always)]
pub(crate) const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM
    )
}

/// Walks from the extension header at `at`, of this kind, to what is none; the packet ends at `end`.
#[inline(always)]
pub fn walk<F: Frame + ?Sized>(frame: &F, extension: u8, at: usize, end: usize) -> Walked {
    let mut walked = Walked { protocol: extension, at, part: Part::Whole, oddity: Reason::Passed };
    let mut extensions = 0;
    while is_extension(walked.protocol) {
        if extensions == MAX_EXTENSIONS {
            return Walked { oddity: Reason::TooManyExtensions, ..walked };
        }
        extensions += 1;
        let Some([next, length, high, low]) = frame.read(walked.at) else {
            return Walked { oddity: Reason::TruncatedExtension, ..walked };
        };
        let bytes = match walked.protocol {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let is_fragment = walked.protocol == FRAGMENT;
        walked.protocol = next;
        walked.at += bytes;
        if walked.at > end {
            return Walked { oddity: Reason::TruncatedExtension, ..walked };
        }
        if is_fragment {
            let word = u16::from_be_bytes([high, low]);
            let (offset, more) = (usize::from(word & 0xfff8), word & 1 != 0);
            let carried = end - walked.at;
            // With neither it is a whole packet in a fragment's dress (RFC 6946).
            if (offset != 0 || more) && is_odd_fragment(offset, more, carried, carried, next) {
                return Walked { oddity: Reason::MalformedFragment, ..walked };
            }
            // What is whole inside of the first of several fragments is not all there.
            if more {
                walked.part = Part::First;
            }
            if offset != 0 {
                return Walked { part: Part::Later, ..walked };
            }
        }
    }
    walked
}
