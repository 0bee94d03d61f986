//! Builds every part in order, and decides what each may see.
//!
//! The order is what makes a failed start harmless: the configuration is checked, then every port is
//! bound, then the store is opened, and only then is the kernel touched.

mod aside;
mod interfaces;
mod knowledge;
mod measures;
mod names;
mod published;
mod reload;
mod succession;
mod tap;
mod tasks;
mod trial;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::knowledge::Knowledge;
use self::measures::Measures;
use self::published::Published;
use self::reload::{Known, Reloader};
use self::succession::{Doors, Succession};
use crate::api::{Api, Facts, Kept, Own, UpstreamStates};
use crate::config::Config;
use crate::control::{self, Control, Parts, Recovered, Task};
use crate::dataplane::{Enforcer, Events, Kernel, Memory};
use crate::engine::behaviour::{Behaviour, Key};
use crate::engine::ledger::Capacity;
use crate::engine::never_ban::{NeverBan, Protection};
use crate::engine::view::View;
use crate::engine::watcher::Watcher;
use crate::forward_auth;
use crate::gateway;
use crate::lifecycle::handover::{Line, Word};
use crate::lifecycle::{Lifecycle, Wishes, notify, raise_descriptor_limit};
use crate::limits::Limiter;
use crate::rehearsal;
use crate::telemetry::{self, Logs, Sentry};
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
    tapping: Option<tap::Tapping>,
    facts: Facts,
}

/// What a daemon is started with.
pub struct Start<'a> {
    /// What it goes by.
    pub config: Config,
    /// Whether there is a kernel side.
    pub kernel_side: KernelSide,
    /// Reads the configuration again.
    pub load: Load,
    /// Where the configuration is.
    pub place: PathBuf,
    /// What is logged.
    pub logs: &'a Logs,
    /// Where faults are reported.
    pub sentry: &'a Sentry,
    /// Whether a running daemon hands everything over to this one.
    pub is_successor: bool,
}

/// Runs the daemon until it is told to stop, or has handed over to another.
pub async fn run(start: Start<'_>) -> anyhow::Result<()> {
    let Start { config, kernel_side, load, place, logs, sentry, is_successor } = start;
    raise_descriptor_limit();
    let (wishes, wished) = Wishes::channel();
    // The gateway's drain takes the longest.
    let grace = Duration::from_secs(config.gateway.limits.drain_secs) + SETTLE;
    let mut lifecycle = Lifecycle::new(grace, wishes.clone())?;
    let Doors { gateway, forward_auth, listeners, sockets, owner, mut line } =
        Doors::open(&config, is_successor).await?;
    let opened = open_store(&config)?;
    let kernel = open_dataplane(&config, kernel_side)?;

    let registry = Registry::new();
    let control_metrics = control::Metrics::new(&registry)?;
    let measures = Measures::new(&config, &registry, &opened)?;
    let requests = telemetry::Requests::new(&config.log, &config.sentry);
    let gateway_metrics = gateway::Metrics::new(&registry)?.and_tell(requests);
    let forward_auth_metrics = forward_auth::Metrics::new(&registry)?;
    observe(&registry, (logs, sentry), opened.store.counters(), kernel_side)?;
    observe_kernel(&registry, &kernel)?;
    let tap_metrics = tap::metrics(kernel.tapping.as_ref(), &registry)?;
    let view = Arc::<View>::default();
    let limiter = Limiter::new(&config.limits, &registry, clock::now())?.under(view.measures());
    let (known, known_now) = watch::channel(known_to_the_configuration(&config));
    let upstreams = gateway.upstreams();
    let never_ban = host::never_ban(&tasks::known_now(&known_now.borrow(), &upstreams));
    let knowledge = Knowledge::open(&config, &view, &opened, &registry, measures.teller())?;
    let parts = parts(&config, kernel.enforcer, &opened, Arc::clone(&view), never_ban);
    let (task, control, recovered) = Task::new(parts, control_metrics)?;
    let late = measures.of_daemon(&registry, &control, &opened.store)?;
    tell_of(&recovered);

    let (stop, release) = (lifecycle.stop_token(), lifecycle.release_token());
    let (finish, released) = (CancellationToken::new(), CancellationToken::new());
    // Whoever holds on to the store or the kernel beside the control task holds one of these.
    let (hold, holders) = mpsc::channel(1);
    let judge = judge_by(&config, view, control.clone(), limiter, (&opened.key, measures.counter(&config)));
    let stage = tasks::rehearsed(&judge, &control, &config, &registry)?;
    let ears = tap::Ears::new(&judge, &config.gateway);
    let listener = kernel.tapping.zip(tap_metrics);
    let listener = listener.map(|(tapping, metrics)| tapping.listener(&config.tap, &ears, metrics));
    let api = Api {
        own: Own::new(&registry, kept(&config))?,
        control: control.clone(),
        store: opened.store.clone(),
        reader: opened.reader,
        registry: registry.clone(),
        facts: Arc::new(kernel.facts),
        wishes: wishes.clone(),
        upstreams: states_of(upstreams.clone()),
        sights: config.forward_auth.sights().into(),
        stage: stage.clone(),
        knowing: knowledge.knowing(),
        monitoring: measures.shown(logs.level()),
    };
    // The control task outlives the doors: what they reported last is still carried out.
    let controlling =
        tokio::spawn(decide(task, finish.clone(), (opened.store, opened.writer), released.clone()));
    lifecycle.spawn("control", tasks::outlive(control.clone(), release.clone()));
    let gateway = gateway.open(judge.clone(), gateway_metrics, stop.clone());
    let forward_auth = forward_auth.open(judge.clone(), &forward_auth_metrics, stop.clone());
    let reloader = Reloader {
        load,
        place,
        started_with: config.clone(),
        published: Published::new(&wishes, &config),
        in_force: config,
        gateway: gateway.handle(),
        forward_auth: forward_auth.handle(),
        judge,
        ears,
        control: control.clone(),
        known,
        level: logs.level(),
        metrics: reload::Metrics::new(&registry)?,
        stage: stage.clone(),
        owed: None,
    };
    lifecycle.spawn("gateway", async move { Ok(gateway.serve().await?) });
    lifecycle.spawn("forward_auth", async move { Ok(forward_auth.serve().await?) });
    let (program, arguments) = Succession::program()?;
    let succession = Succession {
        program,
        arguments,
        sockets: Arc::new(sockets),
        gateway: reloader.gateway.clone(),
        owner,
        release: release.clone(),
        holders,
        finish: finish.clone(),
        released,
        stop,
    };
    lifecycle.spawn("rehearsal", rehearsal::every_night(stage, release.clone()));
    lifecycle.spawn("life", tasks::fulfil(wished, reloader, succession));
    lifecycle
        .spawn("api", aside::aside("api", tasks::answer(listeners, api, release.clone(), hold.clone()))?);
    tap::spawn(&mut lifecycle, listener, &hold, &release);
    knowledge.spawn(&mut lifecycle, &control, &release, &hold)?;
    measures.spawn(&mut lifecycle, late, &hold, &release);
    watch(&mut lifecycle, (known_now, upstreams, control), &release, &hold);
    tasks::watch_kernel(&mut lifecycle, kernel.running, hold, &release);
    tell_ready(line.as_mut())?;
    until_the_end(lifecycle, &finish, controlling).await
}

