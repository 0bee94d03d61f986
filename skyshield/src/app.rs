//! Builds every part in order, and decides what each may see.
//!
//! The order is what makes a failed start harmless: the configuration is checked, then every port is
//! bound, then the store is opened, and only then is the kernel touched.

mod interfaces;
mod names;
mod reload;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::reload::{Known, Reloader};
use crate::api::{Api, Facts, Listeners, UpstreamStates};
use crate::config::Config;
use crate::control::{self, Parts, Task};
use crate::dataplane::{Enforcer, Events, Kernel, Memory, OnSilence};
use crate::engine::behaviour::{Behaviour, Key};
use crate::engine::never_ban::Protection;
use crate::engine::view::View;
use crate::gateway::{self, Gateway};
use crate::lifecycle::{Lifecycle, Wishes, notify, raise_descriptor_limit};
use crate::limits::Limiter;
use crate::telemetry::Level;
use crate::verdict::{Judge, Settings, Watch};
use crate::{clock, dataplane, host, store};
use interfaces::Keeper;

pub use self::reload::Load;

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

/// Runs the daemon by `config` until it is told to stop; `load` and `level` are for when that changes.
pub async fn run(config: Config, kernel_side: KernelSide, load: Load, level: Level) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let (wishes, wished) = Wishes::channel();
    // The gateway's drain takes the longest.
    let mut lifecycle =
        Lifecycle::new(Duration::from_secs(config.gateway.limits.drain_secs) + SETTLE, wishes.clone())?;
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
    let reload_metrics = reload::Metrics::new(&registry)?;
    registry.register(Box::new(store::Collector::new(opened.store.counters().clone())?))?;
    if let Some((keeper, _)) = &kernel.running {
        registry.register(Box::new(dataplane::Collector::new(kernel.enforcer.reader()?)?))?;
        keeper.register(&registry)?;
    }

    let limiter = Limiter::new(&config.limits, &registry, clock::now())?;
    let (known, known_now) = watch::channel(known_to_the_configuration(&config));
    let upstreams = gateway.upstreams();
    let view = Arc::<View>::default();
    let parts = Parts {
        enforcer: kernel.enforcer,
        store: opened.store.clone(),
        reader: opened.reader.clone(),
        view: Arc::clone(&view),
        never_ban: host::never_ban(&tasks::known_now(&known_now.borrow(), &upstreams)),
        risk: config.risk.clone(),
        behaviour: Behaviour::new(config.behaviour.clone(), Key::of(&opened.key), clock::now()),
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
            .limited_by(limiter)
            .watched_by(Watch::new(&config.behaviour, &config.limits, &opened.key));
    let last_words = opened.store.clone();
    let api = Api {
        control: control.clone(),
        store: opened.store,
        reader: opened.reader,
        registry,
        facts: Arc::new(kernel.facts),
        wishes,
        upstreams: states_of(upstreams.clone()),
    };
    // The control task outlives the doors: what they reported last is still carried out.
    let controlling = tokio::spawn(task.run(finish.clone()));
    lifecycle.spawn("control", tasks::outlive(control.clone(), stop.clone()));
    let gateway = gateway.open(judge.clone(), gateway_metrics, stop.clone());
    let reloader = Reloader {
        load,
        started_with: config.clone(),
        in_force: config,
        gateway: gateway.handle(),
        judge,
        control: control.clone(),
        known,
        level,
        metrics: reload_metrics,
    };
    lifecycle.spawn("gateway", async move { Ok(gateway.serve().await?) });
    lifecycle.spawn("life", tasks::fulfil(wished, reloader, stop.clone()));
    {
        let stop = stop.clone();
        lifecycle.spawn("api", async move {
            listeners.serve(api, stop).await;
            Ok(())
        });
    }
    lifecycle.spawn("names", names::keep(control.clone(), stop.clone()));
    lifecycle.spawn("host", tasks::watch_host(known_now, upstreams, control, stop.clone()));
    if let Some((keeper, events)) = kernel.running {
        lifecycle.spawn("attachment", keeper.run(stop.clone()));
        lifecycle.spawn("events", tasks::tell_events(events, stop.clone()));
    }
    tracing::info!("ready");
    notify::ready();
    let outcome = lifecycle.run().await;
    finish.cancel();
    controlling.await.context("the control task panicked")?;
    end_store(last_words, opened.writer).await?;
    outcome
}

fn states_of(upstreams: gateway::Upstreams) -> UpstreamStates {
    UpstreamStates(Arc::new(move || upstreams.states()))
}

/// Has the store write what it has taken: a connection that hangs may still hold a handle to it.
async fn end_store(store: store::Store, writer: std::thread::JoinHandle<()>) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        store.close();
        writer.join()
    })
    .await?
    .map_err(|_panic| anyhow::anyhow!("the store's writer panicked"))
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
fn known_to_the_configuration(config: &Config) -> Known {
    let allow = config.never_ban.allow.iter().map(|&source| (source, Protection::AllowList));
    let proxies = config.gateway.trusted_proxies.iter().map(|&proxy| (proxy, Protection::TrustedProxy));
    allow.chain(proxies).collect()
}

/// The runtime the daemon runs in, for parts that are built outside of it.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("skyshield").build()
}
