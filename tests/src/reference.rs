//! A filter in plain Rust to hold the kernel's against: what `reason.rs` says, in the order of `ARCHITECTURE.md`.
//!
//! It is slow, and short enough to be read beside them. It has no line in common with `skyshield-ebpf`: what is in
//! force are vectors, searched from end to end, and each field is read where its RFC draws it.

mod banned;
mod carried;
mod frame;
mod internet;
mod rules;
mod spent;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use skyshield::dataplane::{Action, Rule, Settings, Shape};
use skyshield::engine::place::{PlaceAct, PlacePolicy};
use skyshield_common::{Limit, Reason};

use frame::Packet;
use internet::Class;
use spent::{Account, Load, Spent};

/// What is in force, and what its rates have counted.
#[derive(Debug)]
pub struct Reference {
    /// The time, on the clock of the bans.
    pub now: Duration,
    /// An operator has everything pass.
    pub is_bypassed: bool,
    /// The daemon has been silent for longer than it may.
    pub is_silent: bool,
    /// The operator's settings.
    pub settings: Settings,
    /// Bans, and until when they hold if not for good. The longest prefix there is bans an address.
    pub bans: Vec<(IpNet, Option<Duration>)>,
    /// What lists hold beside them.
    pub listed: Vec<IpNet>,
    /// Who is never dropped.
    pub allowed: Vec<IpNet>,
    /// What is decided of places. The longest prefix decides.
    pub places: Vec<(IpNet, PlacePolicy)>,
    /// Rules, of which the first that suits decides.
    pub rules: Vec<Rule>,
    /// Sources with a rate of their own: an IPv4 address, an IPv6 /64.
    pub shapes: Vec<(IpNet, Shape)>,
    spent: Spent,
}

/// What one question after the other comes to.
enum Said {
    /// Its packet is to be dropped for it; or, if its source is allowed, to pass for the other reason.
    Drop(Reason, Reason),
    /// It passes, and what has been said of it so far is this.
    Pass(Reason),
}

impl Reference {
    /// One with nothing else in force.
    pub fn new(settings: Settings) -> Self {
        Self {
            now: Duration::ZERO,
            is_bypassed: false,
            is_silent: false,
            settings,
            bans: Vec::new(),
            listed: Vec::new(),
            allowed: Vec::new(),
            places: Vec::new(),
            rules: Vec::new(),
            shapes: Vec::new(),
            spent: Spent::default(),
        }
    }

    /// The reason that `frame` is counted under.
    pub fn judge(&mut self, frame: &[u8]) -> Reason {
        if self.is_bypassed {
            return Reason::Bypassed;
        }
        if self.is_silent {
            return Reason::DaemonSilent;
        }
        let (source, said) = match frame::packet(frame) {
            Ok(packet) => (Some(packet.source), self.asked(&packet, frame.len())),
            Err(Reason::NotIp) => return Reason::NotIp,
            Err(oddity) => (None, self.odd(oddity)),
        };
        match said {
            Said::Drop(_, saved) if source.is_some_and(|source| is_in(&self.allowed, source)) => saved,
            Said::Drop(reason, _) if self.spares(reason) => reason.in_dry_run(),
            Said::Drop(reason, _) | Said::Pass(reason) => reason,
        }
    }

    /// Who sent `frame`, if it says so.
    pub fn source(frame: &[u8]) -> Option<IpAddr> {
        frame::packet(frame).ok().map(|packet| packet.source)
    }

    /// The questions in their order. What ends a packet keeps it from those behind, rates included.
    fn asked(&mut self, packet: &Packet<'_>, bytes: usize) -> Said {
        if let Some(reason) = self.banned(packet.source) {
            return Said::Drop(reason, Reason::AllowedBan);
        }
        let (mut said, place) = (Reason::Passed, self.place(packet.source).cloned());
        match &place {
            Some(PlacePolicy { act: PlaceAct::Ban, dry_run: false, .. }) => {
                return Said::Drop(Reason::BannedPlace, Reason::AllowedBan);
            }
            Some(PlacePolicy { act: PlaceAct::Ban, dry_run: true, .. }) => said = Reason::DryRunBannedPlace,
            Some(PlacePolicy { act: PlaceAct::Limit { .. }, .. }) | None => {}
        }
        let read = internet::read(packet);
        if let Err(oddity) = read {
            match self.odd(oddity) {
                Said::Pass(oddity) => said = oddity,
                drop @ Said::Drop(..) => return drop,
            }
        }
        match self.ruled(packet, said) {
            Said::Pass(reason) => said = reason,
            drop @ Said::Drop(..) => return drop,
        }
        // What is odd counts as a packet and its bytes, and as nothing else.
        let class = read.unwrap_or(Class::Other);
        let begins_flow = self.spent.begins_flow(packet, class);
        self.rated(packet, said, place.as_ref(), Load { class, begins_flow, bytes: bytes as u64 })
    }

