//! Where the running kernel's structures hold their members, by its own description of its types.

use std::collections::HashMap;

/// Where the kernel describes its types.
pub(super) const PATH: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;
const STRUCT: u32 = 4;

/// The offset of each of `wanted` (structure, member), in bytes; `None` where one is not to be found.
pub(super) fn offsets<const N: usize>(btf: &[u8], wanted: [(&str, &str); N]) -> Option<[u32; N]> {
    let (types, names) = sections(btf)?;
    let mut found: HashMap<(&str, &str), u32> = HashMap::new();
    let mut rest = types;
    while let Some((head, behind)) = rest.split_at_checked(TYPE_BYTES) {
        let (name, info) = (u32_at(head, 0)?, u32_at(head, 4)?);
        let (members, next) = behind.split_at_checked(tail_bytes(info)?)?;
        rest = next;
        if info >> 24 & 0x1f != STRUCT || !wanted.iter().any(|(kind, _)| is_name(names, name, kind)) {
            continue;
        }
        for member in members.chunks_exact(MEMBER_BYTES) {
            let (member_name, bits) = (u32_at(member, 0)?, u32_at(member, 8)?);
            // With this flag the upper byte is the width of a bit field.
            let bits = if info >> 31 == 1 { bits & 0x00ff_ffff } else { bits };
            let place = wanted
                .iter()
                .find(|(kind, one)| is_name(names, name, kind) && is_name(names, member_name, one));
            if let Some(&place) = place
                && bits % 8 == 0
            {
                found.entry(place).or_insert(bits / 8);
            }
        }
    }
    let mut offsets = [0; N];
    for (offset, place) in offsets.iter_mut().zip(&wanted) {
        *offset = *found.get(place)?;
    }
    Some(offsets)
}

/// The types, and the strings that name them.
fn sections(btf: &[u8]) -> Option<(&[u8], &[u8])> {
    if u16::from_ne_bytes(*btf.first_chunk()?) != MAGIC {
        return None;
    }
    let header = u32_at(btf, 4)? as usize;
    let section = |at| {
        let start = header.checked_add(u32_at(btf, at)? as usize)?;
        btf.get(start..start.checked_add(u32_at(btf, at + 4)? as usize)?)
    };
    Some((section(8)?, section(16)?))
}

/// The bytes behind the head of a type, by what it is; `None` for a kind that is not known.
fn tail_bytes(info: u32) -> Option<usize> {
    let count = (info & 0xffff) as usize;
    Some(match info >> 24 & 0x1f {
        // Integers, variables and tags of declarations have one word more.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections of data, enumerations of 64 bits.
        4 | 5 | 15 | 19 => count * 12,
        // Enumerations, prototypes.
        6 | 13 => count * 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn is_name(names: &[u8], at: u32, name: &str) -> bool {
    let found = names.get(at as usize..).unwrap_or_default();
    found.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use skyshield_common::tap::SOCKET_FIELDS;

    use super::*;

    /// A description of `struct sock { u32 a; u32 b; }`, and of an integer before it.
    fn described() -> Vec<u8> {
        let names = b"\0sock\0a\0b\0int\0";
        let mut types = Vec::new();
        for word in [10_u32, 1 << 24, 4, 32] {
            types.extend(word.to_ne_bytes());
        }
        for word in [1_u32, STRUCT << 24 | 2, 8, 6, 1, 0, 8, 1, 32] {
            types.extend(word.to_ne_bytes());
        }
        let mut btf = Vec::new();
        btf.extend(MAGIC.to_ne_bytes());
        btf.extend([1, 0]);
        let lengths = (u32::try_from(types.len()).unwrap(), u32::try_from(names.len()).unwrap());
        for word in [24_u32, 0, lengths.0, lengths.0, lengths.1] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(types);
        btf.extend(names);
        btf
    }

    #[test]
    fn a_member_is_found_by_its_name_and_its_structures() {
        let btf = described();
        assert_eq!(offsets(&btf, [("sock", "b"), ("sock", "a")]), Some([4, 0]));
        assert_eq!(offsets(&btf, [("sock", "c")]), None);
        assert_eq!(offsets(&btf, [("sck", "a")]), None);
    }

    #[test]
    fn what_is_cut_short_is_not_found_and_no_panic() {
        let btf = described();
        for length in 0..btf.len() {
            let _whatever = offsets(&btf[..length], [("sock", "b")]);
        }
        assert_eq!(offsets(&[0; 64], [("sock", "b")]), None);
    }

    #[test]
    fn the_running_kernels_sockets_are_described() {
        let Ok(btf) = std::fs::read(PATH) else { return };
        let found = offsets(&btf, SOCKET_FIELDS).unwrap();
        assert!(found.iter().all(|&offset| offset > 0), "{found:?}");
    }
}
