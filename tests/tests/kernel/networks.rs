//! Rows of rates that are not counted in packets of one source.

use skyshield::dataplane::Settings;
use skyshield_common::Reason;
use tests::packet;

use crate::odd::row;
use crate::table::{PLAIN, Row, Setting, address};

/// Rates of the network around a source, and of its bytes.
pub(crate) fn all() -> [(Setting, Vec<Row>); 4] {
    let network = |settings: &mut Settings| settings.network_packets_per_sec = 1;
    let bytes = |settings: &mut Settings| settings.bytes_per_sec = 1_024;
    let rows = |over: Reason| {
        let mut rows = Vec::new();
        for (kind, sources) in [
            ("IPv4", ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.114.1"]),
            ("IPv6", ["2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"]),
        ] {
            for (at, source) in sources.into_iter().enumerate() {
                let reason = if at == 2 { over } else { Reason::Passed };
                rows.push(row(
                    format!("{kind} packet {at} of a network"),
                    packet::udp(address(source)),
                    reason,
                ));
            }
        }
        rows
    };
    let heavy = |over: Reason| {
        let frame = packet::ip(address("203.0.113.7"), 47, &[0; 966]);
        [Reason::Passed, Reason::Passed, over]
            .into_iter()
            .map(|reason| row("a thousand bytes more", frame.clone(), reason))
            .collect()
    };
    let dry = |settings: &mut Settings| {
        settings.network_packets_per_sec = 1;
        settings.dry_run = true;
    };
    let dry_bytes = |settings: &mut Settings| {
        settings.bytes_per_sec = 1_024;
        settings.dry_run = true;
    };
    let with = |description, change| Setting { description, change, ..PLAIN };
    [
        (with("a rate of networks", network), rows(Reason::NetworkRateExceeded)),
        (with("a rate of networks in a dry run", dry), rows(Reason::DryRunNetworkRateExceeded)),
        (with("a rate of bytes", bytes), heavy(Reason::ByteRateExceeded)),
        (with("a rate of bytes in a dry run", dry_bytes), heavy(Reason::DryRunByteRateExceeded)),
    ]
}
