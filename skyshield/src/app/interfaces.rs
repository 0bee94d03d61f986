//! The guarded interfaces while the daemon runs: kept attached, and told of to operators.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::Interface;
use crate::dataplane::{Attachment, Change, Checked, OpenError};
use crate::host;

/// How often it is made sure that the program is attached, however quiet the kernel is.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Keeps the program attached to every interface, also to one that goes away and comes back.
pub(super) struct Keeper {
    attachment: Attachment,
    states: watch::Sender<Vec<Interface>>,
    guarded: IntGaugeVec,
    /// Why an interface could not be guarded at the last look: said once.
    refusals: BTreeMap<String, String>,
}

impl Keeper {
    /// Takes charge of what has been attached; says of each interface how it is.
    pub(super) fn new(attachment: Attachment) -> anyhow::Result<Self> {
        let states: Vec<_> = attachment
            .all()?
            .into_iter()
            .map(|(name, attached)| Interface { name, xdp_mode: attached.map(|at| at.mode.name()) })
            .collect();
        for interface in &states {
            let name = &interface.name;
            if let Some(mode) = interface.xdp_mode {
                tracing::info!(interface = name, mode, "attached");
            } else {
                tracing::error!(interface = name, "absent: nothing is guarded there until it comes");
            }
        }
        let guarded = IntGaugeVec::new(
            Opts::new("skyshield_interface_guarded", "Whether the program is attached to the interface"),
            &["interface"],
        )?;
        let states = watch::Sender::new(states);
        let keeper = Self { attachment, states, guarded, refusals: BTreeMap::new() };
        keeper.tell();
        Ok(keeper)
    }

    /// How each interface is, from now on.
    pub(super) fn states(&self) -> watch::Receiver<Vec<Interface>> {
        self.states.subscribe()
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.guarded.clone()))
    }

    /// Looks whenever the kernel tells of a change, and once a second.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut watch = host::watch().context("the kernel does not tell of changed interfaces")?;
        let mut period = tokio::time::interval(CHECK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = watch.changed() => {}
                _ = period.tick() => {}
            }
            for Checked { interface, found } in self.attachment.check() {
                self.note(&interface, found);
            }
        }
    }

    fn note(&mut self, name: &str, found: Result<Change, OpenError>) {
        if found.is_ok() {
            self.refusals.remove(name);
        }
        let xdp_mode = match found {
            Ok(Change::None) => return,
            Ok(Change::Reattached(to)) => Some(to.mode.name()),
            Ok(Change::Gone) => None,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                if self.refusals.get(name) != Some(&error) {
                    tracing::error!(interface = name, error, "the interface could not be guarded");
                    self.refusals.insert(name.to_owned(), error);
                }
                None
            }
        };
        let is_new = self.states.send_if_modified(|states| {
            let state = states.iter_mut().find(|state| state.name == name);
            state.is_some_and(|state| std::mem::replace(&mut state.xdp_mode, xdp_mode) != xdp_mode)
        });
        match xdp_mode {
            _ if !is_new => return,
            Some(mode) => tracing::warn!(interface = name, mode, "the interface is back and guarded again"),
            None => {
                tracing::error!(interface = name, "nothing is guarded on this interface until it returns");
            }
        }
        self.tell();
    }

    fn tell(&self) {
        for interface in self.states.borrow().iter() {
            let gauge = self.guarded.with_label_values(&[&interface.name]);
            gauge.set(i64::from(interface.xdp_mode.is_some()));
        }
    }
}
