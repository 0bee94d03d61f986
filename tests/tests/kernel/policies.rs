//! Rows of what operators decide beside bans: places, rules on ports and protocols.

use skyshield::dataplane::Settings;
use skyshield_common::{Limit, Reason};
use tests::packet::{self, TCP, UDP, ip, tcp_head, udp_head};

use crate::odd::row;
use crate::table::{Fate, PLAIN, Row, Setting, address};

/// Rows of places, of rules, and of reasons that alone are spared.
pub(crate) fn all() -> Vec<(Setting, Vec<Row>)> {
    vec![places(false), places(true), rules(false), rules(true), spared(), flows(false), flows(true)]
}

fn udp(text: &str) -> Vec<u8> {
    packet::udp(address(text))
}

/// The reason in its place in a dry run.
fn dry(reason: Reason, is_dry: bool) -> Reason {
    if is_dry { reason.in_dry_run() } else { reason }
}

fn dry_run(settings: &mut Settings) {
    settings.dry_run = true;
}

const PLACES: &[(&str, Fate)] = &[
    ("11.0.0.0/8", Fate::Banned),
    ("11.7.0.0/16", Fate::Limited),
    ("11.7.9.0/24", Fate::Watched),
    ("11.8.0.0/16", Fate::LimitWatched),
    ("2a00:100::/29", Fate::Banned),
    ("2a00:101::/32", Fate::Limited),
];

fn places(is_dry: bool) -> (Setting, Vec<Row>) {
    let over = dry(Reason::PlaceRateExceeded, is_dry);
    let rows = vec![
        row("a banned place", udp("11.0.0.1"), dry(Reason::BannedPlace, is_dry)),
        row("its last address", udp("11.255.255.255"), dry(Reason::BannedPlace, is_dry)),
        row("beside it", udp("12.0.0.0"), Reason::Passed),
        row("allowed in it", udp("11.1.0.1"), Reason::AllowedBan),
        row("a place in it that is watched", udp("11.7.9.1"), Reason::DryRunBannedPlace),
        row("a limited place, first", udp("11.7.0.1"), Reason::Passed),
        row("a limited place, second", udp("11.7.0.1"), over),
        row("another source there", udp("11.7.0.2"), Reason::Passed),
        row("a place whose limit is watched, first", udp("11.8.0.1"), Reason::Passed),
        row("a place whose limit is watched, second", udp("11.8.0.1"), Reason::DryRunPlaceRateExceeded),
        row("a banned IPv6 place", udp("2a00:100::1"), dry(Reason::BannedPlace, is_dry)),
        row("beside it", udp("2a00:108::1"), Reason::Passed),
        row("a limited IPv6 place, first", udp("2a00:101::1"), Reason::Passed),
        row("a limited IPv6 place, second", udp("2a00:101::2"), over),
    ];
    let description = if is_dry { "places in a dry run" } else { "places" };
    let change = if is_dry { dry_run } else { |_: &mut Settings| {} };
    (Setting { description, places: PLACES, allowed: &["11.1.0.0/16"], change, ..PLAIN }, rows)
}

const RULES: &str = r#"
[[rules]]
name = "office"
from = "203.0.113.0/28"
action = "pass"
[[rules]]
name = "reflected"
protocol = "udp"
from_port = "100-200"
action = "drop"
[[rules]]
name = "telnet"
protocol = "tcp"
port = 23
action = "drop"
[[rules]]
name = "gre"
protocol = "gre"
action = "drop"
dry_run = true
[[rules]]
name = "dns"
protocol = "udp"
port = 53
action = "limit"
packets_per_sec = 1
burst = 1
[[rules]]
name = "web"
port = 443
action = "tap"
[[rules]]
name = "slow"
port = "8000-8100"
action = "limit"
packets_per_sec = 1
burst = 1
dry_run = true
[[rules]]
name = "net"
from = "2001:db8:5::/48"
action = "drop"
"#;

fn with_ports(text: &str, protocol: u8, from: u16, to: u16) -> Vec<u8> {
    let mut head = if protocol == TCP { tcp_head(5, 0x10) } else { udp_head(8) };
    head[..2].copy_from_slice(&from.to_be_bytes());
    head[2..4].copy_from_slice(&to.to_be_bytes());
    ip(address(text), protocol, &head)
}

