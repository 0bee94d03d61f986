//! The maps by name, with their sizes where these are not configured.

/// The version of everything in this crate that lies in a pinned map. A change of a layout, of a
/// meaning or of a [`Reason`](crate::Reason)'s number raises it, and the maps are pinned apart.
///
/// Bans are handed from one version to another, upwards and downwards. So in every layout the maps of
/// bans, of prefixes and of what is allowed keep their names, kinds and keys, and the values of the
/// first two begin with a [`Ban`](crate::Ban).
pub const SCHEMA: u32 = 12;

/// The program's name, in the object and in the kernel.
pub const PROGRAM: &str = "skyshield";
/// The program that also answers SYNs, in the place of the other where that is wanted.
pub const COOKIES_PROGRAM: &str = "skyshield_syn";
/// The program that also copies segments for the tap, likewise.
pub const TAP_PROGRAM: &str = "skyshield_tap";
/// The program that does both.
pub const TAP_COOKIES_PROGRAM: &str = "skyshield_tap_syn";
/// Where the program finds what it reads of the kernel's sockets: [`SocketFields`](crate::tap::SocketFields).
pub const SOCKET_FIELDS: &str = "SOCKET_FIELDS";

/// [`Settings`](crate::Settings).
pub const SETTINGS: &str = "SETTINGS";
/// [`Sizes`](crate::Sizes): a constant of the program's, given when it is loaded.
pub const SIZES: &str = "SIZES";
/// The program that sets the clock, run by the daemon.
pub const ANCHOR_PROGRAM: &str = "anchor";
/// [`host::Bucket`](crate::host::Bucket)s of banned and listed IPv4 addresses.
pub const HOSTS_V4: &str = "HOSTS_V4";
/// [`host::Hold`](crate::host::Hold) by IPv4 address, of those that fit into no bucket.
pub const STASH_V4: &str = "STASH_V4";
/// [`host_v6::Bucket`](crate::host_v6::Bucket)s of banned IPv6 addresses.
pub const HOSTS_V6: &str = "HOSTS_V6";
/// [`roster::Line`](crate::roster::Line)s of the IPv4 addresses in [`HOSTS_V4`] and [`STASH_V4`], where they are many.
pub const ROSTER_V4: &str = "ROSTER_V4";
/// Where IPv4 hosts are [`near`](crate::near): words of a filter.
pub const NEAR_HOSTS_V4: &str = "NEAR_HOSTS_V4";
/// Where IPv4 prefixes are [`near`](crate::near): a bit for each /18, then one for each /24.
pub const NEAR_V4: &str = "NEAR_V4";
/// Where IPv6 bans are [`near`](crate::near): words of a filter.
pub const NEAR_V6: &str = "NEAR_V6";
/// Where what is allowed is [`near`](crate::near).
pub const NEAR_ALLOWED: &str = "NEAR_ALLOWED";
/// Listed IPv4 [`range`](crate::range)s, in two generations.
pub const RANGES_V4: &str = "RANGES_V4";
/// Listed IPv6 [`range`](crate::range)s, in two generations.
pub const RANGES_V6: &str = "RANGES_V6";
/// [`Banned`](crate::Banned) by IPv4 address: the record behind a slot of [`HOSTS_V4`].
pub const BANS_V4: &str = "BANS_V4";
/// [`Banned`](crate::Banned) by IPv6 address: the record behind a slot of [`HOSTS_V6`], or of what fits into none.
pub const BANS_V6: &str = "BANS_V6";
/// [`PrefixBan`](crate::PrefixBan) by IPv4 prefix.
pub const PREFIXES_V4: &str = "PREFIXES_V4";
/// [`PrefixBan`](crate::PrefixBan) by IPv6 prefix.
pub const PREFIXES_V6: &str = "PREFIXES_V6";
/// Allowed IPv4 prefixes; the value says nothing.
pub const ALLOWED_V4: &str = "ALLOWED_V4";
/// Allowed IPv6 prefixes; the value says nothing.
pub const ALLOWED_V6: &str = "ALLOWED_V6";
/// [`Rate`](crate::Rate) by [`RateKey`](crate::RateKey), of sources that have one of their own.
pub const SHAPES: &str = "SHAPES";
/// [`rate::Bucket`](crate::rate::Bucket)s of sources' arrival times.
pub const RATES: &str = "RATES";
/// What is decided of [`place`](crate::place)s, and the IPv4 addresses that are in them, in two generations.
pub const PLACES_V4: &str = "PLACES_V4";
/// The IPv6 addresses that are in them, in two generations.
pub const PLACES_V6: &str = "PLACES_V6";
/// Operators' [`rules`](crate::rules) on ports and protocols, in two generations.
pub const RULES: &str = "RULES";
/// [`Counter`](crate::Counter) per CPU of what each rule has met, and behind them each place.
pub const HITS: &str = "HITS";
/// [`rate::Bucket`](crate::rate::Bucket)s of flows, by when they were last seen.
pub const FLOWS: &str = "FLOWS";
/// [`top::Bucket`](crate::top::Bucket)s of the sources that send most.
pub const TOP: &str = "TOP";
/// [`Shielding`](crate::gate::Shielding) in slot 0.
pub const SHIELDING: &str = "SHIELDING";
/// [`Gate`](crate::gate::Gate) by TCP port.
pub const GATES: &str = "GATES";
/// [`Tapping`](crate::tap::Tapping) in slot 0.
pub const TAP: &str = "TAP";
/// A bit for each TCP port that is tapped.
pub const TAP_PORTS: &str = "TAP_PORTS";
/// [`Flow`](crate::tap::Flow)s by their place.
pub const TAP_FLOWS: &str = "TAP_FLOWS";
/// [`Segment`](crate::tap::Segment)s, each with the bytes it holds.
pub const TAP_RING: &str = "TAP_RING";
/// [`TapCounter`](crate::tap::TapCounter) per CPU in slot 0.
pub const TAP_STATS: &str = "TAP_STATS";
/// Where each CPU makes a record.
pub const TAP_SCRATCH: &str = "TAP_SCRATCH";
/// [`Tally`](crate::Tally) per CPU in slot 0, of one interface.
pub const STATS: &str = "STATS";
/// [`Event`](crate::Event)s of drops.
pub const EVENTS: &str = "EVENTS";

