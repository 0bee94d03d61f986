//! Bans that a daemon of another layout has left, older or newer: taken over before its program is
//! replaced, so that no moment is without them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use aya::maps::{MapInfo, MapType};
use ipnet::IpNet;
use skyshield_common::{Ban, maps as names};
use tracing::{info, warn};

use super::bpffs::file;
use super::enforcer::Enforcer;
use super::error::{Error, OpenError};
use super::{backing, clock, sys};
use crate::engine::source::Source;

/// What other layouts hold, and where.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    folders: Vec<PathBuf>,
    bans: Vec<(Source, Ban)>,
    allowed: Vec<Source>,
}

impl Inheritance {
    /// Reads every layout pinned in `pin_dir` but our own, in `own`.
    pub(super) fn find(pin_dir: &Path, own: &Path) -> Result<Self, OpenError> {
        let mut found = Self::default();
        for folder in fs::read_dir(pin_dir).map_err(file(pin_dir))? {
            let path = folder.map_err(file(pin_dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_layout = name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
            if path != own && is_layout {
                found.read(&path).map_err(file(&path))?;
                found.folders.push(path);
            }
        }
        // Where there is less room than there was, whom a person has banned goes before a detector's.
        found.bans.sort_by_key(|(source, ban)| (std::cmp::Reverse(ban.origin), *source));
        Ok(found)
    }

    fn read(&mut self, folder: &Path) -> io::Result<()> {
        let bans = [
            (names::BANS_V4, MapType::Hash),
            (names::BANS_V6, MapType::Hash),
            (names::PREFIXES_V4, MapType::LpmTrie),
            (names::PREFIXES_V6, MapType::LpmTrie),
        ];
        for (name, kind) in bans {
            for (key, value) in entries(&folder.join(name), kind)? {
                self.bans.extend(source(&key, kind).zip(Ban::from_prefix_of(&value)));
            }
        }
        for name in [names::ALLOWED_V4, names::ALLOWED_V6] {
            let all = entries(&folder.join(name), MapType::LpmTrie)?;
            self.allowed.extend(all.iter().filter_map(|(key, _)| source(key, MapType::LpmTrie)));
        }
        Ok(())
    }

    /// Puts what was found into force, beside what is.
    pub(super) fn hand_to(&self, enforcer: &mut dyn Enforcer) -> Result<(), Error> {
        if self.folders.is_empty() {
            return Ok(());
        }
        let now_ns = clock::now_ns();
        let (mut taken, mut refused) = (0_usize, 0_usize);
        for (source, ban) in &self.bans {
            let Some(entry) = backing::entry_of(*ban, now_ns) else { continue };
            if enforcer.get(*source)?.is_some() {
                continue;
            }
            match enforcer.install(*source, entry) {
                Ok(()) => taken += 1,
                Err(Error::Full { .. }) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        let allowed = [enforcer.allowed(), self.allowed.clone()].concat();
        match enforcer.set_allowed(&allowed) {
            // The daemon says anew whom it allows as soon as it runs.
            Ok(()) | Err(Error::Full { .. }) => {}
            Err(error) => return Err(error),
        }
        let layouts = self.folders.len();
        info!(bans = taken, layouts, "taken over from another version's maps");
        if refused > 0 {
            warn!(bans = refused, "bans of another version are lost: there is no room for them");
        }
        Ok(())
    }

    /// Lets go of the other layouts: their program is no longer in force, and what is lifted from
    /// now on must not come back by them.
    pub(super) fn forget(&self) -> Result<(), OpenError> {
        self.folders.iter().try_for_each(|folder| fs::remove_dir_all(folder).map_err(file(folder)))
    }
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The entries of a pinned map; none where there is no such map, or one of another kind.
fn entries(path: &Path, kind: MapType) -> io::Result<Entries> {
    if !path.exists() {
        return Ok(Entries::new());
    }
    let info = MapInfo::from_pin(path).map_err(io::Error::other)?;
    if info.map_type().ok() != Some(kind) {
        warn!(path = %path.display(), "not what its name says: left alone");
        return Ok(Entries::new());
    }
    sys::map_entries(path, info.key_size() as usize, info.value_size() as usize, info.max_entries())
}

/// The source that a key of a ban is of.
fn source(key: &[u8], kind: MapType) -> Option<Source> {
    let (len, bytes) = if kind == MapType::LpmTrie {
        let (len, bytes) = key.split_first_chunk::<4>()?;
        (Some(u8::try_from(u32::from_ne_bytes(*len)).ok()?), bytes)
    } else {
        (None, key)
    };
    let address = match *bytes {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    match len {
        None => Some(Source::host(address)),
        Some(len) => IpNet::new(address, len).ok().map(Source::prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_by_its_length() {
        let text = |key: &[u8], kind| source(key, kind).map(|source| source.to_string());
        assert_eq!(text(&[203, 0, 113, 7], MapType::Hash).as_deref(), Some("203.0.113.7"));
        let prefix = [&24_u32.to_ne_bytes()[..], &[203, 0, 113, 0]].concat();
        assert_eq!(text(&prefix, MapType::LpmTrie).as_deref(), Some("203.0.113.0/24"));
        let wide = [&32_u32.to_ne_bytes()[..], &[0x20, 1, 0xd, 0xb8], &[0; 12]].concat();
        assert_eq!(text(&wide, MapType::LpmTrie).as_deref(), Some("2001:db8::/32"));
        for torn in [&[][..], &[1, 2, 3], &[0; 19], &[255; 8], &[255; 20]] {
            assert_eq!(text(torn, MapType::LpmTrie), None);
        }
    }
}
