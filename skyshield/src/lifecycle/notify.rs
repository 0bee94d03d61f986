//! What a service manager is told, where one listens: the protocol of `sd_notify`.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::time::{ClockId, clock_gettime};

/// Tells that the daemon is ready, after a start or after a reload.
pub fn ready() {
    tell("READY=1");
}

/// Tells that the configuration is being read again; [`ready`] is to follow.
pub fn reloading() {
    // By this time the manager tells a new reload from the last.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return };
    let micros = i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// Tells that another process is the daemon from here on.
pub fn main_pid(pid: u32) {
    tell(&format!("MAINPID={pid}"));
}

/// Tells that the daemon is about to end.
pub fn stopping() {
    tell("STOPPING=1");
}

/// Nobody listens outside of a service manager, and who cannot be told is no reason to stop.
fn tell(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(place.as_bytes(), state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn send(place: &[u8], state: &str) -> io::Result<()> {
    let address = match place {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold up the daemon.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_by_a_path_and_by_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("skyshield-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (listener, place) in
            [(by_path, path.as_os_str().as_bytes().to_vec()), (by_name, format!("@{name}").into_bytes())]
        {
            send(&place, "READY=1").unwrap();
            let mut told = [0; 64];
            let length = listener.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1");
        }
    }
}
