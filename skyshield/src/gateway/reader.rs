//! Requests out of bytes that somebody else has received: read as those of a connection of ours are.

mod loose;

use std::net::IpAddr;
use std::sync::Arc;

use super::body::Rest;
use super::buffer::Buffer;
use super::client_ip::TrustedProxies;
use super::config::Config;
use super::field::Kind;
use super::guard::Cause;
use super::head::{Head, Scan, early_problem, scan};
use crate::engine::incident::Client;
use crate::inspect::{Header, Request};

/// What readers go by.
#[derive(Clone, Debug)]
pub struct Reading {
    head_bytes: usize,
    headers: usize,
    inspected_body_bytes: usize,
    trusted: TrustedProxies,
}

impl Reading {
    /// As the gateway of this configuration reads.
    pub fn of(config: &Config) -> Self {
        Self {
            head_bytes: config.limits.head_bytes,
            headers: config.limits.headers,
            inspected_body_bytes: config.limits.inspected_body_bytes,
            trusted: TrustedProxies::new(&config.trusted_proxies),
        }
    }
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It needs more bytes.
    More,
    /// It has shown a request, and may have another.
    Seen {
        /// Whether all of its body was shown; what is beyond the limit of the gateway's is not.
        whole: bool,
    },
    /// The gateway would not have taken the request: why. Where its end could be told all the same, it
    /// was shown as another server may have read it, and what follows is read on.
    Refused(&'static str),
    /// What follows cannot be told from anything: the stream is lost.
    Lost(&'static str),
}

#[derive(Debug)]
enum State {
    /// A head is to come, so many bytes of which were looked at.
    Head { scanned: usize, judged_early: bool, skipped: bool },
    /// A body behind the head.
    Body { held: usize, rest: Rest },
    /// What is not inspected of a body.
    Beyond { rest: Rest },
    /// A head that the gateway would not have taken.
    Loose { cause: Cause },
    /// The body behind such a head.
    LooseBody { cause: Cause, head: loose::Loose },
}

const BETWEEN: State = State::Head { scanned: 0, judged_early: false, skipped: false };

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct Reader {
    reading: Arc<Reading>,
    input: Buffer,
    head: Head,
    state: State,
}

impl Reader {
    /// One that has read nothing.
    pub fn new(reading: Arc<Reading>) -> Self {
        Self { reading, input: Buffer::with_capacity(0), head: Head::default(), state: BETWEEN }
    }

    /// Takes what the connection carried next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Bytes that it keeps.
    pub fn held(&self) -> usize {
        self.input.capacity()
    }

    /// Whether it has read whole requests, and nothing of another.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Head { .. }) && self.input.is_empty()
    }

    /// How many of the bytes that come next it would only throw away.
    pub fn unwanted(&self) -> u64 {
        if let State::Beyond { rest: Rest::Length(left) } = self.state { left } else { 0 }
    }

    /// Whether it can do without the next `count` bytes, which will not come.
    pub fn skip(&mut self, count: u64) -> bool {
        let State::Beyond { rest: Rest::Length(left) } = &mut self.state else { return count == 0 };
        if count > *left {
            return false;
        }
        *left -= count;
        if *left == 0 {
            self.state = BETWEEN;
        }
        true
    }

    /// Reads on, and shows a request of `peer`'s once there is one.
    pub fn read(&mut self, peer: IpAddr, show: &mut dyn FnMut(Client, &Request<'_>)) -> Progress {
        let progress = loop {
            match self.step(peer, show) {
                Ok(Some(progress)) => break progress,
                Ok(None) => {}
                Err(cause) if matches!(self.state, State::Head { .. }) => self.state = State::Loose { cause },
                Err(cause) => break Progress::Lost(cause.name()),
            }
        };
        if self.is_between() {
            // Most connections are between two requests most of the time.
            self.input = Buffer::with_capacity(0);
            self.head = Head::default();
        }
        progress
    }

    /// One step, if it leads anywhere: `None` where another follows it.
    fn step(
        &mut self,
        peer: IpAddr,
        show: &mut dyn FnMut(Client, &Request<'_>),
    ) -> Result<Option<Progress>, Cause> {
        match &mut self.state {
            State::Head { .. } => self.read_head(),
            State::Body { held, rest } => {
                let from = self.head.len + *held;
                *held += rest.take(&mut self.input, from)?;
                let (held, rest) = (*held, *rest);
                if !rest.is_done() && held < self.reading.inspected_body_bytes {
                    return Ok(Some(Progress::More));
                }
                self.show(peer, held, show);
                self.input.consume(self.head.len + held);
                self.state = if rest.is_done() { BETWEEN } else { State::Beyond { rest } };
                Ok(Some(Progress::Seen { whole: rest.is_done() }))
            }
            State::Beyond { rest } => {
                let thrown = rest.take(&mut self.input, 0)?;
                self.input.consume(thrown);
                if rest.is_done() {
                    self.state = BETWEEN;
                    return Ok(None);
                }
                Ok(Some(Progress::More))
            }
            State::Loose { cause } => {
                let cause = *cause;
                match loose::Loose::find(self.input.filled()) {
                    Some(head) => self.state = State::LooseBody { cause, head },
                    None if self.input.len() < self.reading.head_bytes => return Ok(Some(Progress::More)),
                    None => return Err(cause),
                }
                Ok(None)
            }
            State::LooseBody { cause, head } => {
                let (name, len, end) = (cause.name(), head.len, head.len.saturating_add(head.body));
                let wanted = end.min(len.saturating_add(self.reading.inspected_body_bytes));
                if self.input.len() < wanted {
                    return Ok(Some(Progress::More));
                }
                let bytes = self.input.filled();
                head.show(bytes, bytes.get(len..wanted).unwrap_or_default(), |request| {
                    show(Client { address: peer, by_proxy: false }, request);
                });
                self.input.consume(wanted);
                let left = (end - wanted) as u64;
                self.state = if left == 0 { BETWEEN } else { State::Beyond { rest: Rest::Length(left) } };
                Ok(Some(Progress::Refused(name)))
            }
        }
    }

    fn read_head(&mut self) -> Result<Option<Progress>, Cause> {
        let State::Head { scanned, judged_early, skipped } = &mut self.state else { return Ok(None) };
        if self.input.is_empty() {
            return Ok(Some(Progress::More));
        }
        if !*skipped && self.input.filled().starts_with(b"\r\n") {
            self.input.consume(2);
            *skipped = true;
            return Ok(None);
        }
        let limits = &self.reading;
        if let Scan::Complete(len) = scan(self.input.filled(), *scanned)? {
            if len > limits.head_bytes {
                return Err(Cause::HeadTooLarge);
            }
            let bytes = self.input.filled_mut().get_mut(..len).unwrap_or_default();
            self.head.parse(bytes, limits.headers)?;
            let rest = Rest::of(self.head.framing);
            self.state = State::Body { held: 0, rest };
            return Ok(None);
        }
        *scanned = if self.input.len() > 1 { self.input.len() } else { 0 };
        if !*judged_early && memchr::memchr(b'\n', self.input.filled()).is_some() {
            *judged_early = true;
            early_problem(self.input.filled()).map_or(Ok(()), Err)?;
        }
        if *scanned >= limits.head_bytes {
            return Err(if *judged_early { Cause::HeadTooLarge } else { Cause::TargetTooLong });
        }
        Ok(Some(Progress::More))
    }

    fn show(&self, peer: IpAddr, body: usize, show: &mut dyn FnMut(Client, &Request<'_>)) {
        let (bytes, head) = (self.input.filled(), &self.head);
        let lines = head.fields.iter();
        let headers: Vec<Header<'_>> =
            lines.map(|field| Header { name: field.name.at(bytes), value: field.value.at(bytes) }).collect();
        let request = Request {
            method: head.method.at(bytes),
            target: head.target.at(bytes),
            headers: &headers,
            body: bytes.get(head.len..head.len + body).unwrap_or_default(),
        };
        let client = if self.reading.trusted.contain(peer) {
            let lines = head.fields.iter().filter(|field| field.kind == Kind::ForwardedFor);
            self.reading.trusted.client_behind(peer, lines.map(|field| field.value.at(bytes)))
        } else {
            Client { address: peer, by_proxy: false }
        };
        show(client, &request);
    }
}

/// Whether what begins with these bytes may be a request, at first sight.
pub fn may_begin_a_request(bytes: &[u8]) -> bool {
    const LONGEST_METHOD: usize = 20;
    let method = bytes.iter().position(|byte| !byte.is_ascii_uppercase()).unwrap_or(bytes.len());
    let starts_target = |rest: &[u8]| matches!(rest, [b' ', b'/' | b'h' | b'H' | b'*', ..]);
    (1..=LONGEST_METHOD).contains(&method) && bytes.get(method..).is_some_and(starts_target)
}

#[cfg(test)]
mod tests;
