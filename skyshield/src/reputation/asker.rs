//! The task that asks: takes what the doors wonder about, asks what is worth it, keeps and publishes what
//! comes back.

mod kept;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::kept::{Remembered, keep, recall, recall_reports, wall_ms, wall_secs};
use super::ask::{Question, has_arrived};
use super::client::Client;
use super::metrics::Metrics;
use super::secret::Secret;
use crate::clock;
use crate::engine::incident::Incident;
use crate::engine::notebook::Notebook;
use crate::engine::reputation::{
    Answered as _, Config, Desk, Kept, Outcome, Provider, Report, Reporter, Step,
};
use crate::engine::view::View;

/// How often it is seen what the doors wonder about.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks between two that forget and tell.
const LOOKS_A_SECOND: u32 = 10;
/// Opinions that are taken up from the disk of each provider.
const MAX_RECALLED: usize = 100_000;
/// Pages of the notebook.
const BUDGETS: &str = "budgets";
const REPORTED: &str = "reported";

/// How a provider is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderState {
    /// Who.
    pub provider: &'static str,
    /// `ok`, `open` (left alone for its failures), `exhausted` or `key_refused`.
    pub state: &'static str,
    /// Questions a day.
    pub budget: u32,
    /// Questions that were asked today, or may have been.
    pub spent: u32,
    /// Opinions that are kept.
    pub known: usize,
    /// Sources that wait to be asked about.
    pub waiting: usize,
}

/// How the asking goes, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// Each provider there is a key for.
    pub providers: Vec<ProviderState>,
    /// Whether attackers are told of.
    pub reporting: bool,
    /// Reports that may still be sent today.
    pub reports_left: u32,
}

struct Post {
    question: Arc<Question>,
    desk: Desk,
    daily: u32,
}

/// The task.
pub struct Asker {
    posts: Vec<Post>,
    reporter: Option<(Reporter, Arc<Question>)>,
    reporting: bool,
    keeping_reports: bool,
    doing: JoinSet<Done>,
    view: Arc<View>,
    notebook: Arc<dyn Notebook>,
    metrics: Metrics,
    states: watch::Sender<State>,
}

/// Something that was being done and is.
enum Done {
    Kept(Provider, Kept, bool),
    Answered(Provider, IpAddr, Outcome),
    ReportsKept(Kept, bool),
    Reported(Report, Outcome),
}

impl Asker {
    /// An asker with what is kept in `notebook`. Fails where a key cannot be read. Blocks.
    pub fn open(
        config: &Config,
        client: &Client,
        view: Arc<View>,
        notebook: Arc<dyn Notebook>,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let budgets = notebook.page(BUDGETS, 100);
        let kept = |name: &str| -> Option<Kept> {
            let found = budgets.iter().find(|kept| kept.key == name)?;
            serde_json::from_str(&found.value).ok()
        };
        let mut posts = Vec::new();
        for (provider, credential, file, terms) in [
            (Provider::AbuseIpdb, "abuseipdb_key", &config.abuseipdb.key_file, config.abuseipdb_terms()),
            (
                Provider::IpQualityScore,
                "ipqualityscore_key",
                &config.ipqualityscore.key_file,
                config.ipqualityscore_terms(),
            ),
        ] {
            let Some(key) = Secret::load(credential, file.as_deref())? else { continue };
            let question =
                Question::new(provider, config, key, client.clone()).map_err(anyhow::Error::msg)?;
            let mut desk = Desk::new(terms, kept(provider.name()));
            recall(&mut desk, provider, notebook.as_ref());
            posts.push(Post { question: Arc::new(question), desk, daily: terms.daily });
        }
        let question = posts.iter().find(|post| post.question.provider == Provider::AbuseIpdb);
        let reporting = &config.abuseipdb.report;
        let reporter = question.filter(|_| reporting.enabled).map(|post| {
            let mut reporter = Reporter::new(reporting.per_day, kept(REPORTED));
            recall_reports(&mut reporter, notebook.as_ref());
            (reporter, Arc::clone(&post.question))
        });
        view.hearsay().set_asking(!posts.is_empty());
        let mut asker = Self {
            posts,
            reporting: reporter.is_some(),
            keeping_reports: false,
            reporter,
            doing: JoinSet::new(),
            view,
            notebook,
            metrics,
            states: watch::Sender::default(),
        };
        asker.publish_all();
        asker.tell();
        Ok(asker)
    }

