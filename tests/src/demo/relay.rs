//! A port of the guarded host's loopback, opened on this host's.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::netns::Netns;

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;

/// Relays from 127.0.0.1 here to 127.0.0.1 in `host`, on `port` both sides, or here on another where
/// it is taken. Where it can be reached.
pub(super) fn open(host: &Netns, port: u16) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    let inside = host.name().to_owned();
    let open = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (inside, open) = (inside.clone(), Arc::clone(&open));
            thread::spawn(move || {
                // Either side may go away at any time.
                let _ = relay(&client, &inside, port);
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(address)
}

fn relay(client: &TcpStream, inside: &str, port: u16) -> anyhow::Result<()> {
    let server = Netns::enter(inside, || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?))?;
    thread::scope(|scope| {
        scope.spawn(|| copy(client, &server));
        copy(&server, client);
    });
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Write);
}
