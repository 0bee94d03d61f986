//! Where something listens: a socket with a path, or an address and a port.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket in the file system.
    Path(PathBuf),
    /// An address and a port.
    Address(SocketAddr),
}

impl Place {
    /// The path, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Address(_) => None,
        }
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Path(_) => None,
            Self::Address(address) => Some(*address),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(out, "unix:{}", path.display()),
            Self::Address(address) => address.fmt(out),
        }
    }
}

/// The text names no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `unix:/path` nor `address:port`")]
pub struct NotAPlace(String);

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let wrong = || NotAPlace(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            // The kernel takes 107 bytes.
            let usable = path.starts_with('/') && path.len() < 108;
            return usable.then(|| Self::Path(path.into())).ok_or_else(wrong);
        }
        text.parse().map(Self::Address).map_err(|_| wrong())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_an_address_with_a_port() {
        for (text, is_one) in [
            ("unix:/run/skyshield/auth.sock", true),
            ("127.0.0.1:9466", true),
            ("[::1]:9466", true),
            ("unix:auth.sock", false),
            ("/run/skyshield/auth.sock", false),
            ("localhost:9466", false),
            ("9466", false),
            ("", false),
        ] {
            let place = text.parse::<Place>().ok().map(|place| place.to_string());
            assert_eq!(place.as_deref(), is_one.then_some(text));
        }
    }
}
