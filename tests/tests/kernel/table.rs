//! The rows: a frame, what is in force, and the reason it must be counted under.

use std::net::{IpAddr, Ipv4Addr};

use skyshield::dataplane::Settings;
use skyshield_common::{Limit, Reason};
use tests::packet;

use crate::{networks, odd};

/// What is in force while a row runs.
pub(crate) struct Setting {
    pub(crate) description: &'static str,
    pub(crate) bans: &'static [&'static str],
    pub(crate) ended_bans: &'static [&'static str],
    pub(crate) allowed: &'static [&'static str],
    /// What is decided of places: prefix, and whether it is banned, limited or watched.
    pub(crate) places: &'static [(&'static str, Fate)],
    /// Rules, in TOML.
    pub(crate) rules: &'static str,
    pub(crate) change: fn(&mut Settings),
    pub(crate) silent: bool,
    pub(crate) bypassed: bool,
}

/// What is decided of a place.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Banned,
    Limited,
    Watched,
    LimitWatched,
}

pub(crate) const PLAIN: Setting = Setting {
    description: "nothing in force",
    bans: &[],
    ended_bans: &[],
    allowed: &[],
    places: &[],
    rules: "",
    change: |_| {},
    silent: false,
    bypassed: false,
};

const BANS: &[&str] = &["203.0.113.7", "198.51.100.0/24", "2001:db8:7::7", "2001:db8:9::/48"];
const ALLOWED: &[&str] = &["203.0.113.0/24", "198.51.100.9", "2001:db8:7::/64", "2001:db8:9:1::/64"];

