//! Whose request it is: the peer, or whom a trusted proxy names.

use std::net::IpAddr;

use ipnet::IpNet;

use super::field::{tokens, trim};
use crate::engine::client::Client;
use crate::engine::source::Source;
use crate::verdict::address_of;

/// Hops that are looked at at the most; a longer chain is not believed.
const MAX_HOPS: usize = 32;

/// The proxies whose word on client addresses is taken.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(super) fn new(sources: &[Source]) -> Self {
        Self(sources.iter().map(|source| source.as_prefix()).collect())
    }

    /// Whether `address`, in canonical form, is one of them.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|prefix| prefix.contains(&address))
    }

    /// The client behind `peer`, a trusted proxy, by the `X-Forwarded-For` lines in their order.
    ///
    /// Read from the right, where the trusted ones wrote, up to the first hop that is not trusted:
    /// what stands left of it is whatever the client typed. Where it cannot be read, it is the peer.
    pub(super) fn client_behind<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> Client {
        let mut client = Client { address: peer, by_proxy: false };
        for (at, hop) in lines.rev().flat_map(|line| line.rsplit(|&byte| byte == b',')).enumerate() {
            let Some(address) = address_of(trim(hop)).filter(|_| at < MAX_HOPS) else {
                return Client { address: peer, by_proxy: false };
            };
            client = Client { address, by_proxy: true };
            if !self.contain(address) {
                return client;
            }
        }
        client
    }
}

/// Whether a list of values is exactly one of `known`, as a trusted proxy would write it.
pub(super) fn is_one_of(value: &[u8], known: &[&[u8]]) -> bool {
    tokens(value).count() == 1 && known.iter().any(|known| value.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_hop_from_the_right_that_is_not_trusted() {
        let trusted: Vec<Source> =
            ["10.0.0.0/8", "2001:db8:f::/48"].iter().map(|text| text.parse().unwrap()).collect();
        let trusted = TrustedProxies::new(&trusted);
        let long = vec!["10.0.0.2"; MAX_HOPS].join(",");
        let too_long = format!("203.0.113.7,{long}");
        for (what, lines, address, by_proxy) in [
            ("no header", &[][..], "10.0.0.1", false),
            ("one hop", &["203.0.113.7"][..], "203.0.113.7", true),
            ("what the client typed is left of it", &["1.1.1.1, 203.0.113.7"], "203.0.113.7", true),
            ("trusted hops are passed", &["1.1.1.1, 203.0.113.7, 10.9.9.9 ,10.0.0.7"], "203.0.113.7", true),
            ("several lines are one list", &["1.1.1.1", "203.0.113.7", "10.0.0.7"], "203.0.113.7", true),
            ("all trusted: the first", &["10.0.0.5, 10.0.0.6"], "10.0.0.5", true),
            ("mapped address", &["::ffff:203.0.113.7"], "203.0.113.7", true),
            ("mapped trusted address", &["203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7", true),
            ("v6", &["2001:db8::7"], "2001:db8::7", true),
            ("v6 in brackets", &["[2001:db8::7]"], "2001:db8::7", true),
            ("with ports", &["[2001:db8::7]:80, 10.0.0.2:8080"], "2001:db8::7", true),
            ("malformed", &["nonsense"], "10.0.0.1", false),
            ("malformed left of the client matters to nobody", &["x, 203.0.113.7"], "203.0.113.7", true),
            ("malformed right of the client", &["203.0.113.7, x, 10.0.0.2"], "10.0.0.1", false),
            ("empty", &[""], "10.0.0.1", false),
            ("empty hop", &["203.0.113.7,"], "10.0.0.1", false),
            ("unknown", &["unknown"], "10.0.0.1", false),
            ("zone", &["fe80::1%eth0"], "10.0.0.1", false),
            ("octal", &["010.0.0.1"], "10.0.0.1", false),
            ("too many hops", &[too_long.as_str()], "10.0.0.1", false),
        ] {
            let client =
                trusted.client_behind("10.0.0.1".parse().unwrap(), lines.iter().map(|line| line.as_bytes()));
            assert_eq!((client.address.to_string().as_str(), client.by_proxy), (address, by_proxy), "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_client_is_never_a_trusted_hop_right_of_one_that_is_not(
            lines in proptest::collection::vec("[0-9a-f.:,x\\[\\] ]{0,40}", 0..4),
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
            let peer = "10.0.0.1".parse().unwrap();
            let last = [bytes.as_slice(), b",203.0.113.7, 10.0.0.2"].concat();
            let all = lines.iter().map(String::as_bytes).chain([last.as_slice()]);
            let lines: Vec<_> = all.collect();
            let client = trusted.client_behind(peer, lines.into_iter());
            proptest::prop_assert_eq!(client.address.to_string(), "203.0.113.7");
        }
    }
}
