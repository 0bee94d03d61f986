//! Rows of rates that are not counted in packets of one source.

use std::net::IpAddr;

use skyshield::dataplane::{Allowance, Settings};
use skyshield_common::{Limit, Reason};
use tests::packet;

use crate::odd::row;
use crate::table::{PLAIN, Row, Setting, address};

/// A KiB a second, and twice as much at once.
const KIBIBYTE: Allowance = Allowance { per_sec: 1 << 10, burst: 2 << 10 };

/// Rates of the network around a source, and of its bytes.
pub(crate) fn all() -> Vec<(Setting, Vec<Row>)> {
    let network = |settings: &mut Settings| settings.limit(Limit::NetworkPackets).per_sec = 1;
    let bytes = |settings: &mut Settings| *settings.limit(Limit::Bytes) = KIBIBYTE;
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
        settings.limit(Limit::NetworkPackets).per_sec = 1;
        settings.dry_run = true;
    };
    let dry_bytes = |settings: &mut Settings| {
        *settings.limit(Limit::Bytes) = KIBIBYTE;
        settings.dry_run = true;
    };
    let with = |description, change| Setting { description, change, ..PLAIN };
    let mut all = vec![
        (with("a rate of networks", network), rows(Reason::NetworkRateExceeded)),
        (with("a rate of networks in a dry run", dry), rows(Reason::DryRunNetworkRateExceeded)),
        (with("a rate of bytes", bytes), heavy(Reason::ByteRateExceeded)),
        (with("a rate of bytes in a dry run", dry_bytes), heavy(Reason::DryRunByteRateExceeded)),
    ];
    all.extend(by_class());
    all
}

/// Rates of the network around a source, by what it sends.
fn by_class() -> Vec<(Setting, Vec<Row>)> {
    type Change = fn(&mut Settings);
    type Class = ([&'static str; 2], Limit, fn(IpAddr) -> Vec<u8>, [Change; 2]);
    let classes: [Class; 4] = [
        (
            ["network SYNs", "network SYNs in a dry run"],
            Limit::NetworkSyns,
            packet::syn,
            [|to| one(to, Limit::NetworkSyns), |to| dry(to, Limit::NetworkSyns)],
        ),
        (
            ["network UDP", "network UDP in a dry run"],
            Limit::NetworkUdp,
            packet::udp,
            [|to| one(to, Limit::NetworkUdp), |to| dry(to, Limit::NetworkUdp)],
        ),
        (
            ["network bytes", "network bytes in a dry run"],
            Limit::NetworkBytes,
            |source| packet::ip(source, 47, &[0; 966]),
            [|to| one(to, Limit::NetworkBytes), |to| dry(to, Limit::NetworkBytes)],
        ),
        (
            ["network flows", "network flows in a dry run"],
            Limit::NetworkFlows,
            packet::syn,
            [|to| one(to, Limit::NetworkFlows), |to| dry(to, Limit::NetworkFlows)],
        ),
    ];
    let mut all = Vec::new();
    for (names, limit, frame, changes) in classes {
        let reasons = [limit.exceeded(), limit.exceeded().in_dry_run()];
        for ((description, change), over) in names.into_iter().zip(changes).zip(reasons) {
            let mut rows = Vec::new();
            for sources in [
                ["203.0.113.1", "203.0.113.2", "203.0.113.3"],
                ["2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"],
            ] {
                for (source, reason) in sources.into_iter().zip([Reason::Passed, Reason::Passed, over]) {
                    rows.push(row(format!("from {source}"), frame(address(source)), reason));
                }
            }
            all.push((Setting { description, change, ..PLAIN }, rows));
        }
    }
    all
}

/// One a second, and two at once; of bytes a thousand.
fn one(settings: &mut Settings, limit: Limit) {
    let of_others = Allowance { per_sec: 1, burst: 0 };
    *settings.limit(limit) = if limit == Limit::NetworkBytes { KIBIBYTE } else { of_others };
}

/// The same, in a dry run.
fn dry(settings: &mut Settings, limit: Limit) {
    one(settings, limit);
    settings.dry_run = true;
}
