//! Frames, built byte by byte.

use std::net::IpAddr;

/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;

/// A frame of another Ethernet type, with this payload.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A frame from `source` to a documentation address, with this protocol and payload.
pub fn ip(source: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match source {
        IpAddr::V4(source) => {
            let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
            let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
            packet.extend(source.octets());
            packet.extend([192, 0, 2, 1]);
            packet.extend(payload);
            ethernet(0x0800, &packet)
        }
        IpAddr::V6(source) => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
            let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
            packet.extend(source.octets());
            packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            packet.extend(payload);
            ethernet(0x86dd, &packet)
        }
    }
}

/// A UDP frame from `source`, port 12345 to 53, with 18 bytes of payload.
pub fn udp(source: IpAddr) -> Vec<u8> {
    let mut datagram = Vec::new();
    for word in [12345_u16, 53, 26, 0] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend([0; 18]);
    ip(source, UDP, &datagram)
}

/// A TCP SYN from `source`, port 12345 to 443.
pub fn syn(source: IpAddr) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(12345_u16.to_be_bytes());
    segment.extend(443_u16.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    ip(source, TCP, &segment)
}

/// `frame` with `tags` VLAN tags of this type before its own.
pub fn tagged(frame: &[u8], ethertype: u16, tags: usize) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for _ in 0..tags {
        tagged.extend(ethertype.to_be_bytes());
        tagged.extend([0, 7]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// A TCP head of this many words (as it says), with these flags, port 12345 to 443.
pub fn tcp_head(words: u8, flags: u8) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(12345_u16.to_be_bytes());
    head.extend(443_u16.to_be_bytes());
    head.extend([0, 0, 0, 1, 0, 0, 0, 0, words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    head
}

/// A UDP head that states this length, port 12345 to 53.
pub fn udp_head(stated: u16) -> Vec<u8> {
    [12345_u16, 53, stated, 0].iter().flat_map(|word| word.to_be_bytes()).collect()
}
