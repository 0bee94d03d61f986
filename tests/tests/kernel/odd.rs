//! Rows of what may be odd about a packet: every length, field and chain, counted or dropped.

use skyshield_common::Reason;
use tests::packet::{self, TCP, UDP, ethernet, ip, tagged, tcp_head, udp_head};

use crate::table::{PLAIN, Row, Setting, address};

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:1::7";
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
/// Where the IP header begins, and what lies in it.
const IP: usize = 14;
const V4_TTL: usize = IP + 8;
const V6_HOPS: usize = IP + 7;
const V4_PAYLOAD: usize = IP + 20;
const V6_PAYLOAD: usize = IP + 40;

/// Everything odd, only counted.
pub(crate) fn counted() -> (Setting, Vec<Row>) {
    (Setting { description: "odd packets counted", ..PLAIN }, everything())
}

/// Everything odd, dropped.
pub(crate) fn dropped() -> (Setting, Vec<Row>) {
    let rows = everything().into_iter().map(|(name, frame, reason)| (name, frame, reason.dropped()));
    (Setting { description: "odd packets dropped", change: drop_all, ..PLAIN }, rows.collect())
}

/// Everything odd, to be dropped but for the dry run.
pub(crate) fn spared() -> (Setting, Vec<Row>) {
    let change = |settings: &mut skyshield::dataplane::Settings| {
        drop_all(settings);
        settings.dry_run = true;
    };
    (Setting { description: "odd packets in a dry run", change, ..PLAIN }, everything())
}

/// What the allow list saves of it: all that has a source to be on it.
pub(crate) fn allowed() -> (Setting, Vec<Row>) {
    let rows = vec![
        row("TCP without flags", ip(address(V4), TCP, &tcp_head(5, 0)), Reason::AllowedOddity),
        row("IPv6 UDP cut short", ip(address(V6), UDP, &[0; 7]), Reason::AllowedOddity),
        row("no IPv4 header", changed(packet::udp(address(V4)), IP, 0x44), Reason::MalformedIpv4Dropped),
    ];
    let allowed = &["203.0.113.0/24", "2001:db8:1::/64"];
    (Setting { description: "odd packets allowed", allowed, change: drop_all, ..PLAIN }, rows)
}

fn drop_all(settings: &mut skyshield::dataplane::Settings) {
    settings.drop_malformed = true;
    settings.drop_martians = true;
    settings.drop_bad_flags = true;
}

fn everything() -> Vec<Row> {
    let parts = [
        tags(),
        ethertypes(),
        cuts(),
        ipv4(),
        fragments(),
        ipv6(),
        extensions(),
        sources(),
        tcp(),
        udp(),
        icmp(),
    ];
    parts.into_iter().flatten().collect()
}

pub(crate) fn row(name: impl Into<String>, frame: Vec<u8>, reason: Reason) -> Row {
    (name.into(), frame, reason)
}

