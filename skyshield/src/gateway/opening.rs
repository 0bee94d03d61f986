//! The opening of a `WebSocket` (RFC 6455 section 4.2.1), as far as header lines say it.

/// What was seen of an opening, each line once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    protocol: Line,
    key: Line,
    version: Line,
}

/// How a line was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Missing,
    Right,
    Wrong,
}

impl Line {
    fn see(&mut self, is_right: bool) {
        *self = if *self == Self::Missing && is_right { Self::Right } else { Self::Wrong };
    }
}

impl Opening {
    pub(super) fn protocol(&mut self, value: &[u8]) {
        self.protocol.see(value.eq_ignore_ascii_case(b"websocket"));
    }

    /// Takes a key: base64 of sixteen bytes.
    pub(super) fn key(&mut self, value: &[u8]) {
        let letters = value.strip_suffix(b"==").unwrap_or_default();
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        self.key.see(letters.len() == 22 && letters.iter().all(is_letter));
    }

    pub(super) fn version(&mut self, value: &[u8]) {
        self.version.see(value == b"13");
    }

    pub(super) fn is_whole(self) -> bool {
        [self.protocol, self.key, self.version].into_iter().all(|line| line == Line::Right)
    }
}
