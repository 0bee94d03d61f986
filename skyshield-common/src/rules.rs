//! Operators' rules on ports and protocols, compiled, as they lie in [`RULES`](crate::maps::RULES).
//!
//! For each thing that a rule may ask for there is a table that tells, of what a packet has, which rules
//! it suits: a bit for each. A packet suits the rules whose bits are set in all of them, and the first
//! of these decides. So 256 rules cost what one does. Rows are of four words; there are two
//! generations, and a word of the [`Settings`](crate::Settings) says where that in force begins.

use crate::{Address, Rate};

/// Rules at most.
pub const MOST: usize = 256;
/// A row: bits of rules, or classes of ports, or an edge, or an act.
pub type Row = [u64; 4];

/// Classes that ports or addresses may fall into: as many as their ranges have ends, and one.
const CLASSES: u32 = 2 * 256 + 2;
/// Rows of a table from ports to classes, sixteen to a row.
const PORT_ROWS: u32 = (1 << 16) / 16;

/// The parts of a generation, one behind the other.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bits by protocol.
    Protocols = 0,
    /// Classes by source port.
    FromPorts = 256,
    /// Classes by destination port.
    Ports = 256 + PORT_ROWS,
    /// Bits by class of source port.
    FromPortClasses = 256 + 2 * PORT_ROWS,
    /// Bits by class of destination port.
    PortClasses = 256 + 2 * PORT_ROWS + CLASSES,
    /// Where the IPv4 source's class becomes another: first address, class.
    EdgesV4 = 256 + 2 * PORT_ROWS + 2 * CLASSES,
    /// The same for IPv6: first address, upper half first, class.
    EdgesV6 = 256 + 2 * PORT_ROWS + 3 * CLASSES,
    /// Bits by class of source.
    SourcesV4 = 256 + 2 * PORT_ROWS + 4 * CLASSES,
    /// The same for IPv6.
    SourcesV6 = 256 + 2 * PORT_ROWS + 5 * CLASSES,
    /// What each rule does: act, rate.
    Acts = 256 + 2 * PORT_ROWS + 6 * CLASSES,
    /// How many edges there are, of IPv4 and of IPv6.
    Counts = 256 + 2 * PORT_ROWS + 6 * CLASSES + 256,
}

/// Rows of a generation.
pub const ROWS: u32 = Part::Counts as u32 + 1;
/// The class of a packet that tells no ports.
pub const NO_PORTS: u32 = 0;

/// What a rule does, in [`Act::kind`].
pub mod kind {
    /// The packet goes on to the rates.
    pub const PASS: u64 = 1;
    /// It is dropped.
    pub const DROP: u64 = 2;
    /// Its source is held to the rule's rate.
    pub const LIMIT: u64 = 3;
    /// It goes on to the rates, is counted as tapped, and copied where there is a tap.
    pub const TAP: u64 = 4;
    /// Beside one of them: nothing is done but counting.
    pub const DRY_RUN: u64 = 1 << 8;
    /// All but [`DRY_RUN`].
    pub const MASK: u64 = 0xff;
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// See [`kind`].
    pub kind: u64,
    /// The rate of a limit.
    pub rate: Rate,
}

impl Act {
    /// As it lies in the table.
    #[inline]
    pub const fn row(self) -> Row {
        [self.kind, self.rate.interval, self.rate.tolerance, 0]
    }

    /// As it was put there.
    #[inline]
    pub const fn of(row: &Row) -> Self {
        Self { kind: row[0], rate: Rate { interval: row[1], tolerance: row[2] } }
    }
}

/// What rules ask of a packet beside its source, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer4(pub u64);

impl Layer4 {
    const PORTS: u64 = 1 << 40;

    /// A packet of this protocol; a later fragment, or one of a protocol without ports, tells none.
    #[inline]
    pub const fn new(protocol: u8, ports: Option<(u16, u16)>) -> Self {
        let ports = match ports {
            Some((from, to)) => Self::PORTS | (from as u64) << 16 | to as u64,
            None => 0,
        };
        Self((protocol as u64) << 32 | ports)
    }

    /// Its protocol.
    #[inline]
    pub const fn protocol(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff
    }

    /// Whether it tells its ports.
    #[inline]
    pub const fn has_ports(self) -> bool {
        self.0 & Self::PORTS != 0
    }

    /// Its source port, or else 0.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    pub const fn from_port(self) -> u32 {
        (self.0 >> 16) as u32 & 0xffff
    }

    /// Its destination port, or else 0.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    pub const fn port(self) -> u32 {
        self.0 as u32 & 0xffff
    }
}

