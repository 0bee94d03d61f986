//! Builds every part in order, and decides what each may see.
//!
//! The order is what makes a failed start harmless: the configuration is checked, then every port is
//! bound, then the store is opened, and only then is the kernel touched.

mod interfaces;
mod names;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Facts, Listeners, UpstreamStates};
use crate::config::Config;
use crate::control::{self, Control, Parts, Task};
use crate::dataplane::{Enforcer, Events, Kernel, Memory, OnSilence};
use crate::engine::never_ban::Protection;
use crate::engine::source::Source;
use crate::engine::view::View;
use crate::gateway::{self, Gateway};
use crate::lifecycle::{Lifecycle, raise_descriptor_limit};
use crate::limits::Limiter;
use crate::verdict::{Judge, Settings};
use crate::{clock, dataplane, host, store};
use interfaces::Keeper;

/// How often the host is asked for its addresses, however quiet the kernel is.
const LOOK_AT_HOST_EVERY: Duration = Duration::from_secs(5);

/// What tasks get on top of the gateway's drain to finish in.
const SETTLE: Duration = Duration::from_secs(5);

/// Whether there is a kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelSide {
    /// Bans are enforced in the kernel.
    On,
    /// Bans are enforced at the doors only.
    Off,
}

/// The kernel side, or what stands in for it, taken apart for its owners.
struct Dataplane {
    enforcer: Box<dyn Enforcer>,
    running: Option<(Keeper, Events)>,
    facts: Facts,
}

/// Runs the daemon until it is told to stop.
pub async fn run(config: Config, kernel_side: KernelSide) -> anyhow::Result<()> {
    raise_descriptor_limit();
    // The gateway's drain takes the longest.
    let mut lifecycle = Lifecycle::new(Duration::from_secs(config.gateway.limits.drain_secs) + SETTLE)?;
    let gateway = Gateway::bind(&config.gateway)?;
    let listeners = Listeners::bind(&config.api).await?;
    let opened = store::open(&config.store).context("the store cannot be opened")?;
    if let Some(aside) = &opened.quarantined {
        tracing::error!(moved_to = %aside.display(), "the store was unreadable; a new one was begun, bans are taken up from the kernel");
    }
    let kernel = open_dataplane(&config, kernel_side)?;

    let registry = Registry::new();
    let control_metrics = control::Metrics::new(&registry)?;
    let gateway_metrics = gateway::Metrics::new(&registry)?;
    registry.register(Box::new(store::Collector::new(opened.store.counters().clone())?))?;
    if let Some((keeper, _)) = &kernel.running {
        registry.register(Box::new(dataplane::Collector::new(kernel.enforcer.reader()?)?))?;
        keeper.register(&registry)?;
    }

    let limiter = Limiter::new(&config.limits, &registry, clock::now())?;
    let known = known_to_the_configuration(&config);
    let upstreams = gateway.upstreams();
    let view = Arc::<View>::default();
    let parts = Parts {
        enforcer: kernel.enforcer,
        store: opened.store.clone(),
        reader: opened.reader.clone(),
        view: Arc::clone(&view),
        never_ban: host::never_ban(&known_now(&known, &upstreams)),
        risk: config.risk.clone(),
        escalation: config.escalation.clone(),
        capacity: config.dataplane.max_bans as usize,
        missed_after: (config.dataplane.on_silence == OnSilence::Disarm)
            .then(|| Duration::from_secs(config.dataplane.silent_after_secs)),
    };
    let (task, control, recovered) = Task::new(parts, control_metrics)?;
    tracing::info!(
        from_store = recovered.from_store,
        from_kernel = recovered.from_kernel,
        reinstalled = recovered.reinstalled,
        "decisions taken up"
    );

    let stop = lifecycle.stop_token();
    let finish = CancellationToken::new();
    let judge =
        Judge::new(Settings::new(&config.inspect, &config.risk, &config.routes), view, control.clone())
            .limited_by(limiter);
    let last_words = opened.store.clone();
    let api = Api {
        control: control.clone(),
        store: opened.store,
        reader: opened.reader,
        registry,
        facts: Arc::new(kernel.facts),
        upstreams: {
            let upstreams = upstreams.clone();
            UpstreamStates(Arc::new(move || upstreams.states()))
        },
    };
    // The control task outlives the doors: what they reported last is still carried out.
    let controlling = tokio::spawn(task.run(finish.clone()));
    {
        let (stop, control) = (stop.clone(), control.clone());
        lifecycle.spawn("control", async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = control.ended() => anyhow::bail!("nothing is decided any more"),
            }
        });
    }
    {
        let stop = stop.clone();
        lifecycle.spawn("gateway", async move { Ok(gateway.serve(judge, gateway_metrics, stop).await?) });
    }
    {
        let stop = stop.clone();
        lifecycle.spawn("api", async move {
            listeners.serve(api, stop).await;
            Ok(())
        });
    }
    lifecycle.spawn("names", names::keep(control.clone(), stop.clone()));
    lifecycle.spawn("host", watch_host(known, upstreams, control, stop.clone()));
    if let Some((keeper, events)) = kernel.running {
        lifecycle.spawn("attachment", keeper.run(stop.clone()));
        lifecycle.spawn("events", tell_events(events, stop.clone()));
    }
    tracing::info!("ready");
    let outcome = lifecycle.run().await;
    finish.cancel();
    controlling.await.context("the control task panicked")?;
    // A connection that hangs may still hold a handle to the store; the last words are written all the same.
    let writer = opened.writer;
    tokio::task::spawn_blocking(move || {
        last_words.close();
        writer.join()
    })
    .await?
    .map_err(|_panic| anyhow::anyhow!("the store's writer panicked"))?;
    outcome
}

