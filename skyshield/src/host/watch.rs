//! Being told when the host's addresses or routes change.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::sync::mpsc;

/// `RTMGRP_*` of `rtnetlink(7)`: links, addresses and routes of both families.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Wakes when something has changed since the last time.
#[derive(Debug)]
pub struct Watch(mpsc::Receiver<()>);

impl Watch {
    /// Resolves when something has changed; never again once the kernel has stopped telling.
    pub async fn changed(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Watches from a thread of its own, which ends when the watch is dropped and something changes.
///
/// What has changed is not read: whoever is woken looks for himself, so a message lost is no harm.
pub fn watch() -> io::Result<Watch> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    let (told, watch) = mpsc::channel(1);
    std::thread::Builder::new().name("netlink".to_owned()).spawn(move || {
        let mut message = [0; 8192];
        loop {
            let received = recv(netlink.as_raw_fd(), &mut message, MsgFlags::empty());
            let is_alive = matches!(received, Ok(_) | Err(nix::Error::ENOBUFS | nix::Error::EINTR));
            let is_wanted = !matches!(told.try_send(()), Err(mpsc::error::TrySendError::Closed(())));
            if !is_alive || !is_wanted {
                break;
            }
        }
    })?;
    Ok(Watch(watch))
}
