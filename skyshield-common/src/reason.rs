//! Why a packet got its verdict.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the host.
    Pass,
    /// It ends here.
    Drop,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $index:literal, $label:literal, $verdict:ident;)*) => {
        /// Why a packet got its verdict. The discriminant indexes [`STATS`](crate::maps::STATS), and
        /// every packet is counted under exactly one.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name = $index,)*
        }

        impl Reason {
            /// Every reason, in the order of its discriminant.
            pub const ALL: [Self; reasons!(@count $($name)*)] = [$(Self::$name),*];

            /// The reason's name in metrics, events and the API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// What the reason does to its packet.
            #[inline]
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$name => Verdict::$verdict,)*
                }
            }
        }
    };
    (@count $($name:ident)*) => { [$(reasons!(@unit $name)),*].len() };
    (@unit $name:ident) => { () };
}

reasons! {
    /// Nothing spoke against it.
    Passed = 0, "passed", Pass;
    /// Neither IPv4 nor IPv6: ARP and the like are none of a source's business.
    NotIp = 1, "not_ip", Pass;
    /// A VLAN tag, behind which nothing was read.
    VlanTagged = 2, "vlan_tagged", Pass;
    /// Too short for an Ethernet header.
    TruncatedEthernet = 3, "truncated_ethernet", Pass;
    /// Too short for its IPv4 header. The host's own stack refuses it, as all that is malformed.
    TruncatedIpv4 = 4, "truncated_ipv4", Pass;
    /// An IPv4 header that contradicts itself.
    MalformedIpv4 = 5, "malformed_ipv4", Pass;
    /// Too short for its IPv6 header.
    TruncatedIpv6 = 6, "truncated_ipv6", Pass;
    /// An IPv6 header of another version.
    MalformedIpv6 = 7, "malformed_ipv6", Pass;
    /// The operator has switched the data plane off.
    Bypassed = 8, "bypassed", Pass;
    /// The daemon has been silent for too long, and is configured to be missed.
    DaemonSilent = 9, "daemon_silent", Pass;
    /// A map was not there. It cannot happen; if it does, nobody is locked out.
    Unexpected = 10, "unexpected", Pass;
    /// The rate table took no entry for the source, which went unlimited.
    RateUntracked = 11, "rate_untracked", Pass;
    /// Banned, and saved by the allow list.
    AllowedBan = 12, "allowed_ban", Pass;
    /// Over its rate, and saved by the allow list.
    AllowedRate = 13, "allowed_rate", Pass;
    /// Its address is banned.
    BannedExact = 14, "banned_exact", Drop;
    /// A prefix that holds its address is banned.
    BannedPrefix = 15, "banned_prefix", Drop;
    /// Its source is over the rate.
    RateExceeded = 16, "rate_exceeded", Drop;
    /// [`Self::BannedExact`] but for the dry run.
    DryRunBannedExact = 17, "dry_run_banned_exact", Pass;
    /// [`Self::BannedPrefix`] but for the dry run.
    DryRunBannedPrefix = 18, "dry_run_banned_prefix", Pass;
    /// [`Self::RateExceeded`] but for the dry run.
    DryRunRateExceeded = 19, "dry_run_rate_exceeded", Pass;
}

impl Reason {
    /// The reason with this discriminant.
    pub const fn from_code(code: u32) -> Option<Self> {
        let mut at = 0;
        while at < Self::ALL.len() {
            if Self::ALL[at] as u32 == code {
                return Some(Self::ALL[at]);
            }
            at += 1;
        }
        None
    }

    /// The slot of the reason's counter.
    #[inline]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The reason in place of this one while nothing may be dropped.
    #[inline]
    #[must_use]
    pub const fn in_dry_run(self) -> Self {
        match self {
            Self::BannedExact => Self::DryRunBannedExact,
            Self::BannedPrefix => Self::DryRunBannedPrefix,
            Self::RateExceeded => Self::DryRunRateExceeded,
            Self::Passed
            | Self::NotIp
            | Self::VlanTagged
            | Self::TruncatedEthernet
            | Self::TruncatedIpv4
            | Self::MalformedIpv4
            | Self::TruncatedIpv6
            | Self::MalformedIpv6
            | Self::Bypassed
            | Self::DaemonSilent
            | Self::Unexpected
            | Self::RateUntracked
            | Self::AllowedBan
            | Self::AllowedRate
            | Self::DryRunBannedExact
            | Self::DryRunBannedPrefix
            | Self::DryRunRateExceeded => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::maps;

    #[test]
    fn every_reason_has_its_own_slot_and_name() {
        for (slot, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index() as usize, slot);
            assert_eq!(Reason::from_code(reason.index()), Some(reason));
        }
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.len() <= maps::STATS_SLOTS as usize);
        assert_eq!(Reason::from_code(u32::MAX), None);
    }

    #[test]
    fn a_dry_run_drops_nothing() {
        for reason in Reason::ALL {
            assert_eq!(reason.in_dry_run().verdict(), Verdict::Pass);
            assert_eq!(reason.in_dry_run() == reason, reason.verdict() == Verdict::Pass);
        }
    }
}
