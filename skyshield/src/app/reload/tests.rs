//! A reload and a rollback over a kernel side that refuses.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use aya::maps::MapError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::{self, KernelOrder, Order, OrderError};
use crate::dataplane;
use crate::forward_auth::ForwardAuth;
use crate::gateway::Gateway;
use crate::lifecycle::Wishes;
use crate::rehearsal;
use crate::verdict::Settings;

/// A kernel side that goes by what it was told last, unless it refuses.
#[derive(Clone, Default)]
struct Kernel {
    refuses: Arc<AtomicBool>,
    goes_by: Arc<Mutex<Option<Tuning>>>,
}

impl Kernel {
    async fn obey(self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            let Order::Kernel(KernelOrder::Tune(tuning, reply)) = order else { continue };
            let answer = if self.refuses.load(Ordering::Relaxed) {
                let source = MapError::ElementNotFound;
                let refused = dataplane::Error::Map { what: "write", map: "SETTINGS", source };
                Err(OrderError::Kernel(refused))
            } else {
                *self.goes_by.lock().unwrap() = Some(*tuning);
                Ok(())
            };
            reply.send(answer).unwrap();
        }
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// The packets a second that it goes by.
    fn rate(&self) -> u64 {
        self.goes_by.lock().unwrap().as_ref().unwrap().settings.limits[0].per_sec
    }
}

fn at_rate(rate_packets_per_sec: u64) -> Config {
    let mut config = Config::default();
    config.gateway.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.dataplane.rate_packets_per_sec = rate_packets_per_sec;
    config
}

fn reloader(config: &Config, kernel: &Kernel) -> Reloader {
    let registry = Registry::new();
    let (control, orders) = Control::channel(control::Metrics::new(&registry).unwrap());
    tokio::spawn(kernel.clone().obey(orders));
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let judge = Judge::new(settings, Arc::default(), control.clone());
    let stop = CancellationToken::new();
    let gateway = Gateway::bind(&config.gateway).unwrap();
    let gateway_metrics = gateway::Metrics::new(&registry).unwrap();
    let forward_auth = ForwardAuth::bind(&config.forward_auth).unwrap();
    let forward_auth_metrics = forward_auth::Metrics::new(&registry).unwrap();
    let (wishes, _wished) = Wishes::channel();
    let (limits, rehearsal) = (config.inspect.clone(), config.rehearsal.clone());
    let stage_metrics = rehearsal::Metrics::new(&registry).unwrap();
    Reloader {
        load: Arc::new(|_| Err("there is no file".to_owned())),
        place: PathBuf::new(),
        started_with: config.clone(),
        in_force: config.clone(),
        published: Published::new(&wishes, config),
        gateway: gateway.open(judge.clone(), gateway_metrics, stop.clone()).handle(),
        forward_auth: forward_auth.open(judge.clone(), &forward_auth_metrics, stop).handle(),
        ears: Ears::new(&judge, &config.gateway),
        stage: Stage::new(judge.shared_settings(), Arc::default(), limits, rehearsal, stage_metrics),
        judge,
        control,
        known: watch::channel(known_to_the_configuration(config)).0,
        level: Level::of(&config.log).1,
        metrics: Metrics::new(&registry).unwrap(),
        owed: None,
    }
}

#[tokio::test]
async fn a_rollback_that_the_kernel_refuses_leaves_the_doors_rolled_back_and_is_tried_again() {
    let kernel = Kernel::default();
    let (before, on_trial) = (at_rate(100), at_rate(1));
    let mut reloader = reloader(&before, &kernel);
    Box::pin(reloader.attempt(on_trial.clone())).await.unwrap();
    assert_eq!((&reloader.in_force, kernel.rate()), (&on_trial, 1));

    kernel.refuse(true);
    let refused = Box::pin(reloader.go_back_to(before.clone())).await.unwrap_err().to_string();
    assert!(refused.contains("the kernel side not yet"), "{refused}");
    assert!(reloader.in_force == before, "what nobody has confirmed is in force at the doors");
    reloader.settle_up().await;
    assert_eq!(kernel.rate(), 1);

    kernel.refuse(false);
    reloader.settle_up().await;
    assert_eq!((kernel.rate(), reloader.owed.is_none()), (100, true));
}

#[tokio::test]
async fn a_reload_that_the_kernel_refuses_owes_it_what_is_in_force_until_another_is_taken_up() {
    let kernel = Kernel::default();
    let (before, stricter) = (at_rate(100), at_rate(1));
    let mut reloader = reloader(&before, &kernel);
    kernel.refuse(true);
    assert!(Box::pin(reloader.attempt(stricter.clone())).await.is_err());
    let owed = reloader.owed.as_ref().map(|tuning| tuning.settings.limits[0].per_sec);
    assert_eq!((&reloader.in_force, owed), (&before, Some(100)));
    kernel.refuse(false);
    Box::pin(reloader.attempt(stricter)).await.unwrap();
    assert_eq!((kernel.rate(), reloader.owed.is_none()), (1, true));
}