/// What a packet finds without a look-up: variables of the program's, each in a map of its own with one value, which
/// the daemon makes as large as the configuration wants it and puts in the place of what the object has.
pub const VARIABLES: [&str; 9] =
    [SETTINGS, HOSTS_V4, HOSTS_V6, ROSTER_V4, NEAR_HOSTS_V4, NEAR_V4, NEAR_V6, NEAR_ALLOWED, RATES];
/// What the object calls the map of a variable begins with this, and ends with its name.
pub const VARIABLE_SECTION: &str = ".bss.";

/// Every map of the object, and no other but those of its variables.
pub const ALL: [&str; 26] = [
    STASH_V4,
    RANGES_V4,
    RANGES_V6,
    BANS_V4,
    BANS_V6,
    PREFIXES_V4,
    PREFIXES_V6,
    ALLOWED_V4,
    ALLOWED_V6,
    SHAPES,
    PLACES_V4,
    PLACES_V6,
    RULES,
    HITS,
    FLOWS,
    TOP,
    SHIELDING,
    GATES,
    TAP,
    TAP_PORTS,
    TAP_FLOWS,
    TAP_RING,
    TAP_STATS,
    TAP_SCRATCH,
    STATS,
    EVENTS,
];

/// Slots of [`HITS`]: one for each rule, and one for each policy of a place.
pub const HITS_SLOTS: u32 = PLACE_HITS + crate::place::POLICIES;
/// Where in [`HITS`] the policies of places begin.
pub const PLACE_HITS: u32 = 256;
/// Size of [`EVENTS`] in bytes: 14,000 records of 64 bytes and their headers.
pub const EVENTS_BYTES: u32 = 1 << 20;
/// Words of [`TAP_PORTS`].
pub const TAP_PORTS_WORDS: u32 = 1024;
