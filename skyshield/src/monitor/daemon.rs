//! The daemon itself: its process, its queues, and how late its tasks are woken.

use std::time::Duration;

use procfs::process::{LimitValue, Process};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, Registry};
use tokio_util::sync::CancellationToken;

use super::collector::Pulled;
use super::family::Family;
use super::family::Kind::{Counter, Gauge};
use crate::clock;

/// How often a task is set to be woken, to see how late it is.
const WAKE_EVERY: Duration = Duration::from_millis(250);
/// Seconds late: a runtime that is well is late by the timer's millisecond.
const LATE_BUCKETS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0];

/// A queue between two tasks.
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// What fits in.
    pub capacity: usize,
    /// What waits in it.
    pub waiting: Box<dyn Fn() -> usize + Send + Sync>,
}

/// The daemon's own metrics, registered with `registry`; how late its tasks are woken is told to the histogram.
pub fn register(registry: &Registry, queues: Vec<Queue>) -> Result<Histogram, prometheus::Error> {
    registry.register(Box::new(Pulled::new("process_cpu_seconds_total", process)?))?;
    registry.register(Box::new(Pulled::new("skyshield_queue_length", move || told(&queues))?))?;
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    let build =
        Family::new("skyshield_build_info", Gauge, "The release that runs.").with(version, 1.0).to_proto();
    registry.register(Box::new(Pulled::new("skyshield_build_info", move || vec![build.clone()])?))?;
    let late = Histogram::with_opts(
        HistogramOpts::new(
            "skyshield_event_loop_delay_seconds",
            "How late a task is woken that slept for 250 ms",
        )
        .buckets(LATE_BUCKETS.to_vec()),
    )?;
    registry.register(Box::new(late.clone()))?;
    Ok(late)
}

/// Tells `late` how late tasks are woken, until `stop`.
pub async fn watch_loop(late: Histogram, stop: CancellationToken) {
    loop {
        let due = clock::now() + WAKE_EVERY;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(due.into()) => {}
        }
        late.observe(clock::now().saturating_duration_since(due).as_secs_f64());
    }
}

fn told(queues: &[Queue]) -> Vec<MetricFamily> {
    #[expect(clippy::cast_precision_loss, reason = "a queue is short")]
    let family = |name: &'static str, help: &'static str, value: &dyn Fn(&Queue) -> usize| {
        let values = queues.iter().map(|queue| (vec![("queue", queue.name.to_owned())], value(queue) as f64));
        Family::new(name, Gauge, help).with_all(values).to_proto()
    };
    vec![
        family("skyshield_queue_length", "What waits in each queue between tasks.", &|queue| {
            (queue.waiting)()
        }),
        family("skyshield_queue_capacity", "What fits in each queue between tasks.", &|queue| queue.capacity),
    ]
}

/// The process, under the names that every client library has for it.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; no process has 2^53 bytes")]
fn process() -> Vec<MetricFamily> {
    let Ok(process) = Process::myself() else { return Vec::new() };
    let mut all = Vec::with_capacity(7);
    let mut tell = |name: &'static str, kind, help: &'static str, value: f64| {
        all.push(Family::new(name, kind, help).with(vec![], value).to_proto());
    };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second().max(1) as f64;
        let page = procfs::page_size() as f64;
        let cpu = (stat.utime + stat.stime) as f64 / ticks;
        tell("process_cpu_seconds_total", Counter, "Total user and system CPU time spent in seconds.", cpu);
        tell(
            "process_resident_memory_bytes",
            Gauge,
            "Resident memory size in bytes.",
            stat.rss as f64 * page,
        );
        tell("process_virtual_memory_bytes", Gauge, "Virtual memory size in bytes.", stat.vsize as f64);
        tell("process_threads", Gauge, "Threads of the process.", stat.num_threads as f64);
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = boot as f64 + stat.starttime as f64 / ticks;
            tell(
                "process_start_time_seconds",
                Gauge,
                "Start time of the process since unix epoch in seconds.",
                start,
            );
        }
    }
    if let Ok(open) = process.fd_count() {
        tell("process_open_fds", Gauge, "Number of open file descriptors.", open as f64);
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        tell("process_max_fds", Gauge, "Maximum number of open file descriptors.", most as f64);
    }
    all
}
