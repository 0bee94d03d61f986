//! The answer to a TCP SYN: headers in, headers out, in 32-bit words of the machine's order.

/// The fixed part of a TCP header, as it comes in.
pub type Tcp = [u32; 5];

const SYN_ACK: u32 = 0x12;
const WINDOW: u32 = 0xffff;
/// Kind and length of the option that says the largest segment.
const SEGMENT_OPTION: u32 = 0x0204_0000;
const TCP_PROTOCOL: u32 = 6;
const HOPS: u32 = 64;

/// Whether a TCP header is that of a SYN and of nothing else.
#[inline(always)]
pub const fn is_syn(tcp: &Tcp) -> bool {
    const FIN_SYN_RST_ACK: u32 = 0x17;
    tcp[3] >> 16 & FIN_SYN_RST_ACK == 2
}

/// Whether a TCP header is that of a segment behind the handshake's first two, as the one is that brings
/// a cookie back. A listening socket makes nothing of any other but a SYN.
#[inline(always)]
pub const fn is_segment(tcp: &Tcp) -> bool {
    const SYN_RST_ACK: u32 = 0x16;
    tcp[3] >> 16 & SYN_RST_ACK == 0x10
}

/// The length of a TCP header, in bytes; less than 20 is none.
#[inline(always)]
pub const fn header_bytes(tcp: &Tcp) -> u32 {
    tcp[3] >> 28 << 2
}

/// The port it goes to.
#[inline(always)]
pub const fn destination_port(tcp: &Tcp) -> u32 {
    tcp[0] & 0xffff
}

/// Bytes of the TCP header of an answer: a SYN without options gets none either, so that no answer is
/// longer than what it answers.
#[inline(always)]
pub const fn answer_bytes(tcp: &Tcp) -> u32 {
    if header_bytes(tcp) >= 24 { 24 } else { 20 }
}

/// The answer's TCP header, with the sum of the addresses it goes between.
#[inline(always)]
fn answer(tcp: &Tcp, cookie: u32, segment: u32, addresses: u32) -> [u32; 6] {
    let bytes = answer_bytes(tcp);
    let option = if bytes == 24 { SEGMENT_OPTION | segment & 0xffff } else { 0 };
    let mut words = [
        tcp[0].rotate_right(16),
        cookie,
        tcp[1].wrapping_add(1),
        bytes << 26 | SYN_ACK << 16 | WINDOW,
        0,
        option,
    ];
    words[4] = checksum(sum(&words) + addresses + TCP_PROTOCOL + bytes) << 16;
    words
}

/// Whether a TCP header of so many bytes, as it came in, with nothing behind it, has a checksum that is
/// right.
#[inline(always)]
pub fn is_summed<const N: usize>(header: &[u32; N], bytes: u32, addresses: u32) -> bool {
    let words = header.iter().map(|word| u32::from_be(*word));
    let sum = words.fold(0, |sum, word| sum + (word >> 16) + (word & 0xffff));
    checksum(sum + addresses + TCP_PROTOCOL + bytes) == 0
}

/// Makes an IPv4 header, as it came in, that of the answer; the TCP header behind it.
#[inline(always)]
pub fn answer_v4(ip: &mut [u32; 5], tcp: &Tcp, cookie: u32, segment: u32) -> [u32; 6] {
    const DONT_FRAGMENT: u32 = 0x4000;
    let (from, to) = (u32::from_be(ip[4]), u32::from_be(ip[3]));
    let length = 20 + answer_bytes(tcp);
    let mut head = [0x4500_0000 | length, DONT_FRAGMENT, HOPS << 24 | TCP_PROTOCOL << 16, from, to];
    head[2] |= checksum(sum(&head));
    *ip = head.map(u32::to_be);
    answer(tcp, cookie, segment, sum(&[from, to]))
}