/// Runs until the daemon is to end, and lets the control task finish last.
async fn until_the_end(
    lifecycle: Lifecycle,
    finish: &CancellationToken,
    controlling: JoinHandle<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = lifecycle.run().await;
    finish.cancel();
    controlling.await.context("the control task panicked")??;
    outcome
}

/// The judge that every door asks.
fn judge_by(
    config: &Config,
    view: Arc<View>,
    control: Control,
    limiter: Limiter,
    (key, counter): (&[u8; 32], Option<Arc<dyn Watcher>>),
) -> Judge {
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let watch = Watch::new(&config.behaviour, &config.limits, key);
    Judge::new(settings, view, control).limited_by(limiter).watched_by(watch).counted_by(counter)
}

/// Tells the service manager, and the predecessor where there is one.
fn tell_ready(line: Option<&mut Line>) -> anyhow::Result<()> {
    tracing::info!("ready");
    notify::ready();
    match line {
        Some(line) => line.say(Word::Serving).context("the predecessor is gone"),
        None => Ok(()),
    }
}

fn tell_of(recovered: &Recovered) {
    tracing::info!(
        from_store = recovered.from_store,
        from_kernel = recovered.from_kernel,
        reinstalled = recovered.reinstalled,
        "decisions taken up"
    );
}

/// Counts what logs and reports lose, and has reports say what they are of.
fn observe(
    registry: &Registry,
    (logs, sentry): (&Logs, &Sentry),
    written: &store::Counters,
    kernel_side: KernelSide,
) -> Result<(), prometheus::Error> {
    sentry.tag(&tags(kernel_side));
    registry.register(Box::new(store::Collector::new(written.clone())?))?;
    registry.register(Box::new(logs.collector()?))?;
    registry.register(Box::new(sentry.collector()?))
}

/// What a report of a fault says of the daemon.
fn tags(kernel_side: KernelSide) -> [(&'static str, String); 2] {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let side = match kernel_side {
        KernelSide::On => "on",
        KernelSide::Off => "off",
    };
    [("kernel", release.trim().to_owned()), ("kernel_side", side.to_owned())]
}

