//! Why the gateway itself turns a request away: one cause, one status, one counter.

/// A cause; its discriminant indexes the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(usize)]
pub(super) enum Cause {
    #[error("a line does not end in CRLF, or a CR stands alone")]
    LineEnd,
    #[error("the request line is malformed")]
    RequestLine,
    #[error("the target is not one this server can be asked for")]
    Target,
    #[error("a header line is malformed")]
    HeaderLine,
    #[error("there is not exactly one well-formed Host")]
    Host,
    #[error("the target's authority is not the Host")]
    Authority,
    #[error("the body has more than one framing, or a malformed one")]
    Framing,
    #[error("the chunked coding is malformed")]
    Chunk,
    #[error("the request ended before it was whole")]
    Cut,
    #[error("the method is not served here")]
    Method,
    #[error("the request did not arrive in time")]
    TooSlow,
    #[error("the body is larger than what is inspected")]
    BodyTooLarge,
    #[error("the target is too long")]
    TargetTooLong,
    #[error("an expectation other than 100-continue cannot be met")]
    Expectation,
    #[error("the header section is too large")]
    HeadTooLarge,
    #[error("there are too many header lines")]
    TooManyHeaders,
    #[error("the transfer coding is not implemented")]
    Coding,
    #[error("too many body bytes are held at the moment")]
    NoRoom,
    #[error("the protocol version is not served here")]
    Version,
    #[error("it came in the clear where TLS is spoken: ask by https")]
    Cleartext,
    #[error("no site of this name is served here")]
    Misdirected,
    #[error("there is no site of this name")]
    UnknownSite,
}

impl Cause {
    /// Every cause, in the order of the discriminants.
    pub(super) const ALL: [Self; 22] = [
        Self::LineEnd,
        Self::RequestLine,
        Self::Target,
        Self::HeaderLine,
        Self::Host,
        Self::Authority,
        Self::Framing,
        Self::Chunk,
        Self::Cut,
        Self::Method,
        Self::TooSlow,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::Expectation,
        Self::HeadTooLarge,
        Self::TooManyHeaders,
        Self::Coding,
        Self::NoRoom,
        Self::Version,
        Self::Cleartext,
        Self::Misdirected,
        Self::UnknownSite,
    ];

    /// The status of the answer.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::LineEnd
            | Self::RequestLine
            | Self::Target
            | Self::HeaderLine
            | Self::Host
            | Self::Authority
            | Self::Framing
            | Self::Chunk
            | Self::Cut
            | Self::Cleartext => 400,
            Self::UnknownSite => 404,
            Self::Method => 405,
            Self::TooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::Misdirected => 421,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::Coding => 501,
            Self::NoRoom => 503,
            Self::Version => 505,
        }
    }

    /// The cause's name in metrics and logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LineEnd => "line_end",
            Self::RequestLine => "request_line",
            Self::Target => "target",
            Self::HeaderLine => "header_line",
            Self::Host => "host",
            Self::Authority => "authority",
            Self::Framing => "framing",
            Self::Chunk => "chunk",
            Self::Cut => "cut",
            Self::Method => "method",
            Self::TooSlow => "too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::Expectation => "expectation",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::Coding => "coding",
            Self::NoRoom => "no_room",
            Self::Version => "version",
            Self::Misdirected => "misdirected",
            Self::UnknownSite => "unknown_site",
            Self::Cleartext => "cleartext",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_counted_under_its_own_place_and_name() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert!(Cause::ALL.iter().enumerate().all(|(at, &cause)| cause as usize == at));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
