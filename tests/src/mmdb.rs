//! Writes databases in `MaxMind`'s format, good ones and broken ones.

use std::net::IpAddr;

/// A value of the data section.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Names and values.
    Map(Vec<(&'static str, Value)>),
    /// Values in a row.
    Array(Vec<Value>),
    /// UTF-8 text.
    Text(String),
    /// A number of 32 bits.
    Number(u32),
    /// A number of 64 bits.
    Long(u64),
    /// True or false.
    Truth(bool),
    /// Whatever these bytes are.
    Raw(Vec<u8>),
}

impl Value {
    /// A record of a Country database.
    pub fn country(code: &str) -> Self {
        let country = vec![("iso_code", Self::Text(code.to_owned()))];
        Self::Map(vec![("country", Self::Map(country))])
    }

    /// A record of an ASN database.
    pub fn network(number: u32, name: &str) -> Self {
        Self::Map(vec![
            ("autonomous_system_number", Self::Number(number)),
            ("autonomous_system_organization", Self::Text(name.to_owned())),
        ])
    }

    /// A record of an Anonymous-IP database in which these are true.
    pub fn flags(names: &[&'static str]) -> Self {
        Self::Map(names.iter().map(|name| (*name, Self::Truth(true))).collect())
    }

    /// The value as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Map(fields) => {
                let mut bytes = head(7, fields.len());
                for (name, value) in fields {
                    bytes.extend(Self::Text((*name).to_owned()).bytes());
                    bytes.extend(value.bytes());
                }
                bytes
            }
            Self::Array(values) => {
                let mut bytes = head(11, values.len());
                bytes.extend(values.iter().flat_map(Self::bytes));
                bytes
            }
            Self::Text(text) => [head(2, text.len()), text.as_bytes().to_vec()].concat(),
            Self::Number(number) => whole(6, &number.to_be_bytes()),
            Self::Long(number) => whole(9, &number.to_be_bytes()),
            Self::Truth(is_true) => head(14, usize::from(*is_true)),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// A number without its leading zeros.
fn whole(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    [head(kind, bytes.len() - zeros), bytes[zeros..].to_vec()].concat()
}

/// The control byte, and what follows of kind and size.
fn head(kind: u8, size: usize) -> Vec<u8> {
    let (short, more) = match size {
        0..29 => (size, Vec::new()),
        29..285 => (29, vec![byte(size - 29)]),
        _ => (30, vec![byte((size - 285) >> 8), byte((size - 285) & 0xff)]),
    };
    let first = if kind <= 7 { kind << 5 | byte(short) } else { byte(short) };
    let extended = if kind > 7 { vec![kind - 7] } else { Vec::new() };
    [vec![first], extended, more].concat()
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// A pointer to an offset (below 2048) of the data section.
pub fn pointer(offset: usize) -> Value {
    Value::Raw(vec![1 << 5 | byte(offset >> 8 & 7), byte(offset & 0xff)])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database that is being written.
#[derive(Clone, Debug)]
pub struct Mmdb {
    kind: String,
    built_at: u64,
    record_size: u16,
    nodes: Vec<[Child; 2]>,
    data: Vec<u8>,
    seen: Vec<(Value, usize)>,
}

impl Mmdb {
    /// An empty one of this type (`GeoLite2-Country`), built at so many seconds since 1970.
    pub fn new(kind: &str, built_at: u64) -> Self {
        let nodes = vec![[Child::Nothing; 2]];
        Self { kind: kind.to_owned(), built_at, record_size: 28, nodes, data: Vec::new(), seen: Vec::new() }
    }

    /// The same, with records of 24, 28 or 32 bits, or of what no reader knows.
    #[must_use]
    pub fn records_of(mut self, bits: u16) -> Self {
        self.record_size = bits;
        self
    }

    /// The same, and `net` (`45.0.0.0/8`) is as `value` says.
    #[must_use]
    pub fn with(mut self, net: &str, value: &Value) -> Self {
        let (address, length) = net.split_once('/').unwrap_or((net, "128"));
        let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<usize>()) else {
            return self;
        };
        let (bits, length) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 96 + length),
            IpAddr::V6(v6) => (v6.to_bits(), length),
        };
        self.put(bits, length, value);
        self
    }

    /// Notes that the first `length` bits of `bits` are as `value` says. Nets come without overlaps.
    pub fn put(&mut self, bits: u128, length: usize, value: &Value) {
        let data = self.offset_of(value);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                self.nodes[node][side] = Child::Data(data);
                return;
            }
            node = match self.nodes[node][side] {
                Child::Node(next) => next,
                Child::Nothing | Child::Data(_) => {
                    self.nodes.push([Child::Nothing; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side] = Child::Node(next);
                    next
                }
            };
        }
    }

    fn offset_of(&mut self, value: &Value) -> usize {
        if let Some((_, offset)) = self.seen.iter().rev().take(1000).find(|(seen, _)| seen == value) {
            return *offset;
        }
        let offset = self.data.len();
        self.data.extend(value.bytes());
        self.seen.push((value.clone(), offset));
        offset
    }

    /// How long the data section is by now: where the next new value will be.
    pub fn data_len(&self) -> usize {
        self.data.len()
    }

    /// Adds bytes to the data section that no net names.
    pub fn add_data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// Has a side of the root lead back to the root.
    #[must_use]
    pub fn with_a_cycle(mut self) -> Self {
        self.nodes[0][1] = Child::Node(0);
        self
    }

    /// The database.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_saying(self.nodes.len() as u64, self.record_size)
    }

    /// The database, with metadata that say so many nodes with records of so many bits.
    pub fn bytes_saying(&self, nodes: u64, record_size: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        for node in &self.nodes {
            let [left, right] = node.map(|child| self.record(child));
            match self.record_size {
                24 => {
                    bytes.extend(&left.to_be_bytes()[1..]);
                    bytes.extend(&right.to_be_bytes()[1..]);
                }
                28 => {
                    bytes.extend(&left.to_be_bytes()[1..]);
                    bytes.push(left.to_be_bytes()[0] << 4 | right.to_be_bytes()[0]);
                    bytes.extend(&right.to_be_bytes()[1..]);
                }
                _ => {
                    bytes.extend(left.to_be_bytes());
                    bytes.extend(right.to_be_bytes());
                }
            }
        }
        bytes.extend([0; 16]);
        bytes.extend(&self.data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let text = |text: &str| Value::Text(text.to_owned());
        let metadata = Value::Map(vec![
            ("binary_format_major_version", Value::Raw(whole(5, &2_u16.to_be_bytes()))),
            ("binary_format_minor_version", Value::Raw(whole(5, &0_u16.to_be_bytes()))),
            ("build_epoch", Value::Long(self.built_at)),
            ("database_type", text(&self.kind)),
            ("description", Value::Map(vec![("en", text("written by a test"))])),
            ("ip_version", Value::Raw(whole(5, &6_u16.to_be_bytes()))),
            ("languages", Value::Array(vec![text("en")])),
            ("node_count", Value::Raw(whole(6, &nodes.to_be_bytes()))),
            ("record_size", Value::Raw(whole(5, &record_size.to_be_bytes()))),
        ]);
        bytes.extend(metadata.bytes());
        bytes
    }

    fn record(&self, child: Child) -> u32 {
        let number = match child {
            Child::Nothing => self.nodes.len(),
            Child::Node(node) => node,
            Child::Data(offset) => self.nodes.len() + 16 + offset,
        };
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}
