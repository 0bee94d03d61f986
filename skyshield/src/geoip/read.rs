//! A database from its file to a table: every network walked once, every record decoded once, both within
//! bounds. What comes out points nowhere, so that no file can make a request slow.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maxminddb::{MaxMindDbError, Reader, WithinOptions, path};
use serde::Deserialize;

use crate::clock;
use crate::engine::place::{Entry, Table, TooMuch};
use crate::engine::standing::Origin;

/// What a database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Countries.
    Country,
    /// Networks.
    Asn,
    /// Who hides.
    Anonymous,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Country, Self::Asn, Self::Anonymous];

    /// The kind's name in the configuration, the API and the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Asn => "asn",
            Self::Anonymous => "anonymous",
        }
    }
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its type: `GeoLite2-Country`.
    pub database_type: String,
    /// When it was built.
    pub built_at: SystemTime,
    /// Stretches of addresses that it knows something of.
    pub stretches: usize,
}

/// Why a file is not taken for a database.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is larger than it may be.
    #[error("it has {found} bytes, and geoip.max_bytes is {may}")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The bound.
        may: u64,
    },
    /// It changed while it was read.
    #[error("it changed while it was read; the next look will find it whole")]
    Changing,
    /// It is packed.
    #[error("it is packed with gzip: unpack it first")]
    Packed,
    /// It is no database, or a broken one.
    #[error("it is no sound database")]
    Broken(#[from] MaxMindDbError),
    /// Its tree leads in circles.
    #[error("its tree leads in circles")]
    Circles,
    /// It is so made that reading it does not end.
    #[error("it takes longer to read than {} s", PATIENCE.as_secs())]
    Endless,
    /// It knows more than there is room for.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// It is a database of something else.
    #[error("it is a `{found}` and knows nothing of what `geoip.{}` is for", wanted.name())]
    WrongKind {
        /// What it says it is.
        found: String,
        /// What it was to be.
        wanted: Kind,
    },
}

/// The largest database that is published takes some seconds.
const PATIENCE: Duration = Duration::from_mins(2);
/// Networks between two looks at the clock.
const BETWEEN: usize = 4096;

/// Reads the database at `path`, of at the most `max_bytes`. Blocks, for seconds where it is large.
pub fn read(path: &Path, kind: Kind, max_bytes: u64) -> Result<(Table, Facts), ReadError> {
    from_bytes(whole(path, max_bytes)?, kind)
}

/// The file's bytes, if it is the same file after as before.
fn whole(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file").into());
    }
    let found = before.len();
    if found > max_bytes {
        return Err(ReadError::TooLarge { found, may: max_bytes });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or_default());
    // One more than it had: a file that grows is a file that changes.
    io::Read::by_ref(&mut file).take(found + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != found || state(&before) != state(&file.metadata()?) {
        return Err(ReadError::Changing);
    }
    Ok(bytes)
}

fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The database in `bytes`.
pub(super) fn from_bytes(bytes: Vec<u8>, kind: Kind) -> Result<(Table, Facts), ReadError> {
    if bytes.starts_with(b"\x1f\x8b") {
        return Err(ReadError::Packed);
    }
    let reader = Reader::from_source(bytes)?;
    let mut table = Table::new();
    let mut numbers: HashMap<usize, u32> = HashMap::new();
    let started = clock::now();
    // A tree of so many nodes has no more leaves than this, unless it leads in circles.
    let most = (reader.metadata().node_count as usize).saturating_mul(2).saturating_add(2);
    let every = WithinOptions::default().include_networks_without_data();
    for (at, found) in reader.networks(every)?.enumerate() {
        if at > most {
            return Err(ReadError::Circles);
        }
        if at % BETWEEN == 0 && clock::now().saturating_duration_since(started) > PATIENCE {
            return Err(ReadError::Endless);
        }
        let found = found?;
        let Some(offset) = found.offset() else { continue };
        let number = if let Some(number) = numbers.get(&offset) {
            *number
        } else {
            let number = table.number(entry(&found, kind)?)?;
            numbers.insert(offset, number);
            number
        };
        let network = found.network()?;
        let host_bits = |all: u32| all.saturating_sub(u32::from(network.prefix()));
        match network.network() {
            IpAddr::V4(first) => {
                let last = first.to_bits() | u32::MAX.checked_shr(32 - host_bits(32)).unwrap_or(0);
                table.note_v4(first.to_bits(), last, number)?;
            }
            IpAddr::V6(first) => {
                let last = first.to_bits() | u128::MAX.checked_shr(128 - host_bits(128)).unwrap_or(0);
                table.note_v6(first.to_bits(), last, number)?;
            }
        }
    }
    let metadata = reader.metadata();
    if table.is_empty() {
        return Err(ReadError::WrongKind { found: shown(&metadata.database_type), wanted: kind });
    }
    let table = table.finished();
    let built_at = UNIX_EPOCH.checked_add(Duration::from_secs(metadata.build_epoch)).unwrap_or(UNIX_EPOCH);
    let facts = Facts { database_type: shown(&metadata.database_type), built_at, stretches: table.len() };
    Ok((table, facts))
}

/// A type's name, fit to be shown.
fn shown(database_type: &str) -> String {
    database_type.chars().take(60).flat_map(char::escape_default).collect()
}

type Found<'a> = maxminddb::LookupResult<'a, Vec<u8>>;

/// What a record says. Every field may be absent; one of another type makes the database a broken one.
fn entry(found: &Found<'_>, kind: Kind) -> Result<Entry, MaxMindDbError> {
    fn field<'a, T: Deserialize<'a>>(found: &Found<'a>, name: &str) -> Result<Option<T>, MaxMindDbError> {
        found.decode_path(&path![name])
    }
    let mut origin = Origin::default();
    let mut network = "";
    match kind {
        Kind::Country => {
            let code: Option<&str> = found.decode_path(&path!["country", "iso_code"])?;
            let code = code.and_then(|code| <[u8; 2]>::try_from(code.as_bytes()).ok());
            origin.country = code.filter(|code| code.iter().all(u8::is_ascii_uppercase));
        }
        Kind::Asn => {
            origin.asn = field(found, "autonomous_system_number")?;
            network = field(found, "autonomous_system_organization")?.unwrap_or_default();
        }
        Kind::Anonymous => {
            let is = |name: &str| field(found, name).map(|flag| flag == Some(true));
            origin.is_tor = is("is_tor_exit_node")?;
            origin.is_proxy =
                is("is_public_proxy")? || is("is_anonymous_vpn")? || is("is_residential_proxy")?;
            origin.is_hosting = is("is_hosting_provider")?;
        }
    }
    Ok(Entry {
        origin,
        network: network.chars().take(100).filter(|c| !c.is_control()).collect::<String>().into(),
    })
}
