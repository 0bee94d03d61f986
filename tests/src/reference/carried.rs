//! What is odd about TCP, UDP and ICMP.

use skyshield_common::Reason;

use super::frame::number;
use super::internet::Class;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP: u8 = 1;
pub(super) const ICMP_V6: u8 = 58;

/// What `bytes` of this protocol are. Where it `goes_on` in other fragments, a header that is not all here is hidden.
pub(super) fn read(protocol: u8, bytes: &[u8], goes_on: bool) -> Result<Class, Reason> {
    let hidden = |cut: Reason| if goes_on { Reason::MalformedFragment } else { cut };
    match protocol {
        TCP if bytes.len() < 20 => Err(hidden(Reason::TruncatedTcp)),
        TCP => {
            let head = usize::from(bytes[12] >> 4) * 4;
            if head < 20 {
                return Err(Reason::MalformedTcp);
            }
            if head > bytes.len() {
                return Err(hidden(Reason::MalformedTcp));
            }
            flags(bytes[13])
        }
        UDP if bytes.len() < 8 => Err(hidden(Reason::TruncatedUdp)),
        UDP => {
            let stated = usize::from(number(bytes, 4));
            let is_longer = stated > bytes.len() && !goes_on;
            if stated < 8 || is_longer { Err(Reason::MalformedUdp) } else { Ok(Class::Udp) }
        }
        ICMP | ICMP_V6 if bytes.len() < 8 => Err(hidden(Reason::TruncatedIcmp)),
        _ => Ok(Class::Other),
    }
}

fn flags(flags: u8) -> Result<Class, Reason> {
    let has = |bit: u8| flags >> bit & 1 != 0;
    let (fin, syn, rst, psh, ack, urg) = (has(0), has(1), has(2), has(3), has(4), has(5));
    if !(fin || syn || rst || psh || ack || urg) {
        Err(Reason::TcpNull)
    } else if fin && psh && urg {
        Err(Reason::TcpXmas)
    } else if syn && (fin || rst) {
        Err(Reason::TcpSynFin)
    } else if syn && !ack {
        Ok(Class::Syn)
    } else {
        Ok(Class::Other)
    }
}
