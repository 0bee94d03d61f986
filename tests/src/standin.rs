//! A server that stands in for somebody else's: it answers as it is told, well or badly, and notes what it
//! was asked.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How it answers.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With this status, these header lines and this body.
    Say(u16, Vec<String>, Vec<u8>),
    /// Not at all: the connection is closed.
    HangUp,
    /// Not at all: the connection stays open for this long.
    Silent(Duration),
    /// A byte of this body at a time, with this pause between.
    Trickle(Vec<u8>, Duration),
    /// Bytes that are no HTTP.
    Babble,
    /// A body without an end.
    Endless,
}

impl Manner {
    /// 200, and this JSON.
    pub fn json(text: &str) -> Self {
        Self::Say(200, vec!["Content-Type: application/json".to_owned()], text.as_bytes().to_vec())
    }

    /// This status, and this text.
    pub fn status(status: u16, text: &str) -> Self {
        Self::Say(status, Vec::new(), text.as_bytes().to_vec())
    }
}

/// What answers a request, of which it is given all of the text.
type Answerer = Box<dyn FnMut(&str) -> Manner + Send>;

struct State {
    answerer: Answerer,
    asked: Vec<String>,
}

/// A running server; it listens until the process ends.
#[derive(Clone)]
pub struct StandIn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Requests that are remembered.
const REMEMBERED: usize = 100_000;

impl StandIn {
    /// A server on loopback that answers as `answerer` says.
    pub fn new(answerer: impl FnMut(&str) -> Manner + Send + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { answerer: Box::new(answerer), asked: Vec::new() }));
        let shared = Arc::clone(&state);
        thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that is held up by its answer holds up nobody else.
                let _none = thread::Builder::new().spawn(move || _ = converse(stream, &state));
            }
        })?;
        Ok(Self { address, state })
    }

    /// A server that always answers in this manner.
    pub fn always(manner: Manner) -> anyhow::Result<Self> {
        Self::new(move |_| manner.clone())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers as `answerer` says from now on.
    pub fn answer(&self, answerer: impl FnMut(&str) -> Manner + Send + 'static) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answerer = Box::new(answerer);
    }

    /// All that it was asked, as it came.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}

fn converse(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let whole = loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = crate::http::field(head, "content-length").and_then(|length| length.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    let manner = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked.len() < REMEMBERED {
            state.asked.push(whole.clone());
        }
        (state.answerer)(&whole)
    };
    match manner {
        Manner::Say(status, lines, body) => {
            let mut head =
                format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
            for line in lines.iter().map(String::as_str).chain([""]) {
                head.push_str(line);
                head.push_str("\r\n");
            }
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body)
        }
        Manner::HangUp => Ok(()),
        Manner::Silent(pause) => {
            thread::sleep(pause);
            Ok(())
        }
        Manner::Trickle(body, pause) => {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes())?;
            for byte in body {
                stream.write_all(&[byte])?;
                thread::sleep(pause);
            }
            Ok(())
        }
        Manner::Babble => stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n"),
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\":\"")?;
            let chunk = [b'x'; 8192];
            // Whoever reads on gets a gigabyte.
            for _ in 0..131_072 {
                stream.write_all(&chunk)?;
            }
            Ok(())
        }
    }
}
