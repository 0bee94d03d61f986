//! Frames drawn by lot: mostly what a stack might send, and of that any part wrong, left out or cut.

use std::net::IpAddr;

use tests::packet::{TCP, UDP, tcp_head, udp_head};

use crate::in_force::{PORTS, Realm};
use crate::prefixes::Numbers;

/// One from a source of `realm`, or from one that nobody has.
pub(crate) fn frame(numbers: &mut Numbers, realm: Realm) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for _ in 0..one_of(numbers, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]) {
        frame.extend([[0x81, 0], [0x88, 0xa8], [0x91, 0]][usize::from(numbers.below(3))]);
        frame.extend([0, numbers.below(256)]);
    }
    let source = source(numbers, realm);
    if numbers.below(32) == 0 {
        frame.extend([[8, 6], [0x88, 0xcc], [0, 46]][usize::from(numbers.below(3))]);
        frame.extend(any(numbers, 46));
    } else {
        match source {
            IpAddr::V4(source) => {
                frame.extend([0x08, 0x00]);
                frame.extend(v4(numbers, source.octets()));
            }
            IpAddr::V6(source) => {
                frame.extend([0x86, 0xdd]);
                frame.extend(v6(numbers, source.octets()));
            }
        }
    }
    if numbers.below(8) == 0 {
        let padding = numbers.below(9).into();
        frame.extend(any(numbers, padding));
    }
    if numbers.below(5) == 0 {
        let at = 12 + usize::from(numbers.below(256)) % (frame.len() - 12);
        frame[at] = numbers.below(256);
    }
    if numbers.below(8) == 0 {
        frame.truncate(14 + usize::from(numbers.below(256)) % (frame.len() - 13));
    }
    frame
}

fn one_of(numbers: &mut Numbers, all: &[u8]) -> u8 {
    all[usize::from(numbers.below(all.len() as u64))]
}

fn any(numbers: &mut Numbers, count: usize) -> Vec<u8> {
    (0..count).map(|_| numbers.below(256)).collect()
}

const V4_HOST: [u8; 4] = [192, 0, 2, 1];
const V6_HOST: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn source(numbers: &mut Numbers, realm: Realm) -> IpAddr {
    let odd: [IpAddr; 10] = [
        [0, 0, 0, 0].into(),
        [0, 9, 9, 9].into(),
        [127, 0, 0, 1].into(),
        [224, 0, 0, 1].into(),
        [255, 255, 255, 255].into(),
        V4_HOST.into(),
        [0_u16; 8].into(),
        [0, 0, 0, 0, 0, 0, 0, 1].into(),
        [0xff02, 0, 0, 0, 0, 0, 0, 1].into(),
        V6_HOST.into(),
    ];
    match numbers.below(24) {
        0 => odd[usize::from(numbers.below(10))],
        1 => match realm.address(numbers) {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
            v6 @ IpAddr::V6(_) => v6,
        },
        2..13 => realm.regular(numbers),
        _ => realm.address(numbers),
    }
}

fn protocol(numbers: &mut Numbers) -> u8 {
    let odd = numbers.below(256);
    one_of(numbers, &[TCP, TCP, TCP, TCP, UDP, UDP, UDP, UDP, 1, 58, 47, 50, 132, odd])
}

/// The offset in eights, and whether more follow: of a whole packet mostly.
fn fragment(numbers: &mut Numbers) -> (u16, bool) {
    if numbers.below(4) != 0 {
        return (0, false);
    }
    let offset = [0, 0, 1, 2, 3, 0x1fe0, 0x1ff8, 0x1fff][usize::from(numbers.below(8))];
    (offset, numbers.below(2) == 0)
}

