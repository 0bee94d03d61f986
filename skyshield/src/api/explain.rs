//! `/api/v1/explain/{incident, answer or address}`: what a score is made of, what would have passed, and the
//! narrowest exception with what it would let in.

mod turned_away;

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::decisions::DecisionBody;
use super::exceptions::ScopeBody;
use super::incidents::IncidentBody;
use super::knowing::Knowing;
use super::problem::{Name, Problem};
use super::terms::TermBody;
use crate::clock;
use crate::control::{Control, Wanted, millis};
use crate::engine::decision::DecisionId;
use crate::engine::incident::Assessment;
use crate::engine::risk::Thresholds;
use crate::engine::view::View;
use crate::exceptions::{Change, Circumstances, Past, Scope, change, place_text, preview, propose};
use crate::store::{IncidentRow, Reader};

use turned_away::ExplainedAnswer;

/// Where scores turn into acts: the shape of [`Thresholds`], for the document.
#[derive(ToSchema)]
#[schema(as = Thresholds)]
#[expect(dead_code, reason = "it describes the engine's own type, which is what is sent")]
pub(super) struct ThresholdsBody {
    shape: f64,
    refuse: f64,
    ban: f64,
}

/// How far back a preview looks.
const PREVIEW: Duration = Duration::from_hours(24);
/// Incidents that a preview looks at, the newest.
const PREVIEW_ROWS: u32 = 100_000;
/// Incidents that an answer names.
const NAMED: usize = 20;

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Explained {
    Incident(Box<ExplainedIncident>),
    TurnedAway(Box<ExplainedAnswer>),
    Source(Box<ExplainedSource>),
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplainedIncident {
    incident: IncidentBody,
    #[schema(value_type = ThresholdsBody)]
    thresholds: Thresholds,
    /// Why it was refused, in words.
    why: String,
    /// What would have to be otherwise; none where it passed.
    change: Option<ChangeBody>,
    /// The narrowest exceptions, one for each place, for this source alone.
    exceptions: Vec<ScopeBody>,
    preview: PreviewBody,
    /// The same for every source.
    exceptions_for_all: Vec<ScopeBody>,
    preview_for_all: PreviewBody,
    /// The ban that its source is under: of its address, of a prefix or a place that it is in.
    ban: Option<DecisionBody>,
    /// Where nothing of its source is wanted: the list (`list drop`) or the policy on places (`policy away`).
    unwanted_by: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeBody {
    /// Places of the request without whose content it passes.
    places: Vec<String>,
    /// Its score then.
    score: f64,
    says: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewBody {
    hours: u64,
    /// Refused requests that were looked at.
    looked_at: usize,
    /// How many of them, beside this one, would have passed.
    admitted: usize,
    /// The newest of those.
    incidents: Vec<AdmittedBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AdmittedBody {
    id: String,
    score_then: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplainedSource {
    address: String,
    /// What a request of it scores in which nothing is found.
    score: f64,
    terms: Vec<TermBody>,
    #[schema(value_type = ThresholdsBody)]
    thresholds: Thresholds,
    /// The ban that it is under: of itself, of a prefix or a place that it is in.
    ban: Option<DecisionBody>,
    /// Where nothing of it is wanted: the list (`list drop`) or the policy on places (`policy away`).
    unwanted_by: Option<String>,
    /// Its newest incidents of the last 24 hours.
    incidents: Vec<IncidentBody>,
}

/// What a score is made of, what would have passed, and what an exception for it would let in. Of an answer that was
/// given without an incident (over a quota, by a ban, a list, a policy on places, for want of a login), why, for an hour.
#[utoipa::path(get, path = "/api/v1/explain/{what}", tag = "events", params(("what" = String, Path, description = "An incident's id, the number on another answer that turned somebody away, or an address")), responses((status = 200, body = Explained)))]
pub(super) async fn explain(
    State(control): State<Control>,
    State(reader): State<Reader>,
    State(knowing): State<Knowing>,
    Name(what): Name,
) -> Result<Json<Explained>, Problem> {
    let view = &knowing.view;
    if let Ok(address) = what.parse::<IpAddr>() {
        return source(&control, view, reader, address.to_canonical()).await.map(Json);
    }
    let wanted = what.clone();
    let found = super::read({
        let reader = reader.clone();
        move || reader.incident(&wanted)
    });
    let Some(row) = found.await? else {
        let slip = turned_away::slip(view, &what)?;
        let shut = shut(&control, view, slip.address).await?;
        return Ok(Json(Explained::TurnedAway(Box::new(ExplainedAnswer::new(slip, shut)))));
    };
    let shut = match row.address.parse() {
        Ok(address) => shut(&control, view, address).await?,
        Err(_) => Shut::default(),
    };
    let explained = super::read(move || incident(&reader, row, shut)).await?;
    Ok(Json(Explained::Incident(Box::new(explained))))
}

/// What shuts a source out now.
#[derive(Default)]
struct Shut {
    ban: Option<DecisionBody>,
    unwanted_by: Option<String>,
}

async fn shut(control: &Control, view: &View, address: IpAddr) -> Result<Shut, Problem> {
    let now = clock::now();
    let unwanted_by = view.unwanted_by(address, now).map(|unwanted| unwanted.to_string());
    let Some(held) = view.ban_of(address, now) else { return Ok(Shut { ban: None, unwanted_by }) };
    let before = held.id.0.checked_sub(1).map(DecisionId);
    let wanted = Wanted { after: before, source: None, limit: 1 };
    let decision = control.decisions(wanted).await?.into_iter().find(|decision| decision.id == held.id);
    let ban = if let Some(decision) = decision {
        Some(DecisionBody::new(decision, now))
    } else {
        // Of a place it is.
        let rulings = control.rulings(before, 1).await?;
        let ruling = rulings.iter().find(|ruling| ruling.id == held.id);
        ruling.map(|ruling| DecisionBody::of_ruling(ruling, now))
    };
    Ok(Shut { ban, unwanted_by })
}

async fn source(
    control: &Control,
    view: &View,
    reader: Reader,
    address: IpAddr,
) -> Result<Explained, Problem> {
    let (bill, thresholds) = control.bill_of(address).await?;
    let Shut { ban, unwanted_by } = shut(control, view, address).await?;
    let since = millis(clock::wall() - PREVIEW);
    let named = u32::try_from(NAMED).unwrap_or(u32::MAX);
    let rows = super::read(move || reader.refused_since(since, Some(&address.to_string()), named)).await?;
    Ok(Explained::Source(Box::new(ExplainedSource {
        address: address.to_string(),
        score: bill.score().value(),
        terms: bill.terms.into_iter().map(TermBody::new).collect(),
        thresholds,
        ban,
        unwanted_by,
        incidents: rows.into_iter().map(IncidentBody::new).collect(),
    })))
}

fn incident(
    reader: &Reader,
    row: IncidentRow,
    Shut { ban, unwanted_by }: Shut,
) -> rusqlite::Result<ExplainedIncident> {
    let past = past(&row);
    let assessment = row.assessment();
    let scopes = past.as_ref().map(|past| {
        let request =
            Circumstances { route: &past.route, host: &past.host, target: &past.target, source: past.source };
        propose(&assessment, &request)
    });
    let scopes = scopes.unwrap_or_default();
    let for_all: Vec<_> = scopes.iter().map(|scope| Scope { source: None, ..scope.clone() }).collect();
    let since = millis(clock::wall() - PREVIEW);
    let rows =
        if scopes.is_empty() { Vec::new() } else { reader.refused_since(since, None, PREVIEW_ROWS)? };
    let preview = previewed(&scopes, &rows, &row.id);
    let preview_for_all = previewed(&for_all, &rows, &row.id);
    Ok(ExplainedIncident {
        thresholds: assessment.thresholds,
        why: why(&row, &assessment),
        change: change(&assessment).map(|change| changed(change, &assessment)),
        exceptions: scopes.iter().map(ScopeBody::new).collect(),
        preview,
        exceptions_for_all: for_all.iter().map(ScopeBody::new).collect(),
        preview_for_all,
        ban,
        unwanted_by,
        incident: IncidentBody::new(row),
    })
}

fn why(row: &IncidentRow, assessment: &Assessment) -> String {
    let Assessment { bill, thresholds, demanded_by, unread } = assessment;
    let score = bill.score();
    match unread {
        Some(limit) => format!("it outgrew inspect.{limit}, and what lay beyond was not read"),
        None if !bill.is_refused(*thresholds) && !demanded_by.is_empty() => {
            format!("{} refuses whatever the score", demanded_by.join(" and "))
        }
        None if !bill.is_refused(*thresholds) => format!("its score was {:.3}", row.score),
        None if thresholds.bans(score) => {
            format!(
                "{score} is above risk.refuse ({}) and not below risk.ban ({})",
                thresholds.refuse, thresholds.ban
            )
        }
        None => format!("{score} is above risk.refuse ({})", thresholds.refuse),
    }
}

fn changed(change: Change, assessment: &Assessment) -> ChangeBody {
    match change {
        Change::Without { places, score } => {
            let named: Vec<_> = places.iter().map(place_text).collect();
            let matched = assessment.bill.terms.iter().find(|term| term.place.as_ref() == places.first());
            let matched = matched.map(|term| format!(" (`{}`)", term.matched)).unwrap_or_default();
            let says = format!(
                "without what stands at {}{matched} it scores {score} and passes",
                named.join(" and ")
            );
            ChangeBody { places: named, score: score.value(), says }
        }
        Change::OtherSource { score } => ChangeBody {
            places: Vec::new(),
            score: score.value(),
            says: format!("from a source of which nothing is known it scores {score} and passes"),
        },
        Change::Within(limit) => ChangeBody {
            places: Vec::new(),
            score: assessment.bill.score().value(),
            says: format!("within inspect.{limit} it passes"),
        },
    }
}

fn previewed(scopes: &[Scope], rows: &[IncidentRow], own: &str) -> PreviewBody {
    let others = rows.iter().filter(|row| row.id != own).filter_map(past);
    let preview = preview(scopes, others);
    let incidents = preview.admitted.iter().take(NAMED);
    PreviewBody {
        hours: PREVIEW.as_secs() / 3600,
        looked_at: preview.looked_at,
        admitted: preview.admitted.len(),
        incidents: incidents
            .map(|admitted| AdmittedBody { id: admitted.id.clone(), score_then: admitted.score.value() })
            .collect(),
    }
}

pub(super) fn past(row: &IncidentRow) -> Option<Past> {
    Some(Past {
        id: row.id.clone(),
        source: row.address.parse().ok()?,
        route: row.route.clone(),
        host: row.host_bytes(),
        target: row.target_bytes(),
        assessment: row.assessment(),
    })
}
