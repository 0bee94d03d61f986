//! One database as a table: where each stretch of addresses begins, and what is known of it.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::ranges::Ranges;
use super::super::standing::Origin;

/// What a database says of some addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Where they are.
    pub origin: Origin,
    /// What their network is called; empty where it does not say.
    pub network: Box<str>,
}

impl Entry {
    fn says_nothing(&self) -> bool {
        self.origin == Origin::default()
    }
}

/// A database says more than a table takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it knows more than {MAX_STRETCHES} stretches of addresses, or more than {MAX_ENTRIES} different places"
)]
pub struct TooMuch;

/// Stretches at the most: four times what the largest database that is published has.
const MAX_STRETCHES: usize = 20_000_000;
/// Different places at the most.
const MAX_ENTRIES: usize = 4_000_000;

/// What a database says, without anything that points anywhere.
#[derive(Debug, Default)]
pub struct Table {
    /// Where each stretch begins, rising; the first begins at 0.
    starts_v4: Vec<u32>,
    /// What is known of it, as an index.
    known_v4: Vec<u32>,
    starts_v6: Vec<u128>,
    known_v6: Vec<u32>,
    /// The first says nothing.
    entries: Vec<Entry>,
    index: HashMap<Entry, u32>,
}

impl Table {
    /// A table in which nothing is known.
    pub fn new() -> Self {
        let nothing = Entry::default();
        Self {
            starts_v4: vec![0],
            known_v4: vec![0],
            starts_v6: vec![0],
            known_v6: vec![0],
            index: HashMap::from([(nothing.clone(), 0)]),
            entries: vec![nothing],
        }
    }

    /// The number of `entry`, by which stretches name it.
    pub fn number(&mut self, entry: Entry) -> Result<u32, TooMuch> {
        if entry.says_nothing() {
            return Ok(0);
        }
        if let Some(number) = self.index.get(&entry) {
            return Ok(*number);
        }
        if self.entries.len() >= MAX_ENTRIES {
            return Err(TooMuch);
        }
        let number = u32::try_from(self.entries.len()).map_err(|_| TooMuch)?;
        self.entries.push(entry.clone());
        self.index.insert(entry, number);
        Ok(number)
    }

    /// Notes that the addresses from `first` to `last` are as the entry of that number says. Stretches
    /// come in rising order; one that does not is left out.
    pub fn note_v4(&mut self, first: u32, last: u32, number: u32) -> Result<(), TooMuch> {
        append(&mut self.starts_v4, &mut self.known_v4, first, last.checked_add(1), number)
    }

    /// The same for IPv6.
    pub fn note_v6(&mut self, first: u128, last: u128, number: u32) -> Result<(), TooMuch> {
        append(&mut self.starts_v6, &mut self.known_v6, first, last.checked_add(1), number)
    }

    /// The table, complete.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.index = HashMap::new();
        for vec in [&mut self.known_v4, &mut self.known_v6, &mut self.starts_v4] {
            vec.shrink_to_fit();
        }
        self.starts_v6.shrink_to_fit();
        self
    }

    /// What is known of `address`.
    pub fn of(&self, address: IpAddr) -> Option<&Entry> {
        let number = match address.to_canonical() {
            IpAddr::V4(address) => at(&self.starts_v4, &self.known_v4, address.to_bits()),
            IpAddr::V6(address) => at(&self.starts_v6, &self.known_v6, address.to_bits()),
        };
        self.entries.get(number? as usize).filter(|_| number != Some(0))
    }

    /// The addresses of which `wanted` is true.
    pub fn ranges(&self, wanted: impl Fn(&Origin) -> bool) -> Ranges {
        let wanted: Vec<bool> =
            self.entries.iter().map(|entry| !entry.says_nothing() && wanted(&entry.origin)).collect();
        let v4 = chosen(&self.starts_v4, &self.known_v4, &wanted, u32::MAX, |next| next - 1);
        let v6 = chosen(&self.starts_v6, &self.known_v6, &wanted, u128::MAX, |next| next - 1);
        Ranges::between(v4, v6)
    }

    /// Stretches that something is known of.
    pub fn len(&self) -> usize {
        self.known_v4.iter().chain(&self.known_v6).filter(|number| **number != 0).count()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.len() <= 1
    }
}

