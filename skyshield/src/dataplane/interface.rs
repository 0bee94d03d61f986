//! What the kernel says of an interface, and of the XDP program on it, over netlink.
//!
//! Not over `/sys`: that shows the network namespace it was mounted in, not the one we are in.

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
/// The upper bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;
const HEADER_BYTES: usize = 16;
const INFO_BYTES: usize = 16;
/// An answer with all attributes of a big machine's interface.
const ANSWER_BYTES: usize = 64 * 1024;

/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`: frames begin with an Ethernet header.
const ETHERNET_TYPES: [u16; 2] = [1, 772];

/// Where in the receive path an XDP program really runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// Behind the driver.
    Generic,
    /// On the network card itself.
    Offloaded,
    /// Several at once.
    Several,
}

impl XdpMode {
    /// Its name in the API and the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
            Self::Several => "several",
        }
    }
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) link_type: u16,
    /// The XDP program on it: where it runs, and its number.
    pub(super) xdp: Option<(XdpMode, u32)>,
}

impl Interface {
    pub(super) fn is_ethernet(&self) -> bool {
        ETHERNET_TYPES.contains(&self.link_type)
    }
}

/// The names of all interfaces in this network namespace.
pub(super) fn names() -> Vec<String> {
    nix::net::if_::if_nameindex()
        .map(|all| all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default()
}

/// The interface called `name`; `None` if there is none.
pub(super) fn by_name(name: &str) -> io::Result<Option<Interface>> {
    match nix::net::if_::if_nametoindex(name) {
        Ok(ifindex) => by_index(ifindex),
        Err(_) => Ok(None),
    }
}

/// The interface of this number; `None` if there is none.
pub(super) fn by_index(ifindex: u32) -> io::Result<Option<Interface>> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(netlink.as_raw_fd(), &request(ifindex), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = vec![0_u8; ANSWER_BYTES];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answer.truncate(length);
    read(&answer)
}

fn request(ifindex: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + INFO_BYTES);
    message.extend(32_u32.to_ne_bytes());
    message.extend(RTM_GETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence, port
    message.extend([0; 4]); // family, padding, type
    message.extend(ifindex.to_ne_bytes());
    message.extend([0; 8]); // flags, change mask
    message
}

fn read(message: &[u8]) -> io::Result<Option<Interface>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an answer that cannot be read");
    match u16_at(message, 4).ok_or_else(malformed)? {
        RTM_NEWLINK => {}
        NLMSG_ERROR => {
            let code = u32_at(message, HEADER_BYTES).ok_or_else(malformed)?.cast_signed();
            let error = io::Error::from_raw_os_error(-code);
            return if error.raw_os_error() == Some(nix::libc::ENODEV) { Ok(None) } else { Err(error) };
        }
        _ => return Err(malformed()),
    }
    let link_type = u16_at(message, HEADER_BYTES + 2).ok_or_else(malformed)?;
    let ifindex = u32_at(message, HEADER_BYTES + 4).ok_or_else(malformed)?;
    let mut interface = Interface { name: String::new(), ifindex, link_type, xdp: None };
    for (kind, value) in attributes(message.get(HEADER_BYTES + INFO_BYTES..).unwrap_or_default()) {
        match kind {
            IFLA_IFNAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                interface.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_XDP => interface.xdp = xdp(value),
            _ => {}
        }
    }
    Ok(Some(interface))
}

fn xdp(nested: &[u8]) -> Option<(XdpMode, u32)> {
    let (mut mode, mut program) = (None, 0);
    for (kind, value) in attributes(nested) {
        match kind {
            IFLA_XDP_ATTACHED => {
                mode = match value.first() {
                    Some(1) => Some(XdpMode::Native),
                    Some(2) => Some(XdpMode::Generic),
                    Some(3) => Some(XdpMode::Offloaded),
                    Some(4) => Some(XdpMode::Several),
                    Some(_) | None => None,
                };
            }
            IFLA_XDP_PROG_ID => program = u32_at(value, 0).unwrap_or_default(),
            _ => {}
        }
    }
    mode.map(|mode| (mode, program))
}

/// The attributes in a row of them; one that does not fit ends the row.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_known_by_name_and_number() {
        let Some(lo) = by_name("lo").unwrap() else { return };
        assert_eq!(lo.name, "lo");
        assert!(lo.is_ethernet());
        assert_eq!(by_index(lo.ifindex).unwrap(), Some(lo));
        assert!(names().contains(&"lo".to_owned()));
    }

    #[test]
    fn no_such_interface_is_an_answer() {
        assert_eq!(by_name("no-such-iface").unwrap(), None);
        assert_eq!(by_index(0x7fff_fff0).unwrap(), None);
    }

    #[test]
    fn a_torn_answer_is_an_error_and_not_a_panic() {
        for length in 0..48 {
            assert!(read(&vec![0xff; length]).is_err());
        }
        assert_eq!(attributes(&[3, 0, 1, 0, 9]).count(), 0);
    }
}
