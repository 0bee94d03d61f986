//! The way from a running daemon to its successor: a socket between the two, over which the listening
//! sockets go, and the word on who holds the store and the kernel.
//!
//! The successor is the running daemon's child, with that socket as its standard input: it stays in the
//! service's control group, nobody else can take its place, and no other process needs to be told.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// What tells a process that it is a successor.
pub const SUCCESSOR: &str = "--successor";
/// Sockets that are handed over at the most.
const MAX_SOCKETS: usize = 64;

/// Listening sockets.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Those with an address and a port.
    pub tcp: Vec<TcpListener>,
    /// Those with a path.
    pub unix: Vec<UnixListener>,
}

impl Sockets {
    /// Takes the one that listens at `path`, if it is there.
    pub fn take_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let is_it = |socket: &UnixListener| {
            socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
        };
        let at = self.unix.iter().position(is_it)?;
        Some(self.unix.swap_remove(at))
    }

    fn all(&self) -> Vec<BorrowedFd<'_>> {
        self.tcp.iter().map(AsFd::as_fd).chain(self.unix.iter().map(AsFd::as_fd)).collect()
    }
}

/// Takes the one that listens at `address` out of `sockets`, if it is there.
pub fn take_tcp(sockets: &mut Vec<TcpListener>, address: SocketAddr) -> Option<TcpListener> {
    let at = sockets.iter().position(|socket| socket.local_addr().is_ok_and(|bound| bound == address))?;
    Some(sockets.swap_remove(at))
}

/// What the two tell each other, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// The successor has checked what can be checked, and holds every socket.
    Prepared = b'P',
    /// The running daemon has let go of store and kernel.
    Yours = b'Y',
    /// The successor serves.
    Serving = b'S',
}

/// One end of the line between the two.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    /// Says `word`.
    pub fn say(&mut self, word: Word) -> io::Result<()> {
        self.0.write_all(&[word as u8])
    }

    /// Waits for `word`, `patience` at the most. Blocks.
    pub fn wait_for(&mut self, word: Word, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))?;
        let mut said = [0];
        self.0.read_exact(&mut said)?;
        if said == [word as u8] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// The same end once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    fn send(&self, sockets: &Sockets) -> io::Result<()> {
        let all = sockets.all();
        let counts = [sockets.tcp.len(), sockets.unix.len()].map(u8::try_from);
        let [Ok(tcp), Ok(unix)] = counts else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if all.len() > MAX_SOCKETS || !control.push(SendAncillaryMessage::ScmRights(&all)) {
            return Err(io::Error::other(format!("there are more than {MAX_SOCKETS} sockets to hand over")));
        }
        sendmsg(&self.0, &[IoSlice::new(&[tcp, unix])], &mut control, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&self) -> io::Result<Sockets> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut counts = [0; 2];
        let received =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut counts)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut all: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                all.extend(sockets);
            }
        }
        let [tcp, unix] = counts.map(usize::from);
        if received.bytes != counts.len() || all.len() != tcp + unix {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let unix = all.split_off(tcp).into_iter().map(UnixListener::from).collect();
        Ok(Sockets { tcp: all.into_iter().map(TcpListener::from).collect(), unix })
    }
}

/// A started successor.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    /// The line to it.
    pub line: Line,
}

impl Successor {
    /// Starts `program` with `arguments` as the successor, and sends it `sockets`.
    pub fn start(program: &Path, arguments: &[OsString], sockets: &Sockets) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let line = Line(ours);
        line.send(sockets)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(SUCCESSOR).stdin(OwnedFd::from(theirs));
        Ok(Self { child: command.spawn()?, line })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it. Blocks.
    pub fn give_up(mut self) {
        // Where it has ended already there is nothing to end.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The line to the predecessor, and what it hands over. Blocks.
pub fn inherit() -> io::Result<(Line, Sockets)> {
    let line = Line(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
    let sockets = line.receive()?;
    Ok((line, sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_over_the_line_and_go_on_listening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let tcp = ["127.0.0.1:0", "127.0.0.1:0"].map(|address| TcpListener::bind(address).unwrap());
        let addresses = tcp.each_ref().map(|socket| socket.local_addr().unwrap());
        let unix = vec![UnixListener::bind(&path).unwrap()];
        let (ours, theirs) = UnixStream::pair().unwrap();
        Line(ours).send(&Sockets { tcp: tcp.into(), unix }).unwrap();
        // The one who sent them is gone.
        let mut sockets = Line(theirs).receive().unwrap();
        let client = std::net::TcpStream::connect(addresses[1]).unwrap();
        let second = take_tcp(&mut sockets.tcp, addresses[1]).unwrap();
        assert_eq!(second.accept().unwrap().1, client.local_addr().unwrap());
        assert!(take_tcp(&mut sockets.tcp, addresses[1]).is_none() && sockets.tcp.len() == 1);
        assert!(sockets.take_unix(&path).is_some() && sockets.take_unix(&path).is_none());
    }

    #[test]
    fn whoever_says_the_wrong_thing_or_nothing_is_not_believed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Line(ours), Line(theirs));
        let soon = Duration::from_millis(20);
        assert!(ours.wait_for(Word::Prepared, soon).is_err());
        theirs.say(Word::Serving).unwrap();
        assert!(ours.wait_for(Word::Prepared, soon).is_err());
        theirs.say(Word::Prepared).unwrap();
        assert!(ours.wait_for(Word::Prepared, soon).is_ok());
        drop(theirs);
        assert!(ours.wait_for(Word::Serving, soon).is_err());
    }
}