/// One packet a second and a burst of one: the second packet is over it.
fn one_packet(settings: &mut Settings) {
    settings.limit(Limit::Packets).per_sec = 1;
    settings.limit(Limit::Packets).burst = 1;
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// A frame: what it is, its bytes, and the reason it must have.
pub(crate) type Row = (String, Vec<u8>, Reason);

type NamedRow = (&'static str, Vec<u8>, Reason);

/// The rows with what is in force while they run.
pub(crate) fn all() -> Vec<(Setting, Vec<Row>)> {
    let odd = [odd::counted(), odd::dropped(), odd::spared(), odd::allowed()];
    let policy = [
        unbanned(),
        banned(),
        ended(),
        allowed(),
        limited(),
        limited_by_class(),
        limited_in_dry_run(),
        dry_run(),
        bypassed(),
        silent(),
    ];
    policy
        .map(|(setting, rows)| {
            let named = rows.into_iter().map(|(name, frame, reason)| (name.to_owned(), frame, reason));
            (setting, named.collect())
        })
        .into_iter()
        .chain(odd)
        .chain(networks::all())
        .chain(crate::policies::all())
        .collect()
}

fn udp(text: &str) -> Vec<u8> {
    packet::udp(address(text))
}

fn syn(text: &str) -> Vec<u8> {
    packet::syn(address(text))
}

/// A frame with one byte changed.
fn with(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

fn unbanned() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("UDP over IPv4", udp("203.0.113.7"), Reason::Passed),
        ("TCP SYN over IPv4", syn("203.0.113.7"), Reason::Passed),
        ("UDP over IPv6", udp("2001:db8::7"), Reason::Passed),
        ("TCP SYN over IPv6", syn("2001:db8::7"), Reason::Passed),
        ("ARP", packet::ethernet(0x0806, &[0; 28]), Reason::NotIp),
        ("LLDP", packet::ethernet(0x88cc, &[0; 46]), Reason::NotIp),
        ("Ethernet header alone", packet::ethernet(0x0806, &[]), Reason::NotIp),
        ("IPv4 cut in its header", packet::ethernet(0x0800, &[0x45; 19]), Reason::TruncatedIpv4),
        ("IPv4 of version 6", with(udp("203.0.113.7"), 14, 0x65), Reason::MalformedIpv4),
        ("IPv4 header of 4 words", with(udp("203.0.113.7"), 14, 0x44), Reason::MalformedIpv4),
        ("IPv4 header of no words", with(udp("203.0.113.7"), 14, 0x40), Reason::MalformedIpv4),
        ("IPv6 cut in its header", packet::ethernet(0x86dd, &[0x60; 39]), Reason::TruncatedIpv6),
        ("IPv6 of version 4", with(udp("2001:db8::7"), 14, 0x40), Reason::MalformedIpv6),
        (
            "IPv6 hop-by-hop header",
            packet::ip(address("2001:db8::7"), 0, &[59, 0, 1, 4, 0, 0, 0, 0]),
            Reason::Passed,
        ),
        (
            "IPv6 fragment",
            packet::ip(address("2001:db8::7"), 44, &[17, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]),
            Reason::Passed,
        ),
    ];
    (PLAIN, rows)
}

fn banned() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("banned address", udp("203.0.113.7"), Reason::BannedExact),
        ("its neighbour", udp("203.0.113.8"), Reason::Passed),
        ("banned address, SYN", syn("203.0.113.7"), Reason::BannedExact),
        ("banned address, a later fragment", with(udp("203.0.113.7"), 21, 1), Reason::BannedExact),
        ("banned address, GRE", packet::ip(address("203.0.113.7"), 47, &[]), Reason::BannedExact),
        ("banned prefix, first", udp("198.51.100.0"), Reason::BannedPrefix),
        ("banned prefix, last", udp("198.51.100.255"), Reason::BannedPrefix),
        ("beside the banned prefix", udp("198.51.101.0"), Reason::Passed),
        ("banned IPv6 address", udp("2001:db8:7::7"), Reason::BannedExact),
        ("its neighbour", udp("2001:db8:7::8"), Reason::Passed),
        ("banned IPv6 prefix", udp("2001:db8:9:ffff::1"), Reason::BannedPrefix),
        ("beside the banned IPv6 prefix", udp("2001:db8:a::1"), Reason::Passed),
        (
            "banned IPv6 address behind an extension header",
            packet::ip(address("2001:db8:7::7"), 0, &[59; 8]),
            Reason::BannedExact,
        ),
        ("banned IPv4 address, mapped", udp("::ffff:203.0.113.7"), Reason::BannedExact),
        ("ARP", packet::ethernet(0x0806, &[0; 28]), Reason::NotIp),
    ];
    (Setting { description: "bans", bans: BANS, ..PLAIN }, rows)
}

fn ended() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("address", udp("203.0.113.7"), Reason::Passed),
        ("prefix", udp("198.51.100.1"), Reason::Passed),
        ("IPv6 address", udp("2001:db8:7::7"), Reason::Passed),
        ("IPv6 prefix", udp("2001:db8:9::1"), Reason::Passed),
    ];
    (Setting { description: "bans that have ended", ended_bans: BANS, ..PLAIN }, rows)
}

fn allowed() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("banned address in an allowed prefix", udp("203.0.113.7"), Reason::AllowedBan),
        ("allowed address in a banned prefix", udp("198.51.100.9"), Reason::AllowedBan),
        ("its neighbour", udp("198.51.100.8"), Reason::BannedPrefix),
        ("banned IPv6 address, allowed", udp("2001:db8:7::7"), Reason::AllowedBan),
        ("allowed in a banned IPv6 prefix", udp("2001:db8:9:1::1"), Reason::AllowedBan),
        ("its neighbour", udp("2001:db8:9:2::1"), Reason::BannedPrefix),
        ("allowed and not banned", udp("203.0.113.1"), Reason::Passed),
    ];
    (Setting { description: "bans and an allow list", bans: BANS, allowed: ALLOWED, ..PLAIN }, rows)
}