fn changed(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

fn tags() -> Vec<Row> {
    let mut rows = Vec::new();
    for ethertype in [0x8100, 0x88a8, 0x9100] {
        for (source, whole) in [V4, V6].map(|source| (source, packet::udp(address(source)))) {
            for tags in 0..=4 {
                let reason = if tags > 2 { Reason::TooManyVlans } else { Reason::Passed };
                let frame = tagged(&whole, ethertype, tags);
                rows.push(row(format!("{tags} tags of {ethertype:x} before {source}"), frame, reason));
            }
        }
        for bytes in 0..4 {
            let frame = ethernet(ethertype, &[0; 4][..bytes]);
            rows.push(row(format!("{bytes} bytes of a tag {ethertype:x}"), frame, Reason::TruncatedVlan));
        }
        rows.push(row(format!("a tag {ethertype:x}, no more"), ethernet(ethertype, &[0; 4]), Reason::NotIp));
    }
    let both = tagged(&tagged(&packet::udp(address(V4)), 0x8100, 1), 0x88a8, 1);
    rows.push(row("802.1Q in 802.1ad", both, Reason::Passed));
    rows
}

fn ethertypes() -> Vec<Row> {
    // Length fields, IPX, ARP, RARP, MPLS, PPPoE, EAPOL, LLDP, MACsec, PTP, FCoE, loopback, experiments.
    [
        0, 0x2e, 0x05dc, 0x0600, 0x0801, 0x0806, 0x8035, 0x8137, 0x8847, 0x8848, 0x8863, 0x8864, 0x886d,
        0x888e, 0x88cc, 0x88e5, 0x88f7, 0x8906, 0x9000, 0x88b5, 0xffff,
    ]
    .map(|ethertype| {
        row(format!("ethertype {ethertype:04x}"), ethernet(ethertype, &[0x45; 46]), Reason::NotIp)
    })
    .into()
}

/// Every length a frame can be cut to.
fn cuts() -> Vec<Row> {
    let mut rows = Vec::new();
    let (v4, v6) = (packet::syn(address(V4)), packet::syn(address(V6)));
    for length in IP..v4.len() {
        let reason = if length < V4_PAYLOAD { Reason::TruncatedIpv4 } else { Reason::Ipv4Length };
        rows.push(row(format!("{length} bytes of IPv4"), v4[..length].to_vec(), reason));
    }
    for length in IP..v6.len() {
        let reason = if length < V6_PAYLOAD { Reason::TruncatedIpv6 } else { Reason::Ipv6Length };
        rows.push(row(format!("{length} bytes of IPv6"), v6[..length].to_vec(), reason));
    }
    let padded = [packet::syn(address(V4)), vec![0; 6]].concat();
    rows.push(row("Ethernet's padding behind IPv4", padded, Reason::Passed));
    rows
}

fn ipv4() -> Vec<Row> {
    let mut rows = Vec::new();
    let echo = |words: u8, options: usize| {
        let mut frame = ip(address(V4), ICMP, &[vec![1; options], vec![8, 0, 0, 0, 0, 0, 0, 0]].concat());
        frame[IP] = 0x40 | words;
        frame
    };
    for words in 0..=15_u8 {
        let reason = if words < 5 { Reason::MalformedIpv4 } else { Reason::Passed };
        let options = usize::from(words.saturating_sub(5)) * 4;
        rows.push(row(format!("an IPv4 header of {words} words"), echo(words, options), reason));
    }
    for words in 8..=15 {
        rows.push(row(format!("{words} words of header in 28 bytes"), echo(words, 0), Reason::Ipv4Length));
    }
    for version in [0, 1, 2, 3, 5, 6, 7, 15] {
        let frame = changed(packet::udp(address(V4)), IP, version << 4 | 5);
        rows.push(row(format!("version {version} under IPv4's type"), frame, Reason::MalformedIpv4));
    }
    for total in [0, 1, 19, 47, 255] {
        let frame = changed(packet::udp(address(V4)), IP + 3, total);
        rows.push(row(format!("IPv4 of {total} bytes"), frame, Reason::Ipv4Length));
    }
    rows.push(row("a TTL of 0", changed(packet::udp(address(V4)), V4_TTL, 0), Reason::TtlZero));
    rows.push(row("a TTL of 1", changed(packet::udp(address(V4)), V4_TTL, 1), Reason::Passed));
    for protocol in [0, 2, 4, 41, 47, 50, 51, 88, 89, 103, 112, 132, 136, 253, 255] {
        rows.push(row(format!("protocol {protocol}"), ip(address(V4), protocol, &[]), Reason::Passed));
    }
    rows
}

fn fragments() -> Vec<Row> {
    let v4 = |word: u16, protocol, payload: &[u8]| {
        let mut frame = ip(address(V4), protocol, payload);
        frame[IP + 6..IP + 8].copy_from_slice(&word.to_be_bytes());
        frame
    };
    let v6 = |word: u16, protocol, payload: &[u8]| {
        let mut head = vec![protocol, 0, 0, 0, 0, 0, 0, 1];
        head[2..4].copy_from_slice(&word.to_be_bytes());
        head.extend(payload);
        ip(address(V6), 44, &head)
    };
    let (syn, query) = ([tcp_head(5, 2), vec![0; 4]].concat(), [udp_head(100), vec![0; 8]].concat());
    let [long, short] = [15, 4].map(|words| [tcp_head(words, 2), vec![1; 4]].concat());
    let odd = Reason::MalformedFragment;
    let mut rows = Vec::new();
    // The offset in eights, whether more follow.
    for (name, offset, more, protocol, payload, reason) in [
        ("first of UDP", 0, 1, UDP, &query[..], Reason::Passed),
        ("first of TCP", 0, 1, TCP, &syn[..], Reason::Passed),
        ("first of TCP, head cut", 0, 1, TCP, &syn[..16], odd),
        ("first of TCP, eight bytes", 0, 1, TCP, &syn[..8], odd),
        ("first of TCP, options cut", 0, 1, TCP, &long, odd),
        ("first of TCP, smaller than one can be", 0, 1, TCP, &short, Reason::MalformedTcp),
        ("first of ICMP, whole head", 0, 1, ICMP, &[8, 0, 0, 0, 0, 0, 0, 0], Reason::Passed),
        ("first, not of whole eights", 0, 1, UDP, &query[..15], odd),
        ("first, empty", 0, 1, UDP, &[], odd),
        ("middle", 3, 1, UDP, &query[..], Reason::Passed),
        ("middle, not of whole eights", 3, 1, UDP, &query[..9], odd),
        ("last", 3, 0, UDP, &query[..9], Reason::Passed),
        ("last, empty", 3, 0, UDP, &[], odd),
        ("second of TCP over its flags", 1, 0, TCP, &syn[..], odd),
        ("second of UDP at eight", 1, 0, UDP, &query[..], Reason::Passed),
        ("beyond the largest packet", 0x1fff, 0, UDP, &query[..], odd),
        ("up to the largest packet", 0x1ff0, 0, UDP, &query[..], Reason::Passed),
    ] {
        rows.push(row(format!("IPv4 {name}"), v4(offset | more << 13, protocol, payload), reason));
        rows.push(row(format!("IPv6 {name}"), v6(offset << 3 | more, protocol, payload), reason));
    }
    rows.push(row("IPv4 not to be fragmented", v4(0x4000, UDP, &udp_head(8)), Reason::Passed));
    let first = [vec![44, 0, 0, 1, 0, 0, 0, 1, UDP, 0, 0, 0, 0, 0, 0, 2], query].concat();
    rows.push(row(
        "IPv6 first of what alone is in a fragment's dress",
        ip(address(V6), 44, &first),
        Reason::Passed,
    ));
    rows.push(row("IPv6 alone in a fragment's dress", v6(0, UDP, &udp_head(8)), Reason::Passed));
    rows
}

fn ipv6() -> Vec<Row> {
    let mut rows = Vec::new();
    for version in [0, 4, 5, 7, 15] {
        let frame = changed(packet::udp(address(V6)), IP, version << 4);
        rows.push(row(format!("version {version} under IPv6's type"), frame, Reason::MalformedIpv6));
    }
    for (stated, reason) in [
        (0, Reason::TruncatedUdp),
        (7, Reason::TruncatedUdp),
        (25, Reason::MalformedUdp),
        (26, Reason::Passed),
        (27, Reason::Ipv6Length),
        (255, Reason::Ipv6Length),
    ] {
        let frame = changed(packet::udp(address(V6)), IP + 5, stated);
        rows.push(row(format!("IPv6 payload of {stated} bytes"), frame, reason));
    }
    rows.push(row("no hops left", changed(packet::udp(address(V6)), V6_HOPS, 0), Reason::TtlZero));
    rows.push(row("one hop left", changed(packet::udp(address(V6)), V6_HOPS, 1), Reason::Passed));
    let jumbo = [vec![UDP, 0, 0xc2, 4, 0, 0, 0, 34], udp_head(26), vec![0; 18]].concat();
    let jumbo = changed(ip(address(V6), 0, &jumbo), IP + 5, 0);
    rows.push(row("a jumbogram", jumbo, Reason::Passed));
    rows
}

/// A chain of extension headers of eight bytes each before `payload`.
fn chain(kinds: &[u8], last: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..kinds.len() {
        // A length of 0 is eight bytes, of an authentication header too.
        bytes.extend([kinds.get(at + 1).copied().unwrap_or(last), 0, 0, 0, 0, 0, 0, 0]);
    }
    bytes.extend(payload);
    ip(address(V6), kinds.first().copied().unwrap_or(last), &bytes)
}

fn extensions() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in [0, 43, 44, 51, 60, 135, 139, 140] {
        let passed = chain(&[kind], UDP, &udp_head(8));
        rows.push(row(format!("extension {kind} before UDP"), passed, Reason::Passed));
        let cut = ip(address(V6), kind, &[UDP, 0, 0, 0, 0, 0, 0]);
        rows.push(row(format!("extension {kind} of seven bytes"), cut, Reason::TruncatedExtension));
        if kind != 44 {
            let beyond = ip(address(V6), kind, &[UDP, 200, 0, 0, 0, 0, 0, 0]);
            rows.push(row(format!("extension {kind} beyond its packet"), beyond, Reason::TruncatedExtension));
        }
        let none = ip(address(V6), kind, &[]);
        rows.push(row(format!("extension {kind} announced and absent"), none, Reason::TruncatedExtension));
        let bad = chain(&[kind], TCP, &tcp_head(5, 0));
        rows.push(row(format!("extension {kind} before TCP without flags"), bad, Reason::TcpNull));
    }
    for count in 0..=10 {
        let reason = if count > 6 { Reason::TooManyExtensions } else { Reason::Passed };
        rows.push(row(
            format!("{count} routing headers"),
            chain(&vec![43; count], UDP, &udp_head(8)),
            reason,
        ));
        let options = chain(&vec![60; count], 59, &[]);
        rows.push(row(format!("{count} option headers and nothing next"), options, reason));
    }
    // Its length is in fours, two of which do not count.
    let signed = [vec![UDP, 4], vec![0; 22], udp_head(8)].concat();
    rows.push(row("an authentication header of 24 bytes", ip(address(V6), 51, &signed), Reason::Passed));
    let usual = chain(&[0, 60, 43, 44, 51, 60], TCP, &tcp_head(5, 2));
    rows.push(row("the whole chain in its order", usual, Reason::Passed));
    rows
}

