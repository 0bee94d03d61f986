//! What reads the lines of access logs.

mod line;

use super::config::Format;

/// A line of an access log. What is told of it is told of whom the proxy has named.
pub(super) fn log_line(bytes: &[u8]) {
    for format in [Format::Json, Format::Combined, Format::Traefik, Format::Envoy, Format::Haproxy] {
        if let Some(outcome) = line::parse(format, bytes) {
            assert!((100..600).contains(&outcome.status));
        }
    }
    // Behind a line's address a client may choose a part of the rest, never the address.
    let line = [b"203.0.113.7 - ", bytes].concat();
    if let Some(outcome) = line::parse(Format::Combined, &line) {
        assert_eq!(outcome.address, "203.0.113.7".parse().ok());
    }
}