    fn place(&self, source: IpAddr) -> Option<&PlacePolicy> {
        let around = self.places.iter().filter(|(net, _)| net.contains(&source));
        around.max_by_key(|(net, _)| net.prefix_len()).map(|(_, policy)| policy)
    }

    fn odd(&self, oddity: Reason) -> Said {
        let drops = if matches!(oddity, Reason::MartianSource | Reason::Land) {
            self.settings.drop_martians
        } else if matches!(oddity, Reason::TcpNull | Reason::TcpXmas | Reason::TcpSynFin) {
            self.settings.drop_bad_flags
        } else {
            self.settings.drop_malformed
        };
        if drops { Said::Drop(oddity.dropped(), Reason::AllowedOddity) } else { Said::Pass(oddity) }
    }

    /// What the first rule that suits makes of what was `said`.
    fn ruled(&mut self, packet: &Packet<'_>, said: Reason) -> Said {
        let told = internet::told(packet);
        let Some(at) = self.rules.iter().position(|rule| rules::suits(rule, packet.source, told)) else {
            return Said::Pass(said);
        };
        let rule = &self.rules[at];
        let (reason, saved) = match rule.action {
            Action::Tap if said == Reason::Passed && !rule.dry_run => return Said::Pass(Reason::Tapped),
            Action::Tap | Action::Pass => return Said::Pass(said),
            Action::Drop => (Reason::RuleDropped, Reason::AllowedBan),
            Action::Limit => {
                let most = spent::burst(rule.packets_per_sec, rule.burst);
                if !self.spent.is_over(Account::Rule(at, spent::source(packet.source)), 1, most) {
                    return Said::Pass(said);
                }
                (Reason::RuleRateExceeded, Reason::AllowedRate)
            }
        };
        if rule.dry_run { Said::Pass(reason.in_dry_run()) } else { Said::Drop(reason, saved) }
    }

    /// Counts the packet under each rate that it is of, and names the last that it is over. A place's rate is in the
    /// place of the common one of packets, and a source's own in the place of both.
    fn rated(&mut self, packet: &Packet<'_>, said: Reason, place: Option<&PlacePolicy>, load: Load) -> Said {
        let own = self.shapes.iter().find(|(net, _)| net.contains(&packet.source)).map(|(_, shape)| *shape);
        let mut last = None;
        for limit in Limit::ALL {
            let allowance = self.settings.limits[limit as usize];
            let (per_sec, burst, over, is_dry) = match (limit, own, place) {
                (Limit::Packets, Some(own), _) => {
                    (own.packets_per_sec.max(1), own.burst.max(1), Reason::RateExceeded, false)
                }
                (
                    Limit::Packets,
                    None,
                    Some(&PlacePolicy { act: PlaceAct::Limit { packets_per_sec, burst }, dry_run, .. }),
                ) => (packets_per_sec.max(1), burst.max(1), Reason::PlaceRateExceeded, dry_run),
                _ => (allowance.per_sec, allowance.burst, limit.exceeded(), false),
            };
            if per_sec == 0 {
                continue;
            }
            let cost = load.cost(limit);
            let account = Account::of(limit, packet.source);
            if cost > 0 && self.spent.is_over(account, cost, spent::burst(per_sec, burst)) {
                last = Some((over, is_dry));
            }
        }
        match last {
            Some((over, false)) => Said::Drop(over, Reason::AllowedRate),
            Some((over, true)) => Said::Pass(over.in_dry_run()),
            None => Said::Pass(said),
        }
    }

    fn spares(&self, reason: Reason) -> bool {
        self.settings.dry_run || self.settings.spared & reason.bit() != 0
    }
}

fn is_in(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}
