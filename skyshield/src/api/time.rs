//! Times as the API says them: RFC 3339 in UTC; durations as people do.

use std::time::SystemTime;

pub(super) use crate::engine::ttl::{Ttl, ttl};

/// A moment in RFC 3339, UTC, to the millisecond.
pub(super) fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| far(), |timestamp| format!("{timestamp:.3}"))
}

/// A moment beyond those that can be written.
pub(super) fn far() -> String {
    "9999-12-31T23:59:59.999Z".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_rfc_3339() {
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)),
            "1970-01-01T00:00:01.500Z"
        );
    }
}