fn v4(numbers: &mut Numbers, source: [u8; 4]) -> Vec<u8> {
    let words = one_of(numbers, &[5, 5, 5, 5, 5, 6, 7, 10, 15]);
    let protocol = protocol(numbers);
    let options = any(numbers, usize::from(words - 5) * 4);
    let carried = carried(numbers, protocol);
    let (offset, more) = fragment(numbers);
    let mut length = 20 + options.len() + carried.len();
    if numbers.below(24) == 0 {
        length = usize::from(numbers.below(256));
    }
    let word = offset | u16::from(more) << 13 | u16::from(numbers.below(2)) << 14;
    let life = if numbers.below(24) == 0 { 0 } else { 1 + numbers.below(255) };
    let mut bytes = vec![0x40 | words, numbers.below(256)];
    bytes.extend(u16::try_from(length).unwrap_or(0).to_be_bytes());
    bytes.extend([0, 7]);
    bytes.extend(word.to_be_bytes());
    bytes.extend([life, protocol, 0, 0]);
    bytes.extend(source);
    bytes.extend(if numbers.below(16) == 0 { [255; 4] } else { V4_HOST });
    bytes.extend(options);
    bytes.extend(carried);
    bytes
}

fn v6(numbers: &mut Numbers, source: [u8; 16]) -> Vec<u8> {
    let count = one_of(numbers, &[0, 0, 0, 0, 1, 1, 2, 3, 6, 7, 8]);
    let kinds: Vec<u8> =
        (0..count).map(|_| one_of(numbers, &[0, 43, 44, 44, 51, 60, 135, 139, 140])).collect();
    let protocol = protocol(numbers);
    let mut carried = carried(numbers, protocol);
    let mut next = protocol;
    for kind in kinds.into_iter().rev() {
        let mut header = vec![next, 0];
        if kind == 44 {
            let (offset, more) = fragment(numbers);
            header.extend((offset << 3 | u16::from(more)).to_be_bytes());
            header.extend([0, 0, 0, 7]);
        } else {
            header[1] = one_of(numbers, &[0, 0, 0, 1, 2, 40]);
            let size = if kind == 51 { 4 * (header[1] + 2) } else { 8 * (header[1] % 3 + 1) };
            header.extend(any(numbers, usize::from(size) - 2));
        }
        header.extend(carried);
        (carried, next) = (header, kind);
    }
    let stated = match numbers.below(24) {
        0 => numbers.below(256).into(),
        1 => 0,
        _ => u16::try_from(carried.len()).unwrap_or(0),
    };
    let hops = if numbers.below(24) == 0 { 0 } else { 1 + numbers.below(255) };
    let mut bytes = vec![0x60, 0, 0, numbers.below(256)];
    bytes.extend(stated.to_be_bytes());
    bytes.extend([next, hops]);
    bytes.extend(source);
    bytes.extend(V6_HOST);
    bytes.extend(carried);
    bytes
}

fn carried(numbers: &mut Numbers, protocol: u8) -> Vec<u8> {
    let payload = usize::from(one_of(numbers, &[0, 4, 8, 12, 16, 31, 40]));
    let mut bytes = match protocol {
        TCP => {
            let odd = numbers.below(256);
            let flags = one_of(numbers, &[2, 2, 2, 0x10, 0x12, 0x18, 0x11, 0x04, 0, 0x29, 0x03, 0x06, odd]);
            tcp_head(one_of(numbers, &[5, 5, 5, 5, 6, 8, 10, 15, 4, 0]), flags)
        }
        UDP => {
            let right = u8::try_from(8 + payload).unwrap_or(8);
            let odd = numbers.below(256);
            udp_head(one_of(numbers, &[right, right, right, right, 8, 0, 7, odd]).into())
        }
        _ => any(numbers, 8),
    };
    if protocol == TCP || protocol == UDP {
        for at in [0, 2] {
            let port = PORTS[usize::from(numbers.below(PORTS.len() as u64))];
            bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
    }
    bytes.extend(any(numbers, payload));
    if numbers.below(12) == 0 {
        bytes.truncate(numbers.below(24).into());
    }
    bytes
}
