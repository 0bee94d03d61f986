//! A shop, the judge in front of it, and a clock that runs as fast as the requests come.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skyshield::control::{self, Control, Order};
use skyshield::engine::behaviour::{self, Behaviour, Key, Signal};
use skyshield::engine::incident::{Client, Door};
use skyshield::engine::risk;
use skyshield::engine::view::View;
use skyshield::inspect::{self, Header, Request};
use skyshield::limits::{self, Limiter};
use skyshield::verdict::{Judge, Settings, Verdict, Watch};
use tokio::sync::mpsc::Receiver;

/// Nobody's secret: the days are to be the same each time.
const KEY: [u8; 32] = [42; 32];
const FORM: &[u8] = b"application/x-www-form-urlencoded";
const BROWSER: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Got {
    /// The shop answered.
    Answer(u16),
    /// It came too early.
    TooEarly,
    /// It was refused.
    Refused,
}

/// The shop behind the judge, and what the day has come to.
pub(crate) struct World {
    judge: Judge,
    control: Control,
    queue: Receiver<Order>,
    view: Arc<View>,
    behaviour: Behaviour,
    told: Vec<Signal>,
    seed: u64,
    /// The time.
    pub(crate) now: Instant,
    /// The highest score of the day.
    pub(crate) worst: f64,
    /// Requests that were answered, came too early, were refused.
    pub(crate) counts: [u64; 3],
}

#[expect(clippy::disallowed_methods, reason = "a day begins some time")]
fn some_time() -> Instant {
    Instant::now()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (now, registry) = (some_time(), prometheus::Registry::new());
        let (control, queue) = Control::channel(control::Metrics::new(&registry).unwrap());
        let settings = Settings::new(&inspect::Limits::default(), &risk::Config::default(), &[]);
        let (limits, config) = (limits::Config::default(), behaviour::Config::default());
        let view = Arc::<View>::default();
        let judge = Judge::new(settings, Arc::clone(&view), control.clone())
            .limited_by(Limiter::new(&limits, &registry, now).unwrap())
            .watched_by(Watch::new(&config, &limits, &KEY));
        let behaviour = Behaviour::new(config, Key::of(&KEY), now);
        let told = Vec::new();
        Self { judge, control, queue, view, behaviour, told, seed, now, worst: 0.0, counts: [0; 3] }
    }

    /// A number below `below`, the same each time the day is lived.
    pub(crate) fn any(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below.max(1)
    }

    /// Whether it happens this time, so many times in a hundred.
    pub(crate) fn happens(&mut self, percent: u64) -> bool {
        self.any(100) < percent
    }

    /// Time passes: `millis`, a half more or less.
    pub(crate) fn pause(&mut self, millis: u64) {
        let more = self.any(millis);
        self.now += Duration::from_millis(millis / 2 + more);
    }

    pub(crate) fn get(&mut self, from: IpAddr, target: &str) -> Got {
        let status = page(target);
        self.send(from, "GET", target, "", status)
    }

    pub(crate) fn login(&mut self, from: IpAddr, account: u64, is_right: bool) -> Got {
        let password = if is_right { "right".to_owned() } else { format!("wrong{}", self.any(1000)) };
        let body = format!("user=person{account}%40example.org&password={password}");
        self.send(from, "POST", "/login", &body, if is_right { 303 } else { 401 })
    }

    pub(crate) fn pay(&mut self, from: IpAddr, card: u64, is_good: bool) -> Got {
        let body = format!("card=4000{card:012}&month=12&year=2029&amount=1.00");
        self.send(from, "POST", "/checkout/pay", &body, if is_good { 200 } else { 402 })
    }

    pub(crate) fn send(&mut self, from: IpAddr, method: &str, target: &str, body: &str, status: u16) -> Got {
        let headers = [
            Header { name: b"Host", value: b"shop.example" },
            Header { name: b"User-Agent", value: BROWSER },
            Header { name: b"Content-Type", value: FORM },
        ];
        let headers = if body.is_empty() { &headers[..2] } else { &headers[..] };
        let (method, target, body) = (method.as_bytes(), target.as_bytes(), body.as_bytes());
        let request = Request { method, target, headers, body };
        let client = Client { address: from, by_proxy: false };
        let (got, score) = match self.judge.judge(client, Door::Gateway, &request, self.now) {
            Verdict::Pass(mut permit) => {
                self.judge.answered(permit.take_trail(), status);
                (Got::Answer(status), permit.score().value())
            }
            Verdict::Limit(_) => (Got::TooEarly, 0.0),
            Verdict::Refuse(refusal) => (Got::Refused, refusal.score.value()),
        };
        self.worst = self.worst.max(score);
        self.counts[match got {
            Got::Answer(_) => 0,
            Got::TooEarly => 1,
            Got::Refused => 2,
        }] += 1;
        let mut told = std::mem::take(&mut self.told);
        self.control.take_told(&mut told);
        for signal in told.drain(..) {
            assert!(self.view.set_claims(signal.address, self.behaviour.observe(&signal)));
        }
        self.told = told;
        while self.queue.try_recv().is_ok() {}
        got
    }
}

/// What the shop has.
fn page(target: &str) -> u16 {
    let path = target.split('?').next().unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().is_ok_and(|number| number < 5000);
    let is_there = match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["" | "search" | "cart" | "login" | "healthz" | "robots.txt" | "sitemap.xml"] | ["static", _] => true,
        ["products" | "blog", id] => number(id),
        _ => false,
    };
    if is_there { 200 } else { 404 }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
