//! What became of requests, as proxies tell it: lines in, signals, measures and charges out.

mod http;
mod journal;
mod line;
mod lines;
mod syslog;
mod tail;

use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::config::{Format, From, Outcomes, Place};
use super::listen::{Bound, Inherited, Left, make_way, open_to};
use super::live::Live;
use super::metrics::{Metrics, OutcomeMetrics};
use crate::clock;
use crate::engine::incident::Client;
use crate::inspect::{Header, Request};
use line::Outcome;

/// A request as a proxy has logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The host asked for; empty where the line does not say.
    pub host: String,
    /// The status of the answer.
    pub status: u16,
}

/// The request that `line` of an access log in `format` is of, if it can be read.
pub fn logged(format: Format, line: &[u8]) -> Option<Logged> {
    let Outcome { method, target, host, status, .. } = line::parse(format, line)?;
    Some(Logged { method, target, host, status })
}

/// Statuses that we answer ourselves.
const OURS: [u16; 5] = [403, 413, 415, 429, 431];

/// A source of outcomes, open.
#[derive(Debug)]
pub(super) struct Source {
    outcomes: Outcomes,
    opened: Opened,
}

#[derive(Debug)]
enum Opened {
    File(PathBuf),
    Udp(UdpSocket),
    Datagrams(UnixDatagram, Left),
    Journal,
    Http(Bound),
}

impl Source {
    /// Opens what can be without anybody's help; files and the journal are waited for.
    pub(super) fn open(outcomes: &Outcomes, inherited: &mut Inherited<'_>) -> io::Result<Self> {
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        let opened = match outcomes.from {
            From::File => Opened::File(outcomes.path.clone().ok_or_else(missing)?),
            From::Journal => Opened::Journal,
            From::Http => {
                let place = outcomes.listen.as_ref().ok_or_else(missing)?;
                Opened::Http(Bound::at(place, outcomes.group.as_deref(), inherited)?)
            }
            From::Syslog => match outcomes.listen.as_ref().ok_or_else(missing)? {
                Place::Address(address) => Opened::Udp(syslog::bind(*address)?),
                Place::Path(path) => {
                    make_way(path)?;
                    let socket = UnixDatagram::bind(path)?;
                    socket.set_nonblocking(true)?;
                    open_to(path, outcomes.group.as_deref())?;
                    let owner = Arc::clone(inherited.owner);
                    Opened::Datagrams(socket, Left { path: path.clone(), owner })
                }
            },
        };
        Ok(Self { outcomes: outcomes.clone(), opened })
    }

    /// What it accepts connections on, if it does.
    pub(super) fn bound(&self) -> Option<&Bound> {
        match &self.opened {
            Opened::Http(bound) => Some(bound),
            Opened::File(_) | Opened::Udp(_) | Opened::Datagrams(..) | Opened::Journal => None,
        }
    }

    /// Reads until `stop`.
    pub(super) async fn read(
        self,
        metrics: Metrics,
        live: Arc<Live>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { outcomes, opened } = self;
        let teller = Teller {
            format: outcomes.format,
            metrics: metrics.of_outcomes(outcomes.from.name(), &outcomes.site),
            live,
        };
        match opened {
            Opened::File(path) => tail::follow(path, teller, stop).await,
            Opened::Udp(socket) => syslog::by_udp(socket, &teller, &stop).await?,
            Opened::Datagrams(socket, left) => {
                syslog::by_path(socket, &teller, &stop).await?;
                drop(left);
            }
            Opened::Journal => journal::follow(&outcomes, &teller, &stop).await,
            Opened::Http(bound) => http::serve(bound, teller, stop).await?,
        }
        Ok(())
    }
}

/// Tells of lines to whom they may concern.
#[derive(Clone, Debug)]
struct Teller {
    format: Format,
    metrics: OutcomeMetrics,
    live: Arc<Live>,
}

impl Teller {
    /// Takes up one line.
    fn take(&self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        match line::parse(self.format, line) {
            Some(outcome) => self.tell(&outcome),
            None => self.metrics.unparsed.inc(),
        }
    }

    fn tell(&self, outcome: &Outcome) {
        let (now, status) = (clock::now(), outcome.status);
        let shared = self.live.load();
        let Some(told) = &self.live.told else { return };
        let was_refused = || {
            let address = outcome.address.filter(|_| OURS.contains(&status));
            address.is_some_and(|address| told.refused.shows(address, now))
        };
        let trail = outcome.awaited.and_then(|id| told.awaited.take(id));
        // What passed here was not refused here, whatever its status.
        if outcome.is_ours || (trail.is_none() && was_refused()) {
            return self.metrics.ours.inc();
        }
        self.metrics.answered(status, outcome.secs);
        if let Some(address) = outcome.address {
            shared.judge.spend(address, outcome.bytes, || now);
        }
        match (trail, outcome.address) {
            (Some(trail), _) => {
                self.metrics.awaited.inc();
                shared.judge.answered(Some(trail), status);
            }
            (None, Some(address)) => {
                self.metrics.read.inc();
                let headers = [Header { name: b"Host", value: outcome.host.as_bytes() }];
                let request = Request {
                    method: outcome.method.as_bytes(),
                    target: outcome.target.as_bytes(),
                    headers: &headers,
                    body: b"",
                };
                shared.judge.read_of(Client { address, by_proxy: true }, &request, now, status);
            }
            // It is known of nobody, and measured all the same.
            (None, None) => self.metrics.read.inc(),
        }
    }
}
