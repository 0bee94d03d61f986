//! The tables that say where bans are near.

use std::path::Path;

use ipnet::{IpNet, Ipv6Net};
use skyshield_common::host::Hash;
use skyshield_common::near::{self, Depth};
use skyshield_common::{Address, maps as names};

use super::error::Error;
use super::shared::Shared;

/// Where bans are near. Bits are set when something comes and stay when it goes, until all of them
/// are computed anew.
pub(super) struct Near {
    /// `None` where the roster says it.
    hosts_v4: Option<Shared>,
    v4: Shared,
    v6: Shared,
    /// The depths at which something of IPv6 was put in.
    depths: u64,
}

impl Near {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let hosts_v4 = Shared::open(dir, names::NEAR_HOSTS_V4)?;
        Ok(Self {
            hosts_v4: (hosts_v4.words().len() > 1).then_some(hosts_v4),
            v4: Shared::open(dir, names::NEAR_V4)?,
            v6: Shared::open(dir, names::NEAR_V6)?,
            depths: 0,
        })
    }

    /// Whether it is this that says where IPv4 hosts are near.
    pub(super) fn has_hosts_v4(&self) -> bool {
        self.hosts_v4.is_some()
    }

    pub(super) fn depths(&self) -> u64 {
        self.depths
    }

    pub(super) fn add_host_v4(&self, address: u32) {
        if let Some(words) = &self.hosts_v4 {
            let (word, bits) = near::host_v4(Hash::of(address), mask(words));
            words.set(word as usize, bits);
        }
    }

    pub(super) fn add_host_v6(&mut self, address: [u8; 16]) {
        self.add_v6(address, Depth::Host);
    }

    fn add_v6(&mut self, address: [u8; 16], depth: Depth) {
        let (word, bits) = near::v6(Address::from_octets(address), depth);
        self.v6.set(word as usize, bits);
        self.depths |= depth.bit();
    }

    pub(super) fn add_prefix(&mut self, prefix: IpNet) {
        match prefix {
            IpNet::V4(net) => {
                mark(net.network().to_bits(), net.prefix_len(), |word, bits| self.v4.set(word, bits));
            }
            IpNet::V6(net) => {
                for part in parts_v6(net) {
                    self.add_v6(part, Depth::of_prefix(net.prefix_len()));
                }
            }
        }
    }

    /// Computes every bit anew. What is there before and after is there throughout.
    pub(super) fn rebuild(
        &mut self,
        hosts_v4: impl Iterator<Item = u32>,
        hosts_v6: impl Iterator<Item = [u8; 16]>,
        prefixes: impl Iterator<Item = IpNet>,
    ) {
        let [mut v4, mut v6] = [&self.v4, &self.v6].map(|shared| vec![0_u64; shared.words().len()]);
        self.depths = 0;
        if let Some(words) = &self.hosts_v4 {
            let mut wanted = vec![0_u64; words.words().len()];
            for address in hosts_v4 {
                let (word, bits) = near::host_v4(Hash::of(address), mask(words));
                wanted[word as usize] |= bits;
            }
            write(words, wanted);
        }
        let mut put_v6 = |address, depth: Depth| {
            let (word, bits) = near::v6(Address::from_octets(address), depth);
            v6[word as usize] |= bits;
            self.depths |= depth.bit();
        };
        for address in hosts_v6 {
            put_v6(address, Depth::Host);
        }
        for prefix in prefixes {
            match prefix {
                IpNet::V4(net) => {
                    mark(net.network().to_bits(), net.prefix_len(), |word, bits| v4[word] |= bits);
                }
                IpNet::V6(net) => {
                    for part in parts_v6(net) {
                        put_v6(part, Depth::of_prefix(net.prefix_len()));
                    }
                }
            }
        }
        write(&self.v4, v4);
        write(&self.v6, v6);
    }
}

/// The number of the last word of the filter of IPv4 hosts.
fn mask(words: &Shared) -> u32 {
    u32::try_from(words.words().len()).unwrap_or(u32::MAX).saturating_sub(1)
}

/// Writes what has changed.
fn write(shared: &Shared, wanted: Vec<u64>) {
    for (at, word) in wanted.into_iter().enumerate() {
        if shared.load(at) != word {
            shared.store(at, word);
        }
    }
}

/// What a prefix is put in as: itself, or all the shorter ones that it is made of.
fn parts_v6(net: Ipv6Net) -> impl Iterator<Item = [u8; 16]> {
    let (first, (count, len)) = (net.network().to_bits(), near::parts(net.prefix_len()));
    let below = u128::BITS - u32::from(len);
    (0..count).map(move |part| (first | u128::from(part) << below).to_be_bytes())
}

/// Gives `set` the bits of every /24 that an IPv4 prefix touches, and then of every /18.
fn mark(network: u32, len: u8, mut set: impl FnMut(usize, u64)) {
    const NETWORKS_OF_A_WORD: u32 = 64;
    for ((word, bit), shortest) in [(near::v4(network), 24_u8), (near::wide_v4(network), 18)] {
        let networks = 1_u32 << shortest.saturating_sub(len);
        if networks < NETWORKS_OF_A_WORD {
            // As many ones, from its own bit on: a prefix begins at a multiple of its size.
            set(word as usize, bit * ((1 << networks) - 1));
        } else {
            for at in 0..networks / NETWORKS_OF_A_WORD {
                set((word + at) as usize, u64::MAX);
            }
        }
    }
}
