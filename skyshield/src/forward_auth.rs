//! The door for proxies that stay where they are: they ask before they serve, and are told yes or no.

mod answer;
mod asked;
mod awaited;
mod config;
mod connection;
mod listen;
mod live;
mod metrics;
mod original;
mod outcomes;
mod proxy;
mod wire;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Bans, BodyOverLimit, Config, Door, Format, From, OnFailure, Outcomes, Place};
pub use listen::Inherited;
pub use live::Handle;
pub use metrics::Metrics;
pub use outcomes::{Logged, logged};
pub use proxy::Proxy;

use self::listen::Bound;
use self::live::Live;
use self::outcomes::Source;
use crate::engine::incident;
use crate::engine::sight::Sight;
use crate::verdict::Judge;

/// A place to listen cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("forward-auth cannot listen on {place} ({key})")]
pub struct BindError {
    place: String,
    key: &'static str,
    source: io::Error,
}

/// Forward-auth ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener is lost.
    #[error("a forward-auth listener failed")]
    Listener(#[source] io::Error),
    /// A task panicked.
    #[error("a task of forward-auth died")]
    Task(#[source] tokio::task::JoinError),
}

/// Forward-auth that holds its places and answers nobody yet.
#[derive(Debug)]
pub struct ForwardAuth {
    doors: Vec<Bound>,
    sources: Vec<Source>,
    config: Config,
}

impl ForwardAuth {
    /// Binds every place of `config`, or none.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let owner = Arc::new(AtomicBool::new(true));
        let (tcp, unix) = (&mut Vec::new(), &mut Vec::new());
        Self::take_up(config, Inherited { tcp, unix, owner: &owner })
    }

    /// [`Self::bind`], and what of it a predecessor has bound is taken out of `inherited`.
    pub fn take_up(config: &Config, mut inherited: Inherited<'_>) -> Result<Self, BindError> {
        let doors = config.doors.iter().map(|door| {
            let bound = Bound::at(&door.listen, door.group.as_deref(), &mut inherited);
            let (place, key) = (door.listen.to_string(), "forward_auth.doors");
            bound.map_err(|source| BindError { place, key, source })
        });
        let doors = doors.collect::<Result<_, _>>()?;
        let sources = config.outcomes.iter().map(|outcomes| {
            let place = outcomes.listen.as_ref().map(ToString::to_string).unwrap_or_default();
            let key = "forward_auth.outcomes";
            Source::open(outcomes, &mut inherited).map_err(|source| BindError { place, key, source })
        });
        Ok(Self { doors, sources: sources.collect::<Result<_, _>>()?, config: config.clone() })
    }

    /// The sockets it listens on, once more, for a successor.
    pub fn sockets(&self) -> io::Result<(Vec<TcpListener>, Vec<UnixListener>)> {
        let (mut tcp, mut unix) = (Vec::new(), Vec::new());
        let bound = self.doors.iter().chain(self.sources.iter().filter_map(Source::bound));
        for bound in bound {
            match bound {
                Bound::Tcp(listener) => tcp.push(listener.try_clone()?),
                Bound::Unix(listener, _) => unix.push(listener.try_clone()?),
            }
        }
        Ok((tcp, unix))
    }

    /// Ready to answer by `judge` until `stop`.
    pub fn open(self, judge: Judge, metrics: &Metrics, stop: CancellationToken) -> Open {
        let Self { doors, sources, config } = self;
        let live = Arc::new(Live::new(&config, judge, metrics));
        Open { doors, sources, metrics: metrics.clone(), live, stop }
    }
}

/// Forward-auth that is ready to answer.
#[derive(Debug)]
pub struct Open {
    doors: Vec<Bound>,
    sources: Vec<Source>,
    metrics: Metrics,
    live: Arc<Live>,
    stop: CancellationToken,
}

impl Open {
    /// The handle to it while it answers.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.live))
    }

    /// Answers until it is stopped.
    pub async fn serve(self) -> Result<(), Error> {
        let Self { doors, sources, metrics, live, stop } = self;
        let mut tasks = JoinSet::new();
        for (at, bound) in doors.into_iter().enumerate() {
            tasks.spawn(listen::accept(bound, at, Arc::clone(&live), stop.clone()));
        }
        for source in sources {
            tasks.spawn(source.read(metrics.clone(), Arc::clone(&live), stop.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::Task)?.map_err(Error::Listener)?;
        }
        // Where there is no door it is done only when it is told to be.
        stop.cancelled().await;
        Ok(())
    }
}

impl Config {
    /// How far each door sees, and what it cannot.
    pub fn sights(&self) -> Vec<Sight> {
        let sight = |door: &Door| {
            let mut cannot = door.proxy.cannot();
            if self.outcomes.is_empty() {
                cannot.push("nobody tells what became of requests: behaviour is not watched (`forward_auth.outcomes`)");
            }
            if door.bans == Bans::Door {
                cannot.push(
                    "clients are banned at this door alone; where they connect to this host directly, `bans = \
                     \"kernel\"` drops their packets",
                );
            }
            Sight {
                door: incident::Door::ForwardAuth.name(),
                name: door.name().to_owned(),
                place: door.listen.to_string(),
                mode: door.proxy.mode(),
                sees_bodies: door.proxy.sends_bodies(),
                bans: match door.bans {
                    Bans::Door => "door",
                    Bans::Kernel => "kernel",
                },
                cannot,
            }
        };
        self.doors.iter().map(sight).collect()
    }
}
