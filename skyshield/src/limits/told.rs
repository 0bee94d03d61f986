//! What a client is told of its quota, in the words of the draft on `RateLimit` header fields.

use std::io::Write;

use super::{Quota, Unit};

/// Appends the lines that tell a client of its quota.
pub fn quota_lines(quota: &Quota, out: &mut Vec<u8>) {
    let (class, amount, remaining) = (quota.class(), quota.amount, quota.remaining);
    let unit = match quota.unit {
        Unit::Requests => "",
        Unit::Bytes => ";qu=\"content-bytes\"",
        Unit::InProgress => ";qu=\"concurrent-requests\"",
    };
    // Writing to memory does not fail.
    let _infallible = match quota.window_secs {
        0 => write!(
            out,
            "RateLimit-Policy: \"{class}\";q={amount}{unit}\r\nRateLimit: \"{class}\";r={remaining}\r\n"
        ),
        window => write!(
            out,
            "RateLimit-Policy: \"{class}\";q={amount};w={window}{unit}\r\n\
             RateLimit: \"{class}\";r={remaining};t={}\r\n",
            quota.whole_in_secs
        ),
    };
}
