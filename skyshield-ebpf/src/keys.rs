//! Addresses as the kernel's maps ask for them.

use core::borrow::Borrow;

use aya_ebpf::maps::lpm_trie::Key;
use skyshield_common::Address;

/// An address's bytes as the maps have them, in words: bytes might come to lie on the stack where the
/// verifier takes no words, and the compiler moves words.
#[inline(always)]
pub(crate) const fn octets(address: &Address) -> [u64; 2] {
    [address.high.to_be(), address.low.to_be()]
}

/// The keys that ask a trie for what holds an address. The length stands where the address behind it
/// is aligned.
#[repr(C, align(8))]
pub(crate) struct Whole<T> {
    before: u32,
    prefix_len: u32,
    address: T,
}

impl Whole<u64> {
    #[inline(always)]
    pub(crate) const fn of_v4(address: u32) -> Self {
        Self { before: 0, prefix_len: 32, address: address.to_be() as u64 }
    }
}

impl Whole<[u64; 2]> {
    #[inline(always)]
    pub(crate) const fn of_v6(address: &Address) -> Self {
        Self { before: 0, prefix_len: 128, address: octets(address) }
    }
}

impl Borrow<Key<u32>> for Whole<u64> {
    #[inline(always)]
    fn borrow(&self) -> &Key<u32> {
        // SAFETY: the length and the first half of the address, which a key is made of, in a place
        // that asks for no alignment.
        unsafe { &*(&raw const *self).cast::<Key<u32>>().byte_add(size_of::<u32>()) }
    }
}

impl Borrow<Key<[u64; 2]>> for Whole<[u64; 2]> {
    #[inline(always)]
    fn borrow(&self) -> &Key<[u64; 2]> {
        // SAFETY: as above, of the whole address.
        unsafe { &*(&raw const *self).cast::<Key<[u64; 2]>>().byte_add(size_of::<u32>()) }
    }
}