/// What is kept of people, and where.
fn kept(config: &Config) -> Kept {
    let log = &config.log;
    let files = [&log.file, &log.security.file, &log.performance.file];
    Kept {
        kinds: config.store.keep,
        pseudonymise_after_days: config.store.pseudonymise_after_days,
        logs: files.into_iter().flatten().map(|file| file.path.clone()).collect(),
    }
}

fn observe_kernel(registry: &Registry, kernel: &Dataplane) -> anyhow::Result<()> {
    if let Some((keeper, _)) = &kernel.running {
        registry.register(Box::new(dataplane::Collector::new(kernel.enforcer.reader()?)?))?;
        keeper.register(registry)?;
    }
    Ok(())
}

/// Keeps the never-ban set true to names on the allow list and to the host.
fn watch(
    lifecycle: &mut Lifecycle,
    (known, upstreams, control): (watch::Receiver<Known>, gateway::Upstreams, control::Control),
    release: &CancellationToken,
    hold: &mpsc::Sender<Infallible>,
) {
    let names = names::keep(control.clone(), release.clone());
    lifecycle.spawn("names", tasks::held(hold.clone(), names));
    let host = tasks::watch_host(known, upstreams, control, release.clone());
    lifecycle.spawn("host", tasks::held(hold.clone(), host));
}

fn states_of(upstreams: gateway::Upstreams) -> UpstreamStates {
    UpstreamStates(Arc::new(move || upstreams.states()))
}

fn open_store(config: &Config) -> anyhow::Result<store::Opened> {
    let opened = store::open(&config.store).context("the store cannot be opened")?;
    if let Some(aside) = &opened.quarantined {
        tracing::error!(moved_to = %aside.display(), "the store was unreadable; a new one was begun, bans are taken up from the kernel");
    }
    Ok(opened)
}

fn parts(
    config: &Config,
    enforcer: Box<dyn Enforcer>,
    opened: &store::Opened,
    view: Arc<View>,
    never_ban: NeverBan,
) -> Parts {
    Parts {
        enforcer,
        store: opened.store.clone(),
        reader: opened.reader.clone(),
        view,
        never_ban,
        risk: config.risk.clone(),
        behaviour: Behaviour::new(config.behaviour.clone(), Key::of(&opened.key), clock::now()),
        escalation: config.escalation.clone(),
        capacity: Capacity {
            bans: config.dataplane.max_bans as usize,
            prefixes: config.dataplane.max_prefixes as usize,
        },
        missed_after: config.dataplane.missed_after(),
    }
}

/// Runs the control task until `finish`, then ends the store; `released` says that both are let go of.
async fn decide(
    task: Task,
    finish: CancellationToken,
    (store, writer): (store::Store, std::thread::JoinHandle<()>),
    released: CancellationToken,
) -> anyhow::Result<()> {
    task.run(finish).await;
    let ended = end_store(store, writer).await;
    released.cancel();
    ended
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
        if config.tap.is_on() {
            tracing::warn!("without a kernel side there is no tap either");
        }
        let facts = Facts { interfaces: None, tap: None, started_at };
        let enforcer = Box::new(Memory::new(&config.dataplane));
        return Ok(Dataplane { enforcer, running: None, tapping: None, facts });
    }
    let mut dataplane = config.dataplane.clone();
    if dataplane.guarded().is_empty() {
        dataplane.interface = host::default_interface();
    }
    dataplane.tapped = tap::tapped(&config.tap);
    let Kernel { enforcer, attachment, events, segments } =
        Kernel::open(&dataplane).context("the kernel side cannot start")?;
    let keeper = Keeper::new(attachment)?;
    let tapping = segments.map(|(segments, counters)| tap::Tapping::new(segments, counters));
    let heard = |tapping: &tap::Tapping| tapping.facts(&config.tap);
    let facts = Facts { interfaces: Some(keeper.states()), tap: tapping.as_ref().map(heard), started_at };
    Ok(Dataplane { enforcer, running: Some((keeper, events)), tapping, facts })
}

/// The part of the never-ban set that the configuration names.
fn known_to_the_configuration(config: &Config) -> Known {
    let allow = config.never_ban.allow.iter().map(|&source| (source, Protection::AllowList));
    let proxies = config.gateway.trusted_proxies.iter().map(|&proxy| (proxy, Protection::TrustedProxy));
    let speakers = config.forward_auth.speakers().map(|proxy| (proxy, Protection::TrustedProxy));
    allow.chain(proxies).chain(speakers).collect()
}

/// The runtime the daemon runs in, for parts that are built outside of it.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("skyshield").build()
}