fn append<A: Copy + Ord>(
    starts: &mut Vec<A>,
    known: &mut Vec<u32>,
    first: A,
    after: Option<A>,
    number: u32,
) -> Result<(), TooMuch> {
    if starts.len() >= MAX_STRETCHES {
        return Err(TooMuch);
    }
    if starts.last().is_some_and(|last| *last > first) {
        return Ok(());
    }
    put(starts, known, first, number);
    if let Some(after) = after {
        put(starts, known, after, 0);
    }
    Ok(())
}

/// From `start` on it is `number`: in place of what was said from there on, and not said twice.
fn put<A: Copy + Ord>(starts: &mut Vec<A>, known: &mut Vec<u32>, start: A, number: u32) {
    if starts.last() == Some(&start) {
        starts.pop();
        known.pop();
    }
    if known.last() != Some(&number) {
        starts.push(start);
        known.push(number);
    }
}

fn at<A: Copy + Ord>(starts: &[A], known: &[u32], address: A) -> Option<u32> {
    let after = starts.partition_point(|start| *start <= address);
    known.get(after.checked_sub(1)?).copied()
}

fn chosen<A: Copy>(
    starts: &[A],
    known: &[u32],
    wanted: &[bool],
    end: A,
    before: impl Fn(A) -> A,
) -> Vec<(A, A)> {
    let mut ranges = Vec::new();
    for (at, (start, number)) in starts.iter().zip(known).enumerate() {
        if wanted.get(*number as usize).copied().unwrap_or_default() {
            ranges.push((*start, starts.get(at + 1).map_or(end, |next| before(*next))));
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: [u8; 2]) -> Entry {
        Entry { origin: Origin { country: Some(code), ..Origin::default() }, ..Entry::default() }
    }

    fn bits(address: &str) -> u32 {
        address.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
    }

    #[test]
    fn an_address_is_where_its_stretch_is_and_between_stretches_nowhere() {
        let mut table = Table::new();
        let (de, fr) = (table.number(country(*b"DE")).unwrap(), table.number(country(*b"FR")).unwrap());
        assert_eq!(table.number(country(*b"DE")).unwrap(), de);
        table.note_v4(0, bits("0.255.255.255"), fr).unwrap();
        table.note_v4(bits("45.0.0.0"), bits("45.0.0.255"), de).unwrap();
        table.note_v4(bits("45.0.1.0"), bits("45.0.1.255"), de).unwrap();
        table.note_v4(bits("44.0.0.0"), bits("44.0.0.255"), fr).unwrap();
        table.note_v4(bits("255.0.0.0"), u32::MAX, fr).unwrap();
        table.note_v6(0x2a00 << 112, (0x2a01 << 112) - 1, de).unwrap();
        let table = table.finished();
        let of =
            |address: &str| table.of(address.parse().unwrap()).map(|entry| entry.origin.country.unwrap());
        for (address, country) in [
            ("0.0.0.0", Some(*b"FR")),
            ("1.0.0.0", None),
            ("45.0.0.0", Some(*b"DE")),
            ("45.0.1.255", Some(*b"DE")),
            ("45.0.2.0", None),
            ("255.255.255.255", Some(*b"FR")),
            ("2a00::1", Some(*b"DE")),
            ("2a01::1", None),
            ("::ffff:45.0.0.1", Some(*b"DE")),
            ("44.0.0.1", None),
        ] {
            assert_eq!(of(address), country, "{address}");
        }
        assert_eq!(table.len(), 4, "what follows one another and is alike is one stretch");
        let german = table.ranges(|origin| origin.country == Some(*b"DE"));
        assert_eq!(german.addresses_v4(), 512);
        assert!(german.contains("2a00::5".parse().unwrap()));
        assert!(table.ranges(|_| true).contains("255.255.255.255".parse().unwrap()));
    }
}
