//! What is in force, drawn by lot, and put into the kernel and into the reference.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use skyshield::dataplane::{Action, Allowance, Config, Kernel, List, Ports, Protocol, Rule, Settings, Shape};
use skyshield::engine::place::{PlaceAct, PlacePolicy, Places};
use skyshield::engine::source::Source;
use skyshield_common::{Limit, Reason};
use tests::reference::Reference;

use crate::bench::entry;
use crate::prefixes::Numbers;

/// Ports that rules name, and others.
pub(crate) const PORTS: [u16; 8] = [0, 22, 53, 123, 443, 8_000, 8_100, 65_535];

/// Longer than a test.
const BYPASS: Duration = Duration::from_hours(1);

/// A small space of sources, so that they meet what is in force; each has its own, where nobody has spent anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Realm(pub(crate) u8);

impl Realm {
    /// Any address of it: of 256 in four IPv4 /24, or of 256 in 16 IPv6 /64 in four /48.
    pub(crate) fn address(self, numbers: &mut Numbers) -> IpAddr {
        let (network, host) = (numbers.below(4), numbers.below(64));
        if numbers.below(2) == 0 {
            Ipv4Addr::new(10, self.0, network, host * 4).into()
        } else {
            let (network, host) = (u16::from(network), u16::from(host));
            Ipv6Addr::new(0xfd00, self.0.into(), network, host / 16, 0, 0, 0, host % 16).into()
        }
    }

    /// One of a few.
    pub(crate) fn regular(self, numbers: &mut Numbers) -> IpAddr {
        match u16::from(numbers.below(8)) {
            host @ 0..4 => Ipv4Addr::new(10, self.0, 0, host.to_be_bytes()[1]).into(),
            host => Ipv6Addr::new(0xfd00, self.0.into(), 0, 0, 0, 0, 0, host).into(),
        }
    }

    pub(crate) fn holds(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.octets()[..2] == [10, self.0],
            IpAddr::V6(v6) => v6.segments()[..2] == [0xfd00, self.0.into()],
        }
    }

    /// Whether a realm that is not this one may hold it.
    pub(crate) fn is_anothers(self, address: IpAddr) -> bool {
        let is_some_realms = match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.segments()[0] == 0xfd00,
        };
        is_some_realms && !self.holds(address)
    }

    /// An address, or a prefix around it that holds a part of the realm.
    fn net(self, numbers: &mut Numbers) -> IpNet {
        const V4: [u8; 16] = [23, 24, 24, 25, 25, 26, 26, 27, 27, 28, 28, 29, 29, 30, 30, 31];
        const V6: [u8; 16] = [47, 48, 56, 63, 63, 64, 64, 64, 80, 96, 120, 124, 125, 125, 126, 127];
        let address = if numbers.below(4) == 0 { self.regular(numbers) } else { self.address(numbers) };
        if numbers.below(3) == 0 {
            return address.into();
        }
        let at = usize::from(numbers.below(16));
        let len = if address.is_ipv4() { V4[at] } else { V6[at] };
        IpNet::new(address, len).unwrap_or(address.into()).trunc()
    }

    fn nets(self, numbers: &mut Numbers, below: u64) -> Vec<IpNet> {
        (0..numbers.below(below)).map(|_| self.net(numbers)).collect()
    }
}

/// What is in force in a realm.
pub(crate) struct Drawn {
    pub(crate) reference: Reference,
    /// Rates are so low that they are met: one a second, three at once at the most.
    pub(crate) is_rated: bool,
    realm: Realm,
    places: Places,
}

impl Drawn {
    pub(crate) fn by(numbers: &mut Numbers, realm: Realm, config: &Config) -> anyhow::Result<Self> {
        let is_rated = numbers.below(3) == 0;
        let mut reference = Reference::new(settings(numbers, config, is_rated));
        reference.now = Duration::from_secs(1);
        reference.is_bypassed = numbers.below(24) == 0;
        for net in realm.nets(numbers, 16) {
            let until = (numbers.below(4) == 0).then_some(Duration::ZERO);
            ban(&mut reference, net, until);
        }
        reference.listed = if numbers.below(2) == 0 { realm.nets(numbers, 12) } else { Vec::new() };
        reference.allowed = if numbers.below(2) == 0 { realm.nets(numbers, 8) } else { Vec::new() };
        let places = places(numbers, realm, is_rated);
        for (net, policy) in &places.prefixes {
            reference.places.push((*net, places.policies[usize::from(*policy)].clone()));
        }
        if numbers.below(3) > 0 {
            reference.rules = (0..numbers.below(6)).map(|at| rule(numbers, realm, at, is_rated)).collect();
        }
        if is_rated && numbers.below(2) == 0 {
            let shape = Shape { packets_per_sec: 1, burst: 1 + u64::from(numbers.below(3)) };
            let address = realm.regular(numbers);
            let net = IpNet::new(address, if address.is_ipv4() { 32 } else { 64 })?.trunc();
            reference.shapes.push((net, shape));
        }
        Ok(Self { reference, is_rated, realm, places })
    }

    /// Puts it into the kernel.
    pub(crate) fn enforce(&self, kernel: &mut Kernel) -> anyhow::Result<()> {
        for (net, until) in &self.reference.bans {
            kernel.enforcer.install(Source::prefix(*net), entry(1, *until))?;
        }
        kernel.enforcer.load_list(&List::of(&self.reference.listed))?;
        let allowed: Vec<_> = self.reference.allowed.iter().map(|net| Source::prefix(*net)).collect();
        kernel.enforcer.set_allowed(&allowed)?;
        kernel.enforcer.set_places(&self.places)?;
        kernel.enforcer.set_rules(&self.reference.rules)?;
        for (net, shape) in &self.reference.shapes {
            kernel.enforcer.shape(net.addr(), Some(*shape))?;
        }
        kernel.enforcer.set_settings(self.reference.settings)?;
        kernel.enforcer.bypass(self.reference.is_bypassed.then_some(BYPASS))?;
        Ok(())
    }