/// The same of an IPv6 header: in its place, because there is little room beside it.
#[inline(always)]
pub fn answer_v6(ip: &mut [u32; 10], tcp: &Tcp, cookie: u32, segment: u32) -> [u32; 6] {
    let mut addresses = 0;
    let mut at = 2;
    while at < 6 {
        let (from, to) = (ip[at], ip[at + 4]);
        addresses += sum(&[u32::from_be(from), u32::from_be(to)]);
        (ip[at], ip[at + 4]) = (to, from);
        at += 1;
    }
    ip[0] = 0x6000_0000_u32.to_be();
    ip[1] = (answer_bytes(tcp) << 16 | TCP_PROTOCOL << 8 | HOPS).to_be();
    answer(tcp, cookie, segment, addresses)
}

/// The sum of the 16-bit halves.
#[inline(always)]
pub fn sum<const N: usize>(words: &[u32; N]) -> u32 {
    words.iter().fold(0, |sum, word| sum + (word >> 16) + (word & 0xffff))
}

/// What makes the whole sum up to nothing.
#[inline(always)]
const fn checksum(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !sum & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Tcp = [0x3039_0050, 7, 0, 0x6002_7210, 0];

    /// What an honest receiver computes: all ones where the sum is right.
    fn folded(words: &[u32], more: u32) -> u32 {
        let total = words.iter().map(|word| (word >> 16) + (word & 0xffff)).sum::<u32>() + more;
        let once = (total & 0xffff) + (total >> 16);
        (once & 0xffff) + (once >> 16)
    }

    #[test]
    fn an_answer_goes_back_where_the_syn_came_from_with_sums_that_are_right() {
        let came = [0x4500_003c_u32, 0x1234_4000, 0x4006_0000, 0xcb00_7107, 0x0a63_0001];
        for (tcp, bytes) in [(TCP, 24), ([TCP[0], TCP[1], 0, 0x5002_7210, 0], 20)] {
            let mut ip = came.map(u32::to_be);
            let answer = answer_v4(&mut ip, &tcp, 0xdead_beef, 1460);
            let ip = ip.map(u32::from_be);
            assert_eq!((ip[0] & 0xffff, ip[3], ip[4]), (20 + bytes, came[4], came[3]));
            assert_eq!(folded(&ip, 0), 0xffff);
            assert_eq!(folded(&[&ip[3..], &answer].concat(), 6 + bytes), 0xffff);
            let addresses = sum(&[ip[3], ip[4]]);
            let mut header = answer.map(u32::to_be);
            assert!(is_summed(&header, bytes, addresses));
            header[1] ^= 1;
            assert!(!is_summed(&header, bytes, addresses));
            assert_eq!((answer[0], answer[1], answer[2]), (0x0050_3039, 0xdead_beef, 8));
            assert_eq!((answer[3] >> 28) * 4, bytes);
            assert_eq!(answer[5], if bytes == 24 { 0x0204_05b4 } else { 0 });
        }
        let came = [0x6000_0000_u32, 0x0028_0640, 0x2001_0db8, 0, 0, 7, 0xfd99_0000, 0, 0, 1];
        let mut ip = came.map(u32::to_be);
        let answer = answer_v6(&mut ip, &TCP, 0xffff_ffff, 1440);
        let ip = ip.map(u32::from_be);
        assert_eq!((&ip[2..6], &ip[6..10], ip[1]), (&came[6..], &came[2..6], 0x0018_0640));
        assert_eq!(folded(&[&ip[2..], &answer].concat(), 6 + 24), 0xffff);
    }

    #[test]
    fn a_syn_is_nothing_but_a_syn() {
        let with = |flags: u32| [0, 0, 0, 5 << 28 | flags << 16, 0];
        assert!(is_syn(&with(0x02)) && is_syn(&with(0xc2)), "a congestion's flags are no other packet");
        for flags in [0, 0x01, 0x03, 0x06, 0x10, 0x12, 0x13] {
            assert!(!is_syn(&with(flags)), "{flags:x}");
        }
        for flags in [0x10, 0x11, 0x18, 0x38, 0xd0] {
            assert!(is_segment(&with(flags)), "{flags:x}");
        }
        for flags in [0, 0x01, 0x02, 0x04, 0x08, 0x12, 0x14, 0x29] {
            assert!(!is_segment(&with(flags)), "{flags:x}");
        }
        assert_eq!((header_bytes(&TCP), destination_port(&TCP)), (24, 80));
    }
}
