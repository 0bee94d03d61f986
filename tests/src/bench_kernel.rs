//! The bench of the kernel's packet path. A key that was not measured is null.

mod field;
mod figures;
mod goals;
mod hot;
mod leaks;
mod peers;
mod processor;
mod target;
mod verifier;

pub use figures::{Answer, run};
pub use leaks::hold_if_asked;
pub use verifier::verify_if_asked;

/// The `n`th of sources that lie all over the space, none twice; as the generator has it.
pub(crate) fn scattered(n: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(skyshield_ebpf::scattered(n))
}

/// The same of IPv6, each in a /64 of its own.
pub(crate) fn scattered_v6(n: u32) -> std::net::Ipv6Addr {
    const NETWORK: u128 = 0x2a00_0000;
    const HOST: u128 = 7;
    std::net::Ipv6Addr::from(NETWORK << 96 | u128::from(skyshield_ebpf::scattered(n)) << 64 | HOST)
}