fn open_dataplane(config: &Config, kernel_side: KernelSide) -> anyhow::Result<Dataplane> {
    let started_at = clock::now();
    if kernel_side == KernelSide::Off {
        tracing::warn!("running without a kernel side: bans are enforced at the doors only");
        let facts = Facts { interfaces: None, started_at };
        return Ok(Dataplane { enforcer: Box::new(Memory::new(&config.dataplane)), running: None, facts });
    }
    let mut dataplane = config.dataplane.clone();
    if dataplane.guarded().is_empty() {
        dataplane.interface = host::default_interface();
    }
    let Kernel { enforcer, attachment, events } =
        Kernel::open(&dataplane).context("the kernel side cannot start")?;
    let keeper = Keeper::new(attachment)?;
    let facts = Facts { interfaces: Some(keeper.states()), started_at };
    Ok(Dataplane { enforcer, running: Some((keeper, events)), facts })
}

/// The part of the never-ban set that the configuration names.
fn known_to_the_configuration(config: &Config) -> Vec<(Source, Protection)> {
    let allow = config.never_ban.allow.iter().map(|&source| (source, Protection::AllowList));
    let proxies = config.gateway.trusted_proxies.iter().map(|&proxy| (proxy, Protection::TrustedProxy));
    allow.chain(proxies).collect()
}

/// What is never banned beside what the host finds itself; upstreams may have moved since.
fn known_now(
    configured: &[(Source, Protection)],
    upstreams: &gateway::Upstreams,
) -> Vec<(Source, Protection)> {
    let addresses = upstreams.addresses().into_iter();
    let upstreams = addresses.map(|address| (Source::host(address.ip()), Protection::Upstream));
    configured.iter().copied().chain(upstreams).collect()
}

/// Keeps the never-ban set true to the host.
async fn watch_host(
    known: Vec<(Source, Protection)>,
    upstreams: gateway::Upstreams,
    control: Control,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut watch = host::watch().context("the kernel does not tell of changed addresses")?;
    let mut period = tokio::time::interval(LOOK_AT_HOST_EVERY);
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = watch.changed() => {}
            _ = period.tick() => {}
        }
        let known = known_now(&known, &upstreams);
        let found = tokio::task::spawn_blocking(move || host::never_ban(&known)).await?;
        if last.as_ref() != Some(&found) {
            control.set_never_ban(found.clone()).await?;
            last = Some(found);
        }
    }
}

/// Tells of a sample of the drops.
async fn tell_events(mut events: Events, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            batch = events.next() => batch.context("the kernel's events cannot be read")?,
        };
        for event in batch {
            tracing::debug!(?event, "a packet was dropped");
        }
    }
}

/// The runtime the daemon runs in, for parts that are built outside of it.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("skyshield").build()
}
