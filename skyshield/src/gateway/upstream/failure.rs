//! Why an upstream's answer could not be had.

/// A reason; its discriminant indexes the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(usize)]
pub(in crate::gateway) enum Failure {
    #[error("the site cannot be reached")]
    Connect,
    #[error("the site took too long to answer")]
    Late,
    #[error("the site broke the connection")]
    Cut,
    #[error("the site's answer is malformed")]
    Malformed,
    #[error("the site stopped in the middle of its answer")]
    Stalled,
    #[error("the site is down")]
    NoneUp,
}

impl Failure {
    pub(in crate::gateway) const ALL: [Self; 6] =
        [Self::Connect, Self::Late, Self::Cut, Self::Malformed, Self::Stalled, Self::NoneUp];

    /// The status of the answer.
    pub(in crate::gateway) const fn status(self) -> u16 {
        match self {
            Self::Connect | Self::Cut | Self::Malformed => 502,
            Self::NoneUp => 503,
            Self::Late | Self::Stalled => 504,
        }
    }

    /// The failure's name in metrics and logs.
    pub(in crate::gateway) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Late => "late",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Stalled => "stalled",
            Self::NoneUp => "none_up",
        }
    }

    /// The failure's name in `Proxy-Status` (RFC 9209 section 2.3).
    pub(in crate::gateway) const fn proxy_error(self) -> &'static str {
        match self {
            Self::Connect => "connection_refused",
            Self::Late => "http_response_timeout",
            Self::Cut => "connection_terminated",
            Self::Malformed => "http_protocol_error",
            Self::Stalled => "http_response_incomplete",
            Self::NoneUp => "destination_unavailable",
        }
    }
}