    /// How it goes, from now on.
    pub fn states(&self) -> watch::Receiver<State> {
        self.states.subscribe()
    }

    /// Asks until `stop`; `incidents` are what attackers are told of for.
    pub async fn run(
        mut self,
        mut incidents: broadcast::Receiver<Arc<Incident>>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(LOOK_EVERY);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(Ok(done)) = self.doing.join_next() => self.done(done),
                heard = incidents.recv(), if self.reporting => match heard {
                    Ok(incident) => self.heard(&incident),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        self.metrics.reports.with_label_values(&["missed"]).inc_by(missed);
                    }
                    Err(broadcast::error::RecvError::Closed) => self.reporting = false,
                },
                _ = period.tick() => {
                    looks = looks.wrapping_add(1);
                    self.look();
                    if looks.is_multiple_of(LOOKS_A_SECOND) {
                        self.forget();
                        self.tell();
                    }
                }
            }
            self.go_on();
        }
    }

    /// Hands what the doors wonder about to the desks. Who is protected, or on a list already, is not worth
    /// a question.
    fn look(&mut self) {
        let (now, never_ban, lists) = (clock::now(), self.view.never_ban(), self.view.lists());
        let posts = &mut self.posts;
        self.view.hearsay().take_wonders(|_, address, worth| {
            if never_ban.protects(address).is_some() || lists.speaks_of(address) {
                return;
            }
            for post in posts.iter_mut() {
                post.desk.wonder(address, worth, now);
            }
        });
    }

    fn heard(&mut self, incident: &Incident) {
        let is_protected = self.view.never_ban().protects(incident.client.address).is_some();
        if let Some((reporter, _)) = self.reporter.as_mut().filter(|_| !is_protected) {
            reporter.note(incident, clock::now());
        }
    }

    /// Begins whatever is to be done next.
    fn go_on(&mut self) {
        let (now, wall) = (clock::now(), wall_secs());
        for Post { question, desk, .. } in &mut self.posts {
            let provider = question.provider;
            while let Some(step) = desk.next(now, wall) {
                match step {
                    Step::Keep(kept) => {
                        let keeping = keep(self.notebook.as_ref(), provider.name(), &kept);
                        self.doing.spawn(async move { Done::Kept(provider, kept, keeping.await) });
                    }
                    Step::Ask(address) => {
                        let question = Arc::clone(question);
                        self.doing.spawn(async move {
                            Done::Answered(provider, address, question.ask(address).await)
                        });
                    }
                }
            }
        }
        let Some((reporter, question)) = &mut self.reporter else { return };
        if !self.keeping_reports
            && let Some(kept) = reporter.to_keep(wall)
        {
            self.keeping_reports = true;
            let keeping = keep(self.notebook.as_ref(), REPORTED, &kept);
            self.doing.spawn(async move { Done::ReportsKept(kept, keeping.await) });
        }
        while let Some(report) = reporter.next(wall) {
            let question = Arc::clone(question);
            self.doing.spawn(async move {
                let outcome = question.tell(&report).await;
                Done::Reported(report, outcome)
            });
        }
    }

    fn done(&mut self, done: Done) {
        let (now, wall) = (clock::now(), wall_secs());
        match done {
            Done::Kept(provider, kept, is_kept) => {
                if let Some(post) = self.post(provider) {
                    post.desk.set_aside(kept, is_kept, now);
                }
            }
            Done::Answered(provider, address, outcome) => {
                self.metrics.lookups.with_label_values(&[provider.name(), outcome.name()]).inc();
                let Some(post) = self.post(provider) else { return };
                let before = post.desk.state(now, wall);
                post.desk.answered(address, outcome, now, wall, chance());
                let (after, kept) = (post.desk.state(now, wall), post.desk.budget().kept());
                if after != before && after != "ok" {
                    tracing::error!(
                        provider = provider.name(),
                        state = after,
                        "a provider of reputation is not asked for now"
                    );
                }
                match outcome {
                    Outcome::Known(_) | Outcome::Unanswerable => {
                        self.remember(provider, address);
                        self.publish(address);
                    }
                    Outcome::Exhausted(_) => {
                        let value = serde_json::to_string(&kept).unwrap_or_default();
                        self.notebook.note(BUDGETS, provider.name(), value, None);
                    }
                    Outcome::KeyRefused | Outcome::Later(_) | Outcome::Failed(_) => {}
                }
            }
            Done::ReportsKept(kept, is_kept) => {
                self.keeping_reports = false;
                if let Some((reporter, _)) = self.reporter.as_mut().filter(|_| is_kept) {
                    reporter.note_kept(kept);
                }
            }
            Done::Reported(report, outcome) => {
                let arrived = has_arrived(&outcome);
                let result = if arrived { "told" } else { outcome.name() };
                self.metrics.reports.with_label_values(&[result]).inc();
                if let (Outcome::Exhausted(pause), Some((reporter, _))) = (outcome, &mut self.reporter) {
                    reporter.exhaust(pause.map(|pause| pause.as_secs()), wall);
                }
                if arrived {
                    let ends = wall_ms().saturating_add(86_400_000);
                    self.notebook.note(
                        REPORTED,
                        &report.address.to_string(),
                        wall_ms().to_string(),
                        Some(ends),
                    );
                }
            }
        }
    }

    fn post(&mut self, provider: Provider) -> Option<&mut Post> {
        self.posts.iter_mut().find(|post| post.question.provider == provider)
    }

    fn remember(&mut self, provider: Provider, address: IpAddr) {
        let (now, wall) = (clock::now(), wall_ms());
        let Some(post) = self.post(provider) else { return };
        let Some(fresh) = post.desk.fresh_for(address, now) else { return };
        let fresh = i64::try_from(fresh.as_millis()).unwrap_or(i64::MAX / 4);
        let opinion = post.desk.opinion(address, now).map(|(opinion, _)| opinion);
        let remembered = Remembered { opinion, fresh_until_ms: wall.saturating_add(fresh) };
        let value = serde_json::to_string(&remembered).unwrap_or_default();
        let ends = wall.saturating_add(fresh.saturating_mul(2));
        self.notebook.note(provider.name(), &address.to_string(), value, Some(ends));
    }

    /// Shows the doors what all providers together say of `address`.
    fn publish(&self, address: IpAddr) {
        let now = clock::now();
        let said = self.posts.iter().filter_map(|post| post.desk.opinion(address, now));
        let both = said.reduce(|(one, until), (other, later)| (one.with(other), until.min(later)));
        if let Some((opinion, until)) = both
            && !self.view.hearsay().say(address, opinion, until)
        {
            self.metrics.unpublished.inc();
        }
    }

    fn publish_all(&self) {
        for post in &self.posts {
            for address in post.desk.addresses() {
                self.publish(address);
            }
        }
    }

    fn forget(&mut self) {
        let now = clock::now();
        self.posts.iter_mut().for_each(|post| post.desk.forget(now));
        if let Some((reporter, _)) = &mut self.reporter {
            reporter.forget(now);
        }
        self.view.hearsay().forget(now);
    }

    fn tell(&mut self) {
        let (now, wall) = (clock::now(), wall_secs());
        let mut dropped = self.view.hearsay().dropped();
        let mut providers = Vec::new();
        for Post { question, desk, daily } in &self.posts {
            let name = question.provider.name();
            let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.budget.with_label_values(&[name]).set(i64::from(desk.budget().left()));
            self.metrics.known.with_label_values(&[name]).set(count(desk.known()));
            self.metrics.waiting.with_label_values(&[name]).set(count(desk.waiting()));
            dropped += desk.dropped();
            providers.push(ProviderState {
                provider: name,
                state: desk.state(now, wall),
                budget: *daily,
                spent: desk.budget().spent(),
                known: desk.known(),
                waiting: desk.waiting(),
            });
        }
        let counted = &self.metrics.wonders_dropped;
        counted.inc_by(dropped.saturating_sub(counted.get()));
        let reports_left = self.reporter.as_ref().map_or(0, |(reporter, _)| reporter.budget().left());
        self.states.send_replace(State { providers, reporting: self.reporter.is_some(), reports_left });
    }
}

/// A share of 1, so that many do not come back at once. Without randomness it is a half.
fn chance() -> f64 {
    let mut random = [128_u8];
    let _unlikely = getrandom::fill(&mut random);
    f64::from(random[0]) / 255.0
}
