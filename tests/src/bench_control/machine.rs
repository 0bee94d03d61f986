//! A host of its own: a namespace, an interface, a folder for pins, a disk, and daemons that come and go.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use skyshield::clock;
use skyshield::control::{self, Control, Parts, Task};
use skyshield::dataplane::{Config, Enforcer, Kernel};
use skyshield::engine::behaviour::{self, Behaviour};
use skyshield::engine::ledger::Capacity;
use skyshield::engine::never_ban::NeverBan;
use skyshield::engine::view::View;
use skyshield::engine::{escalation, risk};
use skyshield::store::{self, Opened};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bpffs::Bpffs;
use crate::netns::{End, Netns, Veth};

const GUARDED: &str = "guarded0";

/// The host.
pub(super) struct Machine {
    host: Netns,
    _client: Netns,
    bpffs: Bpffs,
    dir: TempDir,
    capacity: u32,
    widen: bool,
}

/// A daemon's core, not running yet.
pub(super) struct Idle {
    pub(super) task: Task,
    pub(super) control: Control,
    pub(super) view: Arc<View>,
    pub(super) opened: Opened,
}

/// The same, running.
pub(super) struct Running {
    pub(super) control: Control,
    pub(super) view: Arc<View>,
    pub(super) opened: Opened,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Machine {
    /// One with room for `capacity` bans.
    pub(super) fn new(capacity: u32) -> Result<Self> {
        let (host, client) = (Netns::new("decide")?, Netns::new("client")?);
        Veth::join(
            End { netns: &client, interface: "client0", addresses: &["10.99.0.2/24"] },
            End { netns: &host, interface: GUARDED, addresses: &["10.99.0.1/24"] },
        )?;
        // Nothing comes in but what is measured.
        client.ip(&["link", "set", "client0", "down"])?;
        let dir = tempfile::Builder::new().prefix("sky-decide-").tempdir()?;
        Ok(Self { host, _client: client, bpffs: Bpffs::new()?, dir, capacity, widen: false })
    }

    /// The same, whose detectors ban prefixes for what their members do.
    pub(super) fn widening(self) -> Self {
        Self { widen: true, ..self }
    }

    pub(super) fn open_store(&self) -> Result<Opened> {
        let dir: PathBuf = self.dir.path().to_owned();
        store::open(&store::Config { dir, ..store::Config::default() }).context("the store")
    }

    /// The kernel side, with what is pinned taken up.
    pub(super) fn open_kernel(&self) -> Result<Box<dyn Enforcer>> {
        let config = Config {
            interface: Some(GUARDED.to_owned()),
            pin_dir: self.bpffs.pin_dir(),
            max_bans: self.capacity,
            max_sources: 1 << 16,
            ..Config::default()
        };
        let kernel = self.host.run(|| Ok(Kernel::open(&config)?))?;
        Ok(kernel.enforcer)
    }

    /// A daemon's core over `enforcer` and `opened`, with what is kept taken up.
    pub(super) fn boot(
        &self,
        enforcer: Box<dyn Enforcer>,
        opened: Opened,
        never_ban: NeverBan,
    ) -> Result<Idle> {
        let view = Arc::<View>::default();
        let parts = Parts {
            enforcer,
            store: opened.store.clone(),
            reader: opened.reader.clone(),
            view: Arc::clone(&view),
            never_ban,
            risk: risk::Config::default(),
            behaviour: Behaviour::new(
                behaviour::Config::default(),
                behaviour::Key::new([1; 16]),
                clock::now(),
            ),
            escalation: escalation::Config { widen: self.widen, ..escalation::Config::default() },
            capacity: Capacity {
                bans: self.capacity as usize,
                prefixes: Config::default().max_prefixes as usize,
            },
            missed_after: None,
        };
        let metrics = control::Metrics::new(&prometheus::Registry::new())?;
        let (task, control, _recovered) = Task::new(parts, metrics)?;
        Ok(Idle { task, control, view, opened })
    }
}

impl Idle {
    pub(super) fn run(self) -> Running {
        let Self { task, control, view, opened } = self;
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(stop.clone()));
        Running { control, view, opened, stop, task }
    }
}

impl Running {
    /// Stops, with all on disk.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?;
        self.opened.store.close();
        let joined = tokio::task::spawn_blocking(move || self.opened.writer.join()).await?;
        joined.map_err(|_panic| anyhow::anyhow!("the store's writer panicked"))
    }
}
