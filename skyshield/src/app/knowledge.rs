//! What is known of sources beyond their requests: places, lists, reputation. Built here, kept by tasks of
//! their own, and published to the view; no request waits for any of it.

mod notes;

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use anyhow::Context as _;
use ipnet::IpNet;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tasks::held;
use crate::api::Knowing;
use crate::config::Config;
use crate::control::{Control, millis};
use crate::engine::feeds::special_purpose;
use crate::engine::happening::Teller;
use crate::engine::notebook::Notebook;
use crate::engine::place::Places;
use crate::engine::ranges::Ranges;
use crate::engine::view::View;
use crate::lifecycle::Lifecycle;
use crate::store::{AuditRow, Record};
use crate::{clock, geoip, indicators, reputation, response, store};

use self::notes::Notes;

/// What is known, before its tasks run.
pub(super) struct Knowledge {
    places: geoip::Keeper,
    feeder: reputation::Feeder,
    asker: reputation::Asker,
    indicators: indicators::Indicators,
    learning: indicators::Metrics,
    notebook: Arc<dyn Notebook>,
    view: Arc<View>,
    responding: Responding,
}

/// What rules of response are made from.
struct Responding {
    rules: crate::engine::response::Config,
    shape: f64,
    client: reputation::Client,
    store: store::Store,
    metrics: response::Metrics,
    tell: Teller,
}

impl Knowledge {
    /// Reads what is on the disk. Blocks.
    pub(super) fn open(
        config: &Config,
        view: &Arc<View>,
        opened: &store::Opened,
        registry: &Registry,
        tell: Teller,
    ) -> anyhow::Result<Self> {
        let view = Arc::clone(view);
        let places = geoip::Keeper::open(&config.geoip, Arc::clone(&view), geoip::Metrics::new(registry)?)
            .map_err(anyhow::Error::msg)
            .context("a policy on places cannot be kept")?;
        let notes = Notes { store: opened.store.clone(), reader: opened.reader.clone() };
        let notebook: Arc<dyn Notebook> = Arc::new(notes);
        let metrics = reputation::Metrics::new(registry)?;
        let client = reputation::Client::new().unwrap_or_else(|error| {
            tracing::error!(%error, "no list is fetched and nobody is asked: has this host no certificates to believe?");
            reputation::Client::default()
        });
        let parts = reputation::Parts {
            client: client.clone(),
            dir: config.store.dir.join("feeds"),
            view: Arc::clone(&view),
            notebook: Arc::clone(&notebook),
            metrics: metrics.clone(),
        };
        let feeder = reputation::Feeder::open(&config.feeds, &config.reputation, parts)?;
        let asker = reputation::Asker::open(
            &config.reputation,
            &client,
            Arc::clone(&view),
            Arc::clone(&notebook),
            metrics,
        )?;
        let indicators = indicators::Indicators::recall(notebook.as_ref());
        let learning = indicators::Metrics::new(registry)?;
        let responding = Responding {
            rules: config.response.clone(),
            shape: config.risk.shape,
            client,
            store: opened.store.clone(),
            metrics: response::Metrics::new(registry)?,
            tell,
        };
        Ok(Self { places, feeder, asker, indicators, learning, notebook, view, responding })
    }

    /// What the API may ask.
    pub(super) fn knowing(&self) -> Knowing {
        Knowing {
            view: Arc::clone(&self.view),
            places: self.places.states(),
            feeds: self.feeder.handle(),
            asking: self.asker.states(),
            indicators: self.indicators.clone(),
        }
    }

    /// Runs the tasks that keep it.
    pub(super) fn spawn(
        self,
        lifecycle: &mut Lifecycle,
        control: &Control,
        release: &CancellationToken,
        hold: &mpsc::Sender<Infallible>,
    ) -> anyhow::Result<()> {
        let Self { places, feeder, asker, indicators, learning, notebook, view, responding } = self;
        let response = responding.response(control, &view, &indicators)?;
        lifecycle.spawn("response", held(hold.clone(), response.run(control.incidents(), release.clone())));
        let changed = control.let_through();
        changed.notify_one();
        let tell = || {
            let changed = Arc::clone(changed);
            move || changed.notify_one()
        };
        lifecycle.spawn("places", held(hold.clone(), places.run(release.clone(), tell())));
        lifecycle.spawn("feeds", held(hold.clone(), feeder.run(release.clone(), tell())));
        lifecycle.spawn("reputation", held(hold.clone(), asker.run(control.incidents(), release.clone())));
        let learn =
            indicators.learn(control.incidents(), Arc::clone(&view), notebook, learning, release.clone());
        lifecycle.spawn("indicators", held(hold.clone(), learn));
        let listing = keep_listed(view, control.clone(), release.clone());
        lifecycle.spawn("listing", held(hold.clone(), listing));
        Ok(())
    }
}