fn sources() -> Vec<Row> {
    let mut rows = Vec::new();
    for source in [
        "0.0.0.0",
        "0.1.2.3",
        "0.255.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "ff0e::1:2",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
    ] {
        rows.push(row(format!("from {source}"), packet::udp(address(source)), Reason::MartianSource));
    }
    for source in [
        "1.0.0.0",
        "10.0.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.254.7.7",
        "172.16.0.1",
        "192.168.0.1",
        "223.255.255.255",
        "::2",
        "fe80::1",
        "fc00::1",
        "2000::1",
        "feff::1",
        "64:ff9b::1",
        "2002::1",
    ] {
        rows.push(row(format!("from {source}"), packet::udp(address(source)), Reason::Passed));
    }
    rows.push(row("from its destination", packet::udp(address("192.0.2.1")), Reason::Land));
    rows.push(row("from its IPv6 destination", packet::udp(address("2001:db8::1")), Reason::Land));
    let mut asks = packet::udp(address("0.0.0.0"));
    asks[IP + 16..IP + 20].fill(255);
    rows.push(row("DHCP asks everybody", asks, Reason::Passed));
    let solicit = ip(address("::"), ICMP_V6, &[135, 0, 0, 0, 0, 0, 0, 0]);
    rows.push(row("is this address free", solicit, Reason::Passed));
    let mut report = chain(&[0], ICMP_V6, &[143, 0, 0, 0, 0, 0, 0, 0]);
    report[IP + 8..IP + 24].fill(0);
    rows.push(row("joining a group without an address", report, Reason::Passed));
    rows
}

