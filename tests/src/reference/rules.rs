//! Whether a rule suits a packet.

use std::net::IpAddr;

use skyshield::dataplane::{Ports, Rule};

use super::carried::{TCP, UDP};
use super::internet::Told;

/// What a rule leaves out suits every packet; a port that it names suits those that tell one.
pub(super) fn suits(rule: &Rule, source: IpAddr, (protocol, ports): Told) -> bool {
    let is_of = |wanted: Option<Ports>, port: Option<u16>| {
        let is_within = |wanted: Ports| port.is_some_and(|port| wanted.first <= port && port <= wanted.last);
        wanted.is_none_or(is_within)
    };
    let has_ports = protocol == TCP || protocol == UDP;
    rule.protocol.is_none_or(|wanted| wanted.0 == protocol)
        && (has_ports || rule.port.is_none() && rule.from_port.is_none())
        && is_of(rule.from_port, ports.map(|(from, _)| from))
        && is_of(rule.port, ports.map(|(_, to)| to))
        && rule.from.is_none_or(|from| from.as_prefix().contains(&source))
}
