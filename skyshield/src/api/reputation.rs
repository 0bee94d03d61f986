//! `/api/v1/reputation`: how providers are asked, what is known of a source, and the databases of places.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::knowing::Knowing;
use super::page::Page;
use super::problem::{Name, Problem};
use super::time::rfc3339;
use crate::clock;
use crate::engine::indicators::Kind;
use crate::geoip::Database;
use crate::reputation::{ProviderState, State as AskedState};

/// A provider that is asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderBody {
    provider: &'static str,
    /// `ok`, `open` (left alone for its failures), `exhausted` or `key_refused`.
    status: &'static str,
    budget_per_day: u32,
    spent_today: u32,
    known: usize,
    waiting: usize,
}

impl From<ProviderState> for ProviderBody {
    fn from(state: ProviderState) -> Self {
        let ProviderState { provider, state, budget, spent, known, waiting } = state;
        Self { provider, status: state, budget_per_day: budget, spent_today: spent, known, waiting }
    }
}

/// How the asking goes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AskingBody {
    /// Each provider there is a key for.
    providers: Vec<ProviderBody>,
    /// Whether attackers are told of.
    reporting: bool,
    /// Reports that may still be sent today.
    reports_left: u32,
}

/// How providers of reputation are asked, and what is left of their budgets.
#[utoipa::path(get, path = "/api/v1/reputation", tag = "knowledge", responses((status = 200, body = AskingBody)))]
pub(super) async fn show(State(knowing): State<Knowing>) -> Json<AskingBody> {
    Json(knowing.asking.borrow().clone().into())
}

impl From<AskedState> for AskingBody {
    fn from(state: AskedState) -> Self {
        Self {
            providers: state.providers.into_iter().map(ProviderBody::from).collect(),
            reporting: state.reporting,
            reports_left: state.reports_left,
        }
    }
}

/// What is known of a source beyond its requests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnownBody {
    address: String,
    /// How bad others say it is, 0 to 1; none where nobody has said.
    reputation: Option<f32>,
    /// The lists that it is on.
    lists: Vec<String>,
    /// Where it is; none where no database says.
    place: Option<PlaceBody>,
    /// How sure it is an attacker's by its own deeds, 0 to 1.
    indicator_confidence: f64,
    /// The list or policy for which all it sends is refused.
    unwanted_by: Option<String>,
}

/// Where a source is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlaceBody {
    country: Option<String>,
    asn: Option<u32>,
    network: Option<String>,
    is_tor: bool,
    is_proxy: bool,
    is_hosting: bool,
}

/// What is known of a source beyond its requests. Nobody is asked for it.
#[utoipa::path(get, path = "/api/v1/reputation/{address}", tag = "knowledge", params(("address" = String, Path, description = "The address")), responses((status = 200, body = KnownBody)))]
pub(super) async fn known(
    State(knowing): State<Knowing>,
    Name(address): Name,
) -> Result<Json<KnownBody>, Problem> {
    let address: IpAddr = address
        .parse()
        .map_err(|_| Problem::bad_request(format!("`{}` is no address", address.escape_debug())))?;
    let address = address.to_canonical();
    let view = &knowing.view;
    let described = view.atlas().describe(address);
    let origin = view.hearsay().of(address, clock::now());
    let place = described.map(|described| PlaceBody {
        country: described.origin.country.map(|code| String::from_utf8_lossy(&code).into_owned()),
        asn: described.origin.asn,
        network: described.network,
        is_tor: described.origin.is_tor || origin.is_some_and(|said| said.is_tor),
        is_proxy: described.origin.is_proxy || origin.is_some_and(|said| said.is_proxy),
        is_hosting: described.origin.is_hosting || origin.is_some_and(|said| said.is_hosting),
    });
    Ok(Json(KnownBody {
        address: address.to_string(),
        reputation: origin.map(|said| said.share),
        lists: view.lists().naming(address).map(|list| list.name.to_string()).collect(),
        place,
        indicator_confidence: knowing.indicators.confidence(Kind::Address, &address.to_string()),
        unwanted_by: view.unwanted_by(address, clock::now()).map(|unwanted| unwanted.to_string()),
    }))
}

/// A database of places.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatabaseBody {
    /// What it knows: `country`, `asn` or `anonymous`.
    database: &'static str,
    path: String,
    /// `ok`, `failing` (an earlier one is in use) or `absent` (what it would know is unknown).
    status: &'static str,
    /// What the one in use says it is.
    kind: Option<String>,
    /// When the one in use was built.
    built_at: Option<String>,
    /// How old the one in use is.
    age_seconds: Option<u64>,
    /// Stretches of addresses that it knows something of.
    stretches: usize,
    /// Why the file as it is now is not in use, where it is not.
    problem: Option<String>,
}

impl From<Database> for DatabaseBody {
    fn from(database: Database) -> Self {
        let Database { kind, path, in_use, problem } = database;
        let age = |built_at| clock::wall().duration_since(built_at).unwrap_or_default().as_secs();
        Self {
            database: kind.name(),
            path: path.display().to_string(),
            status: match (in_use.is_some(), problem.is_some()) {
                (false, _) => "absent",
                (true, true) => "failing",
                (true, false) => "ok",
            },
            built_at: in_use.as_ref().map(|facts| rfc3339(facts.built_at)),
            age_seconds: in_use.as_ref().map(|facts| age(facts.built_at)),
            stretches: in_use.as_ref().map_or(0, |facts| facts.stretches),
            kind: in_use.map(|facts| facts.database_type),
            problem,
        }
    }
}

/// The databases of places, all on one page.
#[utoipa::path(get, path = "/api/v1/places", tag = "knowledge", responses((status = 200, body = Page<DatabaseBody>)))]
pub(super) async fn places(State(knowing): State<Knowing>) -> Json<Page<DatabaseBody>> {
    let databases = knowing.places.borrow().clone();
    Page::whole(databases.into_iter().map(DatabaseBody::from).collect())
}
