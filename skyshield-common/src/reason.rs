//! Why a packet got its verdict.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the host.
    Pass,
    /// It ends here.
    Drop,
    /// It ends here, and goes back as the answer to itself.
    Answer,
}

/// What a reason that drops has on top of the code of its other self, which passes.
const DROPPED: u32 = 64;
/// From this code on somebody is told: cookies, bans and rates that a dry run spared, and all that is dropped.
const TOLD: u32 = 47;

macro_rules! reasons {
    (
        always { $($(#[$doc:meta])* $name:ident = $index:literal, $label:literal;)* }
        either { $($(#[$seen_doc:meta])*
            $seen:ident = $seen_index:literal, $seen_label:literal, or $dropped:ident, $dropped_label:literal;)* }
    ) => {
        /// Why a packet got its verdict. The discriminant indexes [`STATS`](crate::maps::STATS), and
        /// every packet is counted under exactly one.
        ///
        /// What may drop has two reasons, one for each verdict: so the verdict is always the
        /// reason's, whatever is configured.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name = $index,)*
            $($(#[$seen_doc])* $seen = $seen_index,)*
            $(
                #[doc = concat!("[`Self::", stringify!($seen), "`], and dropped for it.")]
                $dropped = $seen_index + DROPPED,
            )*
        }

        impl Reason {
            /// Every reason, in the order of its discriminant.
            pub const ALL: [Self; reasons!(@count $($name)* $($seen)* $($dropped)*)] =
                [$(Self::$name,)* $(Self::$seen,)* $(Self::$dropped,)*];

            /// The reason's name in metrics, events and the API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                    $(Self::$seen => $seen_label,)*
                    $(Self::$dropped => $dropped_label,)*
                }
            }

            /// The reason in place of this one while nothing may be dropped.
            #[inline]
            #[must_use]
            pub const fn in_dry_run(self) -> Self {
                match self {
                    $(Self::$dropped => Self::$seen,)*
                    $(Self::$seen => Self::$seen,)*
                    $(Self::$name => Self::$name,)*
                }
            }

            /// The reason in place of this one where it is to drop; itself where it never does.
            #[inline]
            #[must_use]
            pub const fn dropped(self) -> Self {
                match self {
                    $(Self::$seen => Self::$dropped,)*
                    $(Self::$dropped => Self::$dropped,)*
                    $(Self::$name => Self::$name,)*
                }
            }
        }
    };
    (@count $($name:ident)*) => { [$(reasons!(@unit $name)),*].len() };
    (@unit $name:ident) => { () };
}

reasons! {
    always {
        /// Nothing spoke against it.
        Passed = 0, "passed";
        /// Neither IPv4 nor IPv6: ARP and the like are none of a source's business.
        NotIp = 1, "not_ip";
        /// The operator has switched the data plane off.
        Bypassed = 2, "bypassed";
        /// The daemon has been silent for too long, and is configured to be missed.
        DaemonSilent = 3, "daemon_silent";
        /// A map was not there. It cannot happen; if it does, nobody is locked out.
        Unexpected = 4, "unexpected";
        /// Every cell for the source's rate is another's, who is using it: it went unlimited.
        RateUntracked = 5, "rate_untracked";
        /// Banned, and saved by the allow list.
        AllowedBan = 6, "allowed_ban";
        /// Over its rate, and saved by the allow list.
        AllowedRate = 7, "allowed_rate";
        /// Malformed, impossible or of no connection, and saved by the allow list.
        AllowedOddity = 8, "allowed_oddity";
        /// A TCP SYN to a port that gets too many of them, answered with a cookie.
        SynAnswered = 9, "syn_answered";
        /// Nothing spoke against it, and an operator's rule has it tapped.
        Tapped = 10, "tapped";
    }
    either {
        /// Too short for an Ethernet header.
        TruncatedEthernet = 16, "truncated_ethernet", or TruncatedEthernetDropped, "truncated_ethernet_dropped";
        /// Cut short in a VLAN tag.
        TruncatedVlan = 17, "truncated_vlan", or TruncatedVlanDropped, "truncated_vlan_dropped";
        /// More than two VLAN tags, behind which nothing was read.
        TooManyVlans = 18, "too_many_vlans", or TooManyVlansDropped, "too_many_vlans_dropped";
        /// Too short for its IPv4 header, options included.
        TruncatedIpv4 = 19, "truncated_ipv4", or TruncatedIpv4Dropped, "truncated_ipv4_dropped";
        /// An IPv4 header of another version, or too small to be one.
        MalformedIpv4 = 20, "malformed_ipv4", or MalformedIpv4Dropped, "malformed_ipv4_dropped";
        /// An IPv4 packet shorter than its header or longer than its frame.
        Ipv4Length = 21, "ipv4_length", or Ipv4LengthDropped, "ipv4_length_dropped";
        /// A time to live, or a hop limit, of none: it should not have come this far.
        TtlZero = 22, "ttl_zero", or TtlZeroDropped, "ttl_zero_dropped";
        /// A fragment that no honest stack makes: empty, not of whole words, beyond the largest packet,
        /// or so small that it hides the header it begins with.
        MalformedFragment = 23, "malformed_fragment", or MalformedFragmentDropped, "malformed_fragment_dropped";
        /// Too short for its IPv6 header.
        TruncatedIpv6 = 24, "truncated_ipv6", or TruncatedIpv6Dropped, "truncated_ipv6_dropped";
        /// An IPv6 header of another version.
        MalformedIpv6 = 25, "malformed_ipv6", or MalformedIpv6Dropped, "malformed_ipv6_dropped";
        /// An IPv6 packet longer than its frame.
        Ipv6Length = 26, "ipv6_length", or Ipv6LengthDropped, "ipv6_length_dropped";
        /// Cut short in an IPv6 extension header.
        TruncatedExtension = 27, "truncated_extension", or TruncatedExtensionDropped, "truncated_extension_dropped";
        /// More than six IPv6 extension headers, behind which nothing was read.
        TooManyExtensions = 28, "too_many_extensions", or TooManyExtensionsDropped, "too_many_extensions_dropped";
        /// A source that nobody can have: loopback, multicast, broadcast, reserved, or none.
        MartianSource = 29, "martian_source", or MartianSourceDropped, "martian_source_dropped";
        /// Its source is its destination.
        Land = 30, "land", or LandDropped, "land_dropped";
        /// Too short for its TCP header.
        TruncatedTcp = 31, "truncated_tcp", or TruncatedTcpDropped, "truncated_tcp_dropped";
        /// A TCP header smaller than one can be, or longer than its packet.
        MalformedTcp = 32, "malformed_tcp", or MalformedTcpDropped, "malformed_tcp_dropped";
        /// TCP without a single flag.
        TcpNull = 33, "tcp_null", or TcpNullDropped, "tcp_null_dropped";
        /// TCP with FIN, PSH and URG at once.
        TcpXmas = 34, "tcp_xmas", or TcpXmasDropped, "tcp_xmas_dropped";
        /// TCP with SYN, and FIN or RST beside it.
        TcpSynFin = 35, "tcp_syn_fin", or TcpSynFinDropped, "tcp_syn_fin_dropped";
        /// Too short for its UDP header.
        TruncatedUdp = 36, "truncated_udp", or TruncatedUdpDropped, "truncated_udp_dropped";
        /// A UDP datagram shorter than its header or longer than its packet.
        MalformedUdp = 37, "malformed_udp", or MalformedUdpDropped, "malformed_udp_dropped";
        /// Too short for its ICMP header.
        TruncatedIcmp = 38, "truncated_icmp", or TruncatedIcmpDropped, "truncated_icmp_dropped";
        /// TCP to a port that gets too many SYNs, of no connection, and with no cookie that the host has given,
        /// but for the dry run.
        DryRunCookieRefused = 47, "dry_run_cookie_refused", or CookieRefused, "cookie_refused";
        /// Its address is banned, but for the dry run.
        DryRunBannedExact = 48, "dry_run_banned_exact", or BannedExact, "banned_exact";
        /// A prefix that holds its address is banned, but for the dry run.
        DryRunBannedPrefix = 49, "dry_run_banned_prefix", or BannedPrefix, "banned_prefix";
        /// The place that its address is of (a country, a provider) is banned, but for the dry run.
        DryRunBannedPlace = 50, "dry_run_banned_place", or BannedPlace, "banned_place";
        /// An operator's rule on ports and protocols drops it, but for the dry run.
        DryRunRuleDropped = 51, "dry_run_rule_dropped", or RuleDropped, "rule_dropped";
        /// Its source is over its packets per second, but for the dry run.
        DryRunRateExceeded = 52, "dry_run_rate_exceeded", or RateExceeded, "rate_exceeded";
        /// Its source is over its TCP SYNs per second, but for the dry run.
        DryRunSynRateExceeded = 53, "dry_run_syn_rate_exceeded", or SynRateExceeded, "syn_rate_exceeded";
        /// Its source is over its UDP packets per second, but for the dry run.
        DryRunUdpRateExceeded = 54, "dry_run_udp_rate_exceeded", or UdpRateExceeded, "udp_rate_exceeded";
        /// Its source is over its bytes per second, but for the dry run.
        DryRunByteRateExceeded = 55, "dry_run_byte_rate_exceeded", or ByteRateExceeded, "byte_rate_exceeded";
        /// Its source is over the flows that it may begin in a second, but for the dry run.
        DryRunFlowRateExceeded = 56, "dry_run_flow_rate_exceeded", or FlowRateExceeded, "flow_rate_exceeded";
        /// The network around its source is over its packets per second, but for the dry run.
        DryRunNetworkRateExceeded = 57, "dry_run_network_rate_exceeded", or NetworkRateExceeded, "network_rate_exceeded";
        /// The network around its source is over its TCP SYNs per second, but for the dry run.
        DryRunNetworkSynRateExceeded = 58, "dry_run_network_syn_rate_exceeded", or NetworkSynRateExceeded, "network_syn_rate_exceeded";
        /// The network around its source is over its UDP packets per second, but for the dry run.
        DryRunNetworkUdpRateExceeded = 59, "dry_run_network_udp_rate_exceeded", or NetworkUdpRateExceeded, "network_udp_rate_exceeded";
        /// The network around its source is over its bytes per second, but for the dry run.
        DryRunNetworkByteRateExceeded = 60, "dry_run_network_byte_rate_exceeded", or NetworkByteRateExceeded, "network_byte_rate_exceeded";
        /// The network around its source is over the flows that it may begin in a second, but for the dry run.
        DryRunNetworkFlowRateExceeded = 61, "dry_run_network_flow_rate_exceeded", or NetworkFlowRateExceeded, "network_flow_rate_exceeded";
        /// Its source is over the packets per second of the place that it is of, but for the dry run.
        DryRunPlaceRateExceeded = 62, "dry_run_place_rate_exceeded", or PlaceRateExceeded, "place_rate_exceeded";
        /// Its source is over the packets per second of an operator's rule, but for the dry run.
        DryRunRuleRateExceeded = 63, "dry_run_rule_rate_exceeded", or RuleRateExceeded, "rule_rate_exceeded";
    }
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

    /// What the reason does to its packet.
    #[inline]
    pub const fn verdict(self) -> Verdict {
        if self.drops() {
            Verdict::Drop
        } else if matches!(self, Self::SynAnswered) {
            Verdict::Answer
        } else {
            Verdict::Pass
        }
    }

    /// Whether its packet is dropped.
    #[inline]
    pub const fn drops(self) -> bool {
        self as u32 >= DROPPED
    }

    /// Whether events tell of it: it dropped, or is what a dry run alone kept from dropping.
    #[inline]
    pub const fn is_told(self) -> bool {
        self as u32 >= TOLD
    }

    /// Its bit among those of what passes; that of the reason that passes, where it drops.
    #[inline]
    pub const fn bit(self) -> u64 {
        1 << (self as u32 & (DROPPED - 1))
    }

    /// Whether it is about a packet that is malformed or impossible.
    #[inline]
    pub const fn is_oddity(self) -> bool {
        let code = self as u32 & (DROPPED - 1);
        code >= Self::TruncatedEthernet as u32 && code < TOLD
    }

    /// Whether it is about a ban of an address or of a prefix, which may be a list's.
    #[inline]
    pub const fn is_of_a_ban(self) -> bool {
        // The codes of one and the other, which follow one another.
        (self as u32 & (DROPPED - 1)).wrapping_sub(Self::DryRunBannedExact as u32) < 2
    }

    /// Whether it is about a rate.
    #[inline]
    pub const fn is_rate(self) -> bool {
        let code = self as u32 & (DROPPED - 1);
        code >= Self::DryRunRateExceeded as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_slot_and_name() {
        for pair in Reason::ALL.windows(2) {
            assert!(pair[0].index() < pair[1].index(), "{pair:?}");
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.index()), Some(reason));
            assert!((reason.index() as usize) < crate::counter::REASONS);
        }
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert_eq!(Reason::from_code(u32::MAX), None);
    }

    #[test]
    fn a_dry_run_drops_nothing() {
        for reason in Reason::ALL {
            assert!(!reason.in_dry_run().drops());
            assert_eq!(reason.in_dry_run() != reason, reason.verdict() == Verdict::Drop);
            if reason.verdict() == Verdict::Drop {
                assert_eq!(reason.in_dry_run().dropped(), reason);
                assert!(reason.is_told());
            }
        }
    }

    #[test]
    fn a_reason_is_of_one_kind() {
        assert!(Reason::Land.is_oddity() && Reason::TruncatedIcmpDropped.is_oddity());
        assert!(!Reason::BannedExact.is_oddity() && !Reason::BannedPrefix.is_rate());
        assert!(Reason::RateExceeded.is_rate() && Reason::DryRunRateExceeded.is_rate());
        let of_a_ban = Reason::ALL.into_iter().filter(|reason| reason.is_of_a_ban());
        assert!(of_a_ban.eq([
            Reason::DryRunBannedExact,
            Reason::DryRunBannedPrefix,
            Reason::BannedExact,
            Reason::BannedPrefix
        ]));
        let refused = Reason::CookieRefused;
        assert!(refused.is_told() && !refused.is_oddity() && !refused.is_rate() && !refused.is_of_a_ban());
        assert!(!Reason::RuleDropped.is_rate() && Reason::RuleRateExceeded.is_rate());
        assert!(!Reason::Passed.is_told() && !Reason::Land.is_told());
    }
}
