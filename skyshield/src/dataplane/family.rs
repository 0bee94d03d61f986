//! The kernel's maps of policy for one address family.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, Map, MapData, MapError};
use ipnet::IpNet;
use nix::libc;
use skyshield_common::{Ban, Banned, Hits, Plain, PrefixBan};

use super::error::Error;
use super::sys;
use crate::engine::source::Source;

/// A value of a map, as aya takes it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Value<T>(pub(super) T);

// SAFETY: transparent over a `Plain`, which is integers without padding.
#[expect(unsafe_code, reason = "`Plain` promises what `Pod` asks")]
unsafe impl<T: Plain> Pod for Value<T> {}

/// The names of a family's maps.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) bans: &'static str,
    pub(super) prefixes: &'static str,
    pub(super) allowed: &'static str,
}

/// The maps of one family; `A` is its address in network order.
pub(super) struct Family<A: Pod> {
    names: Names,
    /// The map of bans once more, to be walked.
    walked: OwnedFd,
    bans: HashMap<MapData, A, Value<Banned>>,
    prefixes: LpmTrie<MapData, A, Value<PrefixBan>>,
    allowed: LpmTrie<MapData, A, u64>,
}

impl<A: Pod + Into<IpAddr>> Family<A> {
    pub(super) fn open(dir: &Path, names: Names) -> Result<Self, Error> {
        let walked = sys::object_get(&dir.join(names.bans)).map_err(MapError::IoError);
        Ok(Self {
            walked: walked.map_err(failed("open", names.bans))?,
            bans: open(dir, names.bans)?,
            prefixes: open(dir, names.prefixes)?,
            allowed: open(dir, names.allowed)?,
            names,
        })
    }

    pub(super) fn ban(&self, address: A) -> Result<Option<Ban>, Error> {
        let found = present(self.bans.get(&address, 0)).map_err(failed("read", self.names.bans))?;
        Ok(found.map(|Value(banned)| banned.ban))
    }

    /// What the ban of an address has met; nothing where there is none.
    pub(super) fn hits(&self, address: &A) -> Result<Hits, Error> {
        let found = present(self.bans.get(address, 0)).map_err(failed("read", self.names.bans))?;
        Ok(found.map_or_else(Hits::default, |Value(banned)| banned.hits))
    }

    /// A prefix's entry with what it has met; of a prefix that has none, the one around it.
    pub(super) fn prefix(&self, len: u8, address: A) -> Result<Option<PrefixBan>, Error> {
        let found = present(self.prefixes.get(&Key::new(u32::from(len), address), 0));
        let found = found.map_err(failed("read", self.names.prefixes))?;
        Ok(found.map(|Value(entry)| entry))
    }

    /// What the same decision has met so far is kept, but for what it meets at this moment.
    pub(super) fn put_ban(&mut self, address: A, ban: Ban) -> Result<(), Error> {
        let before = present(self.bans.get(&address, 0)).map_err(failed("read", self.names.bans))?;
        let kept = before.filter(|Value(before)| before.ban.decision == ban.decision);
        let hits = kept.map_or_else(Hits::default, |Value(before)| before.hits);
        self.bans.insert(address, Value(Banned { ban, hits }), 0).map_err(failed("write", self.names.bans))
    }

    pub(super) fn cut_ban(&mut self, address: A) -> Result<(), Error> {
        present(self.bans.remove(&address)).map(|_| ()).map_err(failed("delete from", self.names.bans))
    }

    /// As [`Self::put_ban`], where `before` is what is there.
    pub(super) fn put_prefix(
        &mut self,
        len: u8,
        address: A,
        mut ban: PrefixBan,
        before: Option<PrefixBan>,
    ) -> Result<(), Error> {
        let key = Key::new(u32::from(len), address);
        // Of another decision it may be another prefix's: the map answers with what is around this one.
        if let Some(before) = before
            && before.own.decision == ban.own.decision
        {
            ban.own_hits = before.own_hits;
            if before.cover.decision == ban.cover.decision {
                ban.cover_hits = before.cover_hits;
            }
        }
        self.prefixes.insert(&key, Value(ban), 0).map_err(failed("write", self.names.prefixes))
    }

    pub(super) fn cut_prefix(&mut self, len: u8, address: A) -> Result<(), Error> {
        let gone = present(self.prefixes.remove(&Key::new(u32::from(len), address)));
        gone.map(|_| ()).map_err(failed("delete from", self.names.prefixes))
    }

    pub(super) fn put_allowed(&mut self, len: u8, address: A) -> Result<(), Error> {
        let key = Key::new(u32::from(len), address);
        self.allowed.insert(&key, 1, 0).map_err(failed("write", self.names.allowed))
    }

    pub(super) fn cut_allowed(&mut self, len: u8, address: A) -> Result<(), Error> {
        let gone = present(self.allowed.remove(&Key::new(u32::from(len), address)));
        gone.map(|_| ()).map_err(failed("delete from", self.names.allowed))
    }

    pub(super) fn bans(&self) -> Result<Vec<(Source, Ban)>, Error> {
        let mut all = Vec::new();
        let see =
            |address: A, Value(banned): Value<Banned>| all.push((Source::host(address.into()), banned.ban));
        let walked = sys::each_entry(self.walked.as_fd(), see).map_err(MapError::IoError);
        walked.map_err(failed("walk", self.names.bans))?;
        Ok(all)
    }

    pub(super) fn prefixes(&self) -> Result<Vec<(IpNet, PrefixBan)>, Error> {
        let mut all = Vec::new();
        for entry in &self.prefixes {
            let (key, Value(ban)) = entry.map_err(failed("walk", self.names.prefixes))?;
            all.extend(prefix_of(&key).map(|prefix| (prefix, PrefixBan::new(ban.own, ban.cover))));
        }
        Ok(all)
    }

    pub(super) fn allowed(&self) -> Result<Vec<IpNet>, Error> {
        let mut all = Vec::new();
        for key in self.allowed.keys() {
            all.extend(prefix_of(&key.map_err(failed("walk", self.names.allowed))?));
        }
        Ok(all)
    }
}

/// A prefix out of a key; the kernel takes no key of a length that no prefix has.
fn prefix_of<A: Pod + Into<IpAddr>>(key: &Key<A>) -> Option<IpNet> {
    IpNet::new(key.data().into(), u8::try_from(key.prefix_len()).ok()?).ok()
}

/// Opens the map pinned under its name in `dir`.
pub(super) fn open<T: TryFrom<Map, Error = MapError>>(dir: &Path, name: &'static str) -> Result<T, Error> {
    open_at(&dir.join(name)).map_err(failed("open", name))
}

/// Opens the map pinned at `path`.
pub(super) fn open_at<T: TryFrom<Map, Error = MapError>>(path: &Path) -> Result<T, MapError> {
    MapData::from_pin(path).and_then(Map::from_map_data).and_then(T::try_from)
}

/// Says what was tried, on which map.
pub(super) fn failed(what: &'static str, map: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map { what, map, source }
}

/// A key that is not there is an answer, not an error.
fn present<T>(found: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