fn rules(is_dry: bool) -> (Setting, Vec<Row>) {
    let (drop, over) = (dry(Reason::RuleDropped, is_dry), dry(Reason::RuleRateExceeded, is_dry));
    let mut fragment = with_ports("203.0.113.77", UDP, 123, 9);
    fragment[21] = 9;
    let mut optional = with_ports("203.0.113.77", TCP, 9, 23);
    optional.splice(34..34, [1; 4]);
    optional[14] = 0x46;
    optional[17] += 4;
    let behind =
        [vec![6, 0, 0, 0, 0, 0, 0, 0], with_ports("203.0.113.1", TCP, 9, 23)[34..].to_vec()].concat();
    let rows = vec![
        row("the office, whatever it sends", with_ports("203.0.113.1", UDP, 123, 9), Reason::Passed),
        row("reflected", with_ports("203.0.113.77", UDP, 123, 9), drop),
        row("reflected, first of the ports", with_ports("203.0.113.77", UDP, 100, 9), drop),
        row("reflected, last of the ports", with_ports("203.0.113.77", UDP, 200, 9), drop),
        row("before the ports", with_ports("203.0.113.77", UDP, 99, 9), Reason::Passed),
        row("behind the ports", with_ports("203.0.113.77", UDP, 201, 9), Reason::Passed),
        row("the same of TCP", with_ports("203.0.113.77", TCP, 123, 9), Reason::Passed),
        row("reflected over IPv6", with_ports("2001:db8:1::7", UDP, 123, 9), drop),
        row("reflected, and allowed", with_ports("198.51.100.7", UDP, 123, 9), Reason::AllowedBan),
        row("a later fragment tells no ports", fragment, Reason::Passed),
        row("telnet", with_ports("203.0.113.77", TCP, 9, 23), drop),
        row("telnet behind options", optional, drop),
        row("telnet behind an extension header", ip(address("2001:db8:1::7"), 60, &behind), drop),
        row("telnet of UDP", with_ports("203.0.113.77", UDP, 9, 23), Reason::Passed),
        row("GRE, which is watched", ip(address("203.0.113.77"), 47, &[0; 8]), Reason::DryRunRuleDropped),
        row("DNS, first", with_ports("203.0.113.78", UDP, 9, 53), Reason::Passed),
        row("DNS, second", with_ports("203.0.113.78", UDP, 9, 53), over),
        row("DNS of another", with_ports("203.0.113.79", UDP, 9, 53), Reason::Passed),
        row("DNS, allowed, first", with_ports("198.51.100.7", UDP, 9, 53), Reason::Passed),
        row("DNS, allowed, second", with_ports("198.51.100.7", UDP, 9, 53), Reason::AllowedRate),
        row("the web, tapped", with_ports("203.0.113.78", TCP, 9, 443), Reason::Tapped),
        row("a watched limit, first", with_ports("203.0.113.78", TCP, 9, 8_000), Reason::Passed),
        row(
            "a watched limit, second",
            with_ports("203.0.113.78", TCP, 9, 8_100),
            Reason::DryRunRuleRateExceeded,
        ),
        row("a network, whatever it sends", with_ports("2001:db8:5:1::7", UDP, 9, 9), drop),
        row("beside that network", with_ports("2001:db8:6::7", UDP, 9, 9), Reason::Passed),
        row("ARP", packet::ethernet(0x0806, &[0; 28]), Reason::NotIp),
    ];
    let description = if is_dry { "rules in a dry run" } else { "rules" };
    let change = if is_dry { dry_run } else { |_: &mut Settings| {} };
    (Setting { description, rules: RULES, allowed: &["198.51.100.0/24"], change, ..PLAIN }, rows)
}

/// A dry run for one reason alone.
fn spared() -> (Setting, Vec<Row>) {
    let change = |settings: &mut Settings| {
        settings.limit(Limit::Packets).per_sec = 1;
        settings.limit(Limit::Packets).burst = 1;
        settings.spared = Reason::RateExceeded.bit();
    };
    let rows = vec![
        row("a rate, first", udp("203.0.113.8"), Reason::Passed),
        row("a rate, second", udp("203.0.113.8"), Reason::DryRunRateExceeded),
        row("a ban", udp("203.0.113.7"), Reason::BannedExact),
    ];
    (Setting { description: "one reason spared", bans: &["203.0.113.7"], change, ..PLAIN }, rows)
}

fn flows(is_dry: bool) -> (Setting, Vec<Row>) {
    let change = if is_dry {
        |settings: &mut Settings| {
            settings.limit(Limit::Flows).per_sec = 1;
            settings.dry_run = true;
        }
    } else {
        |settings: &mut Settings| settings.limit(Limit::Flows).per_sec = 1
    };
    let over = dry(Reason::FlowRateExceeded, is_dry);
    let mut rows = Vec::new();
    for source in ["203.0.113.7", "2001:db8:1::7"] {
        for (name, from, reason) in [
            ("first flow", 1, Reason::Passed),
            ("the same flow", 1, Reason::Passed),
            ("second flow", 2, Reason::Passed),
            ("third flow", 3, over),
            ("the first again", 1, Reason::Passed),
        ] {
            rows.push(row(format!("{source}, {name}"), with_ports(source, UDP, from, 53), reason));
        }
        rows.push(row(format!("{source}, a SYN"), packet::syn(address(source)), over));
        let data = with_ports(source, TCP, 9, 443);
        rows.push(row(format!("{source}, what is no SYN"), data, Reason::Passed));
    }
    let description = if is_dry { "a rate of flows in a dry run" } else { "a rate of flows" };
    (Setting { description, change, ..PLAIN }, rows)
}