    /// A ban more, or one less.
    pub(crate) fn change(&mut self, kernel: &mut Kernel, numbers: &mut Numbers) -> anyhow::Result<()> {
        let bans = &mut self.reference.bans;
        if !bans.is_empty() && numbers.below(2) == 0 {
            let (net, _) = bans.swap_remove(usize::from(numbers.below(bans.len() as u64)));
            kernel.enforcer.remove(Source::prefix(net))?;
        } else {
            let net = self.realm.net(numbers);
            ban(&mut self.reference, net, None);
            kernel.enforcer.install(Source::prefix(net), entry(2, None))?;
        }
        Ok(())
    }

    /// Takes bans and own rates out of the kernel again; the rest is replaced by what is drawn next.
    pub(crate) fn lift(&self, kernel: &mut Kernel) -> anyhow::Result<()> {
        for (net, _) in &self.reference.bans {
            kernel.enforcer.remove(Source::prefix(*net))?;
        }
        for (net, _) in &self.reference.shapes {
            kernel.enforcer.shape(net.addr(), None)?;
        }
        Ok(())
    }
}

/// In place of an earlier ban of the same.
fn ban(reference: &mut Reference, net: IpNet, until: Option<Duration>) {
    reference.bans.retain(|(banned, _)| *banned != net);
    reference.bans.push((net, until));
}

/// One a second and a few at once, where rates are to be met; else more than anybody sends.
fn allowance(numbers: &mut Numbers, is_rated: bool) -> Allowance {
    if is_rated {
        Allowance { per_sec: 1, burst: 1 + u64::from(numbers.below(3)) }
    } else {
        Allowance { per_sec: 10_000, burst: 20_000 }
    }
}

/// Without rates of bytes and of flows: a part of a second gives some bytes back, and flows are forgotten where there
/// is no room for more.
fn settings(numbers: &mut Numbers, config: &Config, is_rated: bool) -> Settings {
    let mut settings = config.settings();
    settings.drop_malformed = numbers.below(2) == 0;
    settings.drop_martians = numbers.below(2) == 0;
    settings.drop_bad_flags = numbers.below(2) == 0;
    settings.dry_run = numbers.below(6) == 0;
    if numbers.below(4) == 0 {
        let some = |numbers: &mut Numbers| Reason::ALL[usize::from(numbers.below(Reason::ALL.len() as u64))];
        let spared = (0..12).map(|_| some(numbers)).filter(|reason| reason.drops());
        settings.spared = spared.fold(0, |bits, reason| bits | reason.bit());
    }
    let packets = allowance(numbers, is_rated);
    if numbers.below(2) == 0 {
        *settings.limit(Limit::Packets) = packets;
    }
    let further = [Limit::Syns, Limit::Udp, Limit::NetworkPackets, Limit::NetworkSyns, Limit::NetworkUdp];
    for limit in further.into_iter().filter(|_| is_rated) {
        if numbers.below(3) == 0 {
            *settings.limit(limit) = allowance(numbers, is_rated);
        }
    }
    settings
}

fn places(numbers: &mut Numbers, realm: Realm, is_rated: bool) -> Places {
    if numbers.below(2) == 0 {
        return Places::default();
    }
    let mut policies = Vec::new();
    for act in [false, true] {
        for dry_run in [false, true] {
            let Allowance { per_sec, burst } = allowance(numbers, is_rated);
            let limit = PlaceAct::Limit { packets_per_sec: per_sec, burst };
            let act = if act { PlaceAct::Ban } else { limit };
            policies.push(PlacePolicy { name: format!("{act:?}, dry: {dry_run}"), act, dry_run });
        }
    }
    let mut prefixes = Vec::new();
    for net in realm.nets(numbers, 12) {
        prefixes.retain(|(other, _)| *other != net);
        prefixes.push((net, numbers.below(4)));
    }
    Places { policies, prefixes }
}

fn rule(numbers: &mut Numbers, realm: Realm, at: u8, is_rated: bool) -> Rule {
    let protocol = match numbers.below(8) {
        0..2 => Some(Protocol(6)),
        2..4 => Some(Protocol(17)),
        4 => Some(Protocol([1, 58, 47, 44][usize::from(numbers.below(4))])),
        _ => None,
    };
    let has_ports = protocol.is_none_or(|protocol| [6, 17].contains(&protocol.0));
    let ports = |numbers: &mut Numbers| {
        let [one, other] = [(); 2].map(|()| PORTS[usize::from(numbers.below(PORTS.len() as u64))]);
        let is_asked = has_ports && numbers.below(3) == 0;
        is_asked.then_some(Ports { first: one.min(other), last: one.max(other) })
    };
    let (port, from_port) = (ports(numbers), ports(numbers));
    let from = (numbers.below(2) == 0).then(|| Source::prefix(realm.net(numbers)));
    let action = [Action::Drop, Action::Limit, Action::Tap, Action::Pass][usize::from(numbers.below(4))];
    let Allowance { per_sec, burst } = allowance(numbers, is_rated);
    let is_limit = action == Action::Limit;
    Rule {
        name: format!("rule {at}"),
        protocol,
        port,
        from_port,
        from,
        action,
        packets_per_sec: if is_limit { per_sec } else { 0 },
        burst: if is_limit { burst } else { 0 },
        dry_run: numbers.below(4) == 0,
    }
}