fn limited() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("first", udp("203.0.113.7"), Reason::Passed),
        ("second", udp("203.0.113.7"), Reason::RateExceeded),
        ("another source", udp("203.0.113.8"), Reason::Passed),
        ("allowed, first", udp("203.0.113.9"), Reason::Passed),
        ("allowed, second", udp("203.0.113.9"), Reason::AllowedRate),
        ("IPv6, first", udp("2001:db8:1::1"), Reason::Passed),
        ("IPv6, second of the network", udp("2001:db8:1::2"), Reason::RateExceeded),
        ("IPv6, another network", udp("2001:db8:2::1"), Reason::Passed),
    ];
    (Setting { description: "a rate", allowed: &["203.0.113.9"], change: one_packet, ..PLAIN }, rows)
}

/// A burst of two each, and no second packet while a row lasts.
fn by_class(settings: &mut Settings) {
    settings.limit(Limit::Syns).per_sec = 1;
    settings.limit(Limit::Udp).per_sec = 1;
}

fn limited_by_class() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("SYN, first", syn("203.0.113.7"), Reason::Passed),
        ("SYN, second", syn("203.0.113.7"), Reason::Passed),
        ("SYN, third", syn("203.0.113.7"), Reason::SynRateExceeded),
        ("UDP of the same, first", udp("203.0.113.7"), Reason::Passed),
        ("UDP of the same, second", udp("203.0.113.7"), Reason::Passed),
        ("UDP of the same, third", udp("203.0.113.7"), Reason::UdpRateExceeded),
        ("GRE of the same", packet::ip(address("203.0.113.7"), 47, &[]), Reason::Passed),
        ("IPv6 SYN, first", syn("2001:db8:1::1"), Reason::Passed),
        ("IPv6 SYN, second of the network", syn("2001:db8:1::2"), Reason::Passed),
        ("IPv6 SYN, third of the network", syn("2001:db8:1::3"), Reason::SynRateExceeded),
    ];
    (Setting { description: "rates by class", change: by_class, ..PLAIN }, rows)
}

fn limited_in_dry_run() -> (Setting, Vec<NamedRow>) {
    let change = |settings: &mut Settings| {
        by_class(settings);
        settings.dry_run = true;
    };
    let rows = vec![
        ("SYN, first", syn("203.0.113.7"), Reason::Passed),
        ("SYN, second", syn("203.0.113.7"), Reason::Passed),
        ("SYN, third", syn("203.0.113.7"), Reason::DryRunSynRateExceeded),
        ("UDP, first", udp("203.0.113.7"), Reason::Passed),
        ("UDP, second", udp("203.0.113.7"), Reason::Passed),
        ("UDP, third", udp("203.0.113.7"), Reason::DryRunUdpRateExceeded),
    ];
    (Setting { description: "rates by class in a dry run", change, ..PLAIN }, rows)
}

fn dry_run() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("banned address", udp("203.0.113.7"), Reason::DryRunBannedExact),
        ("banned prefix", udp("198.51.100.8"), Reason::DryRunBannedPrefix),
        ("allowed", udp("198.51.100.9"), Reason::AllowedBan),
        ("rate, first", udp("203.0.113.100"), Reason::Passed),
        ("rate, second", udp("203.0.113.100"), Reason::DryRunRateExceeded),
    ];
    (
        Setting {
            description: "dry run",
            bans: BANS,
            allowed: &["198.51.100.9"],
            change: |settings| {
                one_packet(settings);
                settings.dry_run = true;
            },
            ..PLAIN
        },
        rows,
    )
}

fn bypassed() -> (Setting, Vec<NamedRow>) {
    let rows = vec![
        ("banned", udp("203.0.113.7"), Reason::Bypassed),
        ("malformed", with(udp("203.0.113.7"), 14, 0x40), Reason::Bypassed),
    ];
    (Setting { description: "bypass", bans: BANS, bypassed: true, ..PLAIN }, rows)
}

fn silent() -> (Setting, Vec<NamedRow>) {
    let rows = vec![("banned", udp("203.0.113.7"), Reason::DaemonSilent)];
    (Setting { description: "the daemon silent", bans: BANS, silent: true, ..PLAIN }, rows)
}
