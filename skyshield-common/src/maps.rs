//! The maps by name, with their sizes where these are not configured.

/// The version of everything in this crate that lies in a pinned map. A change of a layout, of a
/// meaning or of a [`Reason`](crate::Reason)'s number raises it, and the maps are pinned apart.
pub const SCHEMA: u32 = 2;

/// The program's name, in the object and in the kernel.
pub const PROGRAM: &str = "skyshield";

/// [`Settings`](crate::Settings) in slot 0.
pub const SETTINGS: &str = "SETTINGS";
/// [`Ban`](crate::Ban) by IPv4 address.
pub const BANS_V4: &str = "BANS_V4";
/// [`Ban`](crate::Ban) by IPv6 address.
pub const BANS_V6: &str = "BANS_V6";
/// [`PrefixBan`](crate::PrefixBan) by IPv4 prefix.
pub const PREFIXES_V4: &str = "PREFIXES_V4";
/// [`PrefixBan`](crate::PrefixBan) by IPv6 prefix.
pub const PREFIXES_V6: &str = "PREFIXES_V6";
/// Allowed IPv4 prefixes; the value says nothing.
pub const ALLOWED_V4: &str = "ALLOWED_V4";
/// Allowed IPv6 prefixes; the value says nothing.
pub const ALLOWED_V6: &str = "ALLOWED_V6";
/// Theoretical arrival times by [`RateKey`](crate::RateKey).
pub const RATES: &str = "RATES";
/// [`Counter`](crate::Counter) per CPU by [`Reason`](crate::Reason).
pub const STATS: &str = "STATS";
/// [`Event`](crate::Event)s of drops.
pub const EVENTS: &str = "EVENTS";
/// [`EventCounter`](crate::EventCounter) per CPU in slot 0.
pub const EVENT_STATS: &str = "EVENT_STATS";

/// Every map of the object, and no other.
pub const ALL: [&str; 11] = [
    SETTINGS,
    BANS_V4,
    BANS_V6,
    PREFIXES_V4,
    PREFIXES_V6,
    ALLOWED_V4,
    ALLOWED_V6,
    RATES,
    STATS,
    EVENTS,
    EVENT_STATS,
];

/// Slots of [`STATS`]: room for reasons to come, so that a new one does not change the map.
pub const STATS_SLOTS: u32 = 128;
/// Size of [`EVENTS`] in bytes: 14,000 records of 64 bytes and their headers.
pub const EVENTS_BYTES: u32 = 1 << 20;