/// A generation's rows: the kernel's map, or memory.
pub trait Rows {
    /// The row at `index`; `None` cannot happen.
    fn row(&self, index: u32) -> Option<Row>;
}

/// The first rule that a packet suits.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier must see one function")]
#[expect(clippy::cast_possible_truncation, reason = "of what the tables hold nothing has more bits")]
pub fn first<R: Rows>(rows: &R, base: u32, source: Address, layer4: Layer4) -> Option<u32> {
    let at = |part: Part, index: u32| rows.row(base.wrapping_add(part as u32).wrapping_add(index));
    let class = |ports: Part, port: u32| {
        if layer4.has_ports() { Some(class_in(&at(ports, port >> 4)?, port & 15)) } else { Some(NO_PORTS) }
    };
    // All classes before any bits: these take four words each, and the stack is small.
    let from_class = class(Part::FromPorts, layer4.from_port())?;
    let to_class = class(Part::Ports, layer4.port())?;
    let counts = at(Part::Counts, 0)?;
    let (class, sources) = if let Some(address) = source.v4() {
        let is_before = |edge: u32| at(Part::EdgesV4, edge).is_some_and(|row| row[0] <= u64::from(address));
        let edge = last_edge(counts[0] as u32, is_before);
        (at(Part::EdgesV4, edge)?[1], Part::SourcesV4)
    } else {
        let is_before = |edge: u32| {
            at(Part::EdgesV6, edge)
                .is_some_and(|row| row[0] < source.high || row[0] == source.high && row[1] <= source.low)
        };
        let edge = last_edge(counts[1] as u32, is_before);
        (at(Part::EdgesV6, edge)?[2], Part::SourcesV6)
    };
    let mut suits = at(Part::Protocols, layer4.protocol())?;
    for (part, class) in
        [(Part::FromPortClasses, from_class), (Part::PortClasses, to_class), (sources, class as u32)]
    {
        suits = both(suits, at(part, class)?);
    }
    lowest(suits)
}

/// The class at `index` of sixteen in a row.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "sixteen bits")]
pub const fn class_in(row: &Row, index: u32) -> u32 {
    // Taken by a choice, and not by an index, which would have the row lie on the stack.
    let word = match index >> 2 {
        0 => row[0],
        1 => row[1],
        2 => row[2],
        _ => row[3],
    };
    (word >> ((index & 3) * 16)) as u32 & 0xffff
}

#[inline]
const fn both(one: Row, other: Row) -> Row {
    [one[0] & other[0], one[1] & other[1], one[2] & other[2], one[3] & other[3]]
}

/// The last of so many edges for which `is_before` holds; it does for the first.
#[inline]
fn last_edge(count: u32, is_before: impl Fn(u32) -> bool) -> u32 {
    const STEPS: u32 = 10;
    let (mut from, mut to) = (0, count);
    let mut step = 0;
    while step < STEPS {
        step += 1;
        if from + 1 >= to {
            break;
        }
        let middle = from + ((to - from) >> 1);
        if is_before(middle) {
            from = middle;
        } else {
            to = middle;
        }
    }
    from
}

/// The lowest bit that is set.
#[inline]
pub const fn lowest(bits: Row) -> Option<u32> {
    let (word, above) = if bits[0] != 0 {
        (bits[0], 0)
    } else if bits[1] != 0 {
        (bits[1], 64)
    } else if bits[2] != 0 {
        (bits[2], 128)
    } else if bits[3] != 0 {
        (bits[3], 192)
    } else {
        return None;
    };
    Some(above + lowest_of(word))
}

/// By halves: the target has no instruction for it before its fifth version.
#[inline]
const fn lowest_of(word: u64) -> u32 {
    let (mut word, mut at) = (word, 0);
    let mut half = 32;
    while half != 0 {
        if word & ((1 << half) - 1) == 0 {
            word >>= half;
            at += half;
        }
        half >>= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_bit_is_found(bits: [u64; 4], shift in 0_u32..64) {
            let bits = bits.map(|word| word >> shift << shift);
            let at = (0..256).find(|at| bits[at / 64] >> (at % 64) & 1 != 0);
            prop_assert_eq!(lowest(bits).map(|at| at as usize), at);
        }

        #[test]
        fn layer_four_comes_back_as_it_went_in(protocol: u8, from: u16, to: u16) {
            let told = Layer4::new(protocol, Some((from, to)));
            prop_assert_eq!((told.protocol(), told.from_port(), told.port()), (protocol.into(), from.into(), to.into()));
            prop_assert!(told.has_ports() && !Layer4::new(protocol, None).has_ports());
        }
    }
}
