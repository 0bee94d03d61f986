//! An upstream that reads in one way only, and keeps what it has read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

/// A whole request as it was forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// How long its body is, without framing.
    pub length: usize,
    /// All its bytes.
    pub raw: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    whole: Vec<Forwarded>,
    odd: Vec<String>,
}

/// A running one. It serves for the life of the process.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Where it listens.
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Recorder {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let recorder = Self { address: listener.local_addr()?, kept: Arc::default() };
        let serving = recorder.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recorder = serving.clone();
                thread::spawn(move || {
                    if let Err(odd) = recorder.converse(&stream) {
                        recorder.keep(|kept| kept.odd.push(format!("{odd:#}")));
                    }
                });
            }
        });
        Ok(recorder)
    }

    /// What has come since this was last asked, and what of it was not read in one way.
    pub fn take(&self) -> (Vec<Forwarded>, Vec<String>) {
        self.keep(|kept| (std::mem::take(&mut kept.whole), std::mem::take(&mut kept.odd)))
    }

    fn keep<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn converse(&self, stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut raw = Vec::new();
            let Some(request) = read_request(&mut reader, &mut raw)? else { return Ok(()) };
            self.keep(|kept| kept.whole.push(request));
            // The gateway may have hung up on its client and on us.
            if (&*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return Ok(());
            }
        }
    }
}

/// A request, or nothing where the connection ends before it is whole; an error where it is odd.
fn read_request(reader: &mut impl BufRead, raw: &mut Vec<u8>) -> Result<Option<Forwarded>> {
    let Some(line) = read_line(reader, raw)? else { return Ok(None) };
    let words: Vec<&str> = line.split(' ').collect();
    let &[method, target, "HTTP/1.1"] = words.as_slice() else { bail!("request line {line:?}") };
    let (mut length, mut chunked, mut hosts) = (None, false, 0);
    loop {
        let Some(field) = read_line(reader, raw)? else { return Ok(None) };
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(": ").with_context(|| format!("line {field:?}"))?;
        ensure!(is_name(name) && !value.starts_with([' ', '\t']), "line {field:?}");
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => {
                ensure!(
                    length.is_none() && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
                    "{field:?}"
                );
                length = Some(value.parse()?);
            }
            "transfer-encoding" => {
                ensure!(!chunked && value == "chunked", "{field:?}");
                chunked = true;
            }
            "upgrade" | "trailer" | "te" | "expect" | "keep-alive" => bail!("{field:?} is not for us"),
            _ => {}
        }
    }
    ensure!(hosts == 1, "{hosts} hosts");
    ensure!(!chunked || length.is_none(), "two framings");
    let body =
        if chunked { read_chunks(reader, raw)? } else { read_exactly(reader, raw, length.unwrap_or(0)) };
    let Some(length) = body else { return Ok(None) };
    Ok(Some(Forwarded { method: method.to_owned(), target: target.to_owned(), length, raw: raw.clone() }))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A line that ends in CRLF, without it; nothing at the end of the connection.
fn read_line(reader: &mut impl BufRead, raw: &mut Vec<u8>) -> Result<Option<String>> {
    let from = raw.len();
    // A gateway that resets the connection ends it, too.
    if reader.read_until(b'\n', raw).is_err() || raw.len() == from || raw.last() != Some(&b'\n') {
        return Ok(None);
    }
    let line = raw[from..].strip_suffix(b"\r\n").context("a line that ends in LF alone")?;
    ensure!(
        !line.iter().any(|&byte| byte == 0x7f || (byte < b' ' && byte != b'\t')),
        "a control character in {line:?}"
    );
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

fn read_exactly(reader: &mut impl Read, raw: &mut Vec<u8>, length: usize) -> Option<usize> {
    let from = raw.len();
    let read = reader.take(length as u64).read_to_end(raw);
    (read.is_ok() && raw.len() - from == length).then_some(length)
}

fn read_chunks(reader: &mut impl BufRead, raw: &mut Vec<u8>) -> Result<Option<usize>> {
    let mut whole = 0;
    loop {
        let Some(line) = read_line(reader, raw)? else { return Ok(None) };
        ensure!(line.bytes().all(|byte| byte.is_ascii_hexdigit()), "chunk size {line:?}");
        let size = usize::from_str_radix(&line, 16)?;
        let Some(read) = read_exactly(reader, raw, size) else { return Ok(None) };
        whole += read;
        let Some(end) = read_line(reader, raw)? else { return Ok(None) };
        ensure!(end.is_empty(), "behind a chunk {end:?}");
        if size == 0 {
            return Ok(Some(whole));
        }
    }
}
