//! The bench of the kernel's packet path. A key that was not measured is null.

mod field;
mod figures;
mod peers;

pub use figures::run;

/// The `n`th of sources that lie all over the space, none twice; as the generator has it.
pub(crate) fn scattered(n: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b1) & 0x3fff_ffff | 0x4000_0000)
}