fn tcp() -> Vec<Row> {
    let mut rows = Vec::new();
    for source in [V4, V6] {
        for words in 0..=15 {
            // Twelve words are there.
            let frame = ip(address(source), TCP, &[tcp_head(words, 0x10), vec![1; 28]].concat());
            let reason = if (5..=12).contains(&words) { Reason::Passed } else { Reason::MalformedTcp };
            rows.push(row(format!("{source}: a TCP head of {words} words"), frame, reason));
        }
        for bytes in 0..20 {
            let frame = ip(address(source), TCP, &tcp_head(5, 0x10)[..bytes]);
            rows.push(row(format!("{source}: {bytes} bytes of TCP"), frame, Reason::TruncatedTcp));
        }
    }
    for flags in 0..=255_u8 {
        let reason = if flags.trailing_zeros() >= 6 {
            Reason::TcpNull
        } else if flags & 0x29 == 0x29 {
            Reason::TcpXmas
        } else if flags & 0x02 != 0 && flags & 0x05 != 0 {
            Reason::TcpSynFin
        } else {
            Reason::Passed
        };
        rows.push(row(format!("TCP flags {flags:08b}"), ip(address(V4), TCP, &tcp_head(5, flags)), reason));
    }
    let with_data = ip(address(V4), TCP, &[tcp_head(5, 2), vec![7; 30]].concat());
    rows.push(row("data in a SYN", with_data, Reason::Passed));
    rows
}

fn udp() -> Vec<Row> {
    let mut rows = Vec::new();
    for source in [V4, V6] {
        for bytes in 0..8 {
            let frame = ip(address(source), UDP, &udp_head(8)[..bytes]);
            rows.push(row(format!("{source}: {bytes} bytes of UDP"), frame, Reason::TruncatedUdp));
        }
        // Twelve bytes are there.
        for stated in [0, 1, 7, 8, 11, 12, 13, 255, 65_535] {
            let frame = ip(address(source), UDP, &[udp_head(stated), vec![0; 4]].concat());
            let reason = if (8..=12).contains(&stated) { Reason::Passed } else { Reason::MalformedUdp };
            rows.push(row(format!("{source}: UDP that states {stated} bytes"), frame, reason));
        }
    }
    rows
}

fn icmp() -> Vec<Row> {
    let mut rows = Vec::new();
    for (source, protocol) in [(V4, ICMP), (V6, ICMP_V6)] {
        for bytes in 0..=9 {
            let reason = if bytes < 8 { Reason::TruncatedIcmp } else { Reason::Passed };
            rows.push(row(
                format!("{bytes} bytes of ICMP"),
                ip(address(source), protocol, &[8; 9][..bytes]),
                reason,
            ));
        }
    }
    rows
}