impl Responding {
    fn response(
        self,
        control: &Control,
        view: &Arc<View>,
        indicators: &indicators::Indicators,
    ) -> anyhow::Result<response::Response> {
        let Self { rules, shape, client, store, metrics, tell } = self;
        let audit: response::Audit = Arc::new(move |action, content| {
            let mut salt = [0; 16];
            // Without randomness the commitment is one that can be guessed; the chain holds all the same.
            let _unlikely = getrandom::fill(&mut salt);
            store.append(Record::Audit(AuditRow {
                at_ms: millis(clock::wall()),
                actor: "response".to_owned(),
                token: None,
                role: "rule".to_owned(),
                action: action.to_owned(),
                content: content.to_string(),
                salt,
            }));
        });
        let (control, view, indicators) = (control.clone(), Arc::clone(view), indicators.clone());
        let parts = response::Parts { control, view, indicators, client, shape, audit, tell };
        response::Response::new(&rules, parts, metrics).context("rules of response cannot be kept")
    }
}

/// Keeps the kernel's list and what it knows of places true to the lists and policies.
async fn keep_listed(view: Arc<View>, control: Control, stop: CancellationToken) -> anyhow::Result<()> {
    let (mut listed, mut placed) = (None, None);
    while stop.run_until_cancelled(control.let_through().notified()).await.is_some() {
        let view = Arc::clone(&view);
        let wanted = tokio::task::spawn_blocking(move || Wanted::of(&view)).await?;
        if let Err(error) = control.set_let_through(wanted.let_through).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(
                error,
                "the kernel drops whom a place lets through, where a banned prefix has them"
            );
        }
        // What is asked for with every ban of a prefix is mostly what is there: it is not written again.
        if listed != Some(wanted.list_mark) {
            listed = list(&control, wanted.list).await.then_some(wanted.list_mark);
        }
        if placed != Some(wanted.places_mark) {
            placed = place(&control, wanted.places).await.then_some(wanted.places_mark);
        }
    }
    Ok(())
}

/// What the kernel is to know beside the bans, each with a mark to tell it from what it was told last.
struct Wanted {
    list: Vec<IpNet>,
    list_mark: u64,
    places: Places,
    places_mark: u64,
    let_through: Vec<IpNet>,
}

impl Wanted {
    fn of(view: &View) -> Self {
        let protected = view.never_ban();
        let protected = Ranges::of(protected.entries().iter().map(|(source, _)| source.as_prefix()));
        let spared = view.places_let_through(clock::now());
        let wanted = view.lists().banned().without(&protected).without(special_purpose()).without(&spared);
        let banned = view.banned_prefixes();
        let let_through = banned.without(&banned.without(&spared));
        let (list, places) = (wanted.prefixes().collect::<Vec<_>>(), view.atlas().places(&spared));
        let (list_mark, places_mark) = (mark(&list), mark(&places));
        Self { list, list_mark, places, places_mark, let_through: let_through.prefixes().collect() }
    }
}

fn mark(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Whether the kernel has the list. Where it refuses, what was last stays, and doors go by what is new.
async fn list(control: &Control, list: Vec<IpNet>) -> bool {
    let prefixes = list.len();
    match control.set_listed(list).await {
        Ok(replaced) => {
            let (added, removed) = (replaced.added, replaced.removed);
            tracing::info!(prefixes, added, removed, "the kernel's list is up to date");
            true
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, prefixes, "a list did not reach the kernel: the last one stays");
            false
        }
    }
}

/// The same of places.
async fn place(control: &Control, places: Places) -> bool {
    let prefixes = places.prefixes.len();
    match control.set_places(places).await {
        Ok(()) => {
            tracing::info!(prefixes, "what the kernel knows of places is up to date");
            true
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, prefixes, "policies on places did not reach the kernel");
            false
        }
    }
}
