//! A small sample shop: the upstream of the demo and of the tests of the whole road.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What every page of the shop holds, so that a client knows the shop has answered.
pub const MARK: &str = "SkyShield sample shop";

/// A running shop.
#[derive(Clone, Debug, Default)]
pub struct Shop(Arc<AtomicU64>);

impl Shop {
    /// Serves on `listener` from a thread of its own, for the life of the process.
    pub fn open(listener: TcpListener) -> Self {
        let shop = Self::default();
        let served = shop.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A client that goes away in mid-request is no fault of the shop's.
                thread::spawn(move || served.converse(stream).ok());
            }
        });
        shop
    }

    /// Requests that have reached the shop.
    pub fn served(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
            let mut length = 0;
            loop {
                let mut field = String::new();
                reader.read_line(&mut field)?;
                if field.trim_end().is_empty() {
                    break;
                }
                if let Some(value) = field.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
            self.0.fetch_add(1, Ordering::Relaxed);
            let page = format!(
                "<!doctype html>\n<title>{MARK}</title>\n<h1>{MARK}</h1>\n<p>You asked for {} characters of path.\n",
                target.len()
            );
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            )?;
        }
    }
}
