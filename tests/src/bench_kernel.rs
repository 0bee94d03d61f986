//! The bench of the kernel's packet path. A key that was not measured is null.

mod field;
mod figures;
mod peers;

pub use figures::run;

/// The `n`th of sources that lie all over the space, none twice; as the generator has it.
pub(crate) fn scattered(n: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(skyshield_ebpf::scattered(n))
}
