//! `/api/v1/privacy/erase`: erasing whom the law says.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use super::auth::Operator;
use super::problem::Problem;
use super::writes::Change;
use crate::clock;
use crate::control::{AllowTarget, OrderError, RulingTarget, Target, Wanted};
use crate::engine::allow::{Allow, NewAllow};
use crate::engine::ruling::MAX_RULINGS;
use crate::engine::source::Source;
use crate::store::{ERASED, Found, Record, names};

/// A name is erased that is at least this long: a shorter one is in everything.
const LEAST: usize = 4;
/// And no longer than this.
const MOST: usize = 256;
/// Lines of the audit log that one erasure says it took; where there are more, it is to be asked again.
const MAX_LINES: usize = 50_000;
/// How often the log is emptied anew while somebody reads.
const SCRUBS: usize = 20;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EraseBody {
    /// An address, or another name by which requests or records say who somebody is: an e-mail address, an account.
    #[schema(min_length = 4, max_length = 256)]
    whom: String,
    /// Why, for those who read it later: do not name whom.
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// What was erased. Whom is said by a pseudonym that only this host's key leads to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasedBody {
    whom: String,
    /// Rows that are gone or say nothing any more, by kind.
    rows: Vec<ErasedRows>,
    decisions_lifted: usize,
    /// Rulings that named it: lifted.
    rulings_lifted: usize,
    allows_removed: usize,
    exceptions_removed: usize,
    /// Threat indicators that named it.
    indicators_removed: usize,
    /// Log files in which it was overwritten.
    log_files: usize,
    /// Whether no copy is left in the free parts of the database and in its log.
    scrubbed: bool,
    /// What this cannot reach, and who can.
    notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErasedRows {
    kind: String,
    rows: usize,
}

/// Erases what names an address or a person: in decisions and rulings (which are lifted), the allow list, exceptions,
/// incidents, near misses, alerts, threat indicators, the audit log's contents, log files, what is known of its past, the answers that turned it away, what is held to be
/// told again, and the free parts of the disk's files.
#[utoipa::path(post, path = "/api/v1/privacy/erase", tag = "privacy", request_body = EraseBody, responses((status = 200, body = ErasedBody)))]
pub(super) async fn erase(
    State(api): State<Api>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<EraseBody>, JsonRejection>,
) -> Result<(StatusCode, Extension<Change>, Json<ErasedBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if !(LEAST..=MOST).contains(&body.whom.chars().count()) || body.whom.chars().any(char::is_control) {
        let what = format!("whom: {LEAST} to {MOST} characters, none of them a control character");
        return Err(Problem::bad_request(what));
    }
    let source = body.whom.parse::<Source>().ok();
    if source.is_some_and(|source| !source.is_host()) {
        return Err(Problem::bad_request("whom: one address, not a prefix: those in it are others"));
    }
    // As the store writes it.
    let whom = source.map_or(body.whom, |source| source.to_string());
    if body.reason.as_deref().is_some_and(|reason| reason.contains(&whom)) {
        return Err(Problem::bad_request("reason: names whom is to be erased"));
    }
    let decisions_lifted = match source {
        Some(source) => let_go(&api, source).await?,
        None => 0,
    };
    let rulings_lifted = rule_no_more(&api, &whom).await?;
    let allows_removed = allow_no_more(&api, &whom).await?;
    let exceptions_removed = except_no_more(&api, &whom).await?;
    let indicators_removed = api.knowing.indicators.erase(|value| names(value, &whom));
    // What fires is written anew when it ends.
    let _none_watch = api.monitoring.alerts.erase(&whom).await;
    let (rows, lines) = take_out(&api, &whom).await?;
    // What was on its way meanwhile has arrived.
    api.own.live.erase(&whom);
    api.own.once.erase(&whom);
    if let Some(source) = source {
        api.knowing.view.turned_away().erase(|address| source.covers(Source::host(address)));
    }
    let (logs, sought) = (api.own.kept.logs.clone(), whom.clone());
    let overwritten = tokio::task::spawn_blocking(move || super::logs::overwrite(&logs, &sought)).await;
    let overwritten = overwritten.map_err(|error| Problem::internal(&error))?;
    let (log_files, mut notes) = match overwritten {
        Ok(log_files) => (log_files, Vec::new()),
        Err(error) => (0, vec![format!("a log file could not be overwritten: {error}")]),
    };
    let pseudonym = api.reader.pseudonym(&whom);
    // The line is written before the copies are: those who look find the erasure in the log.
    let scrubbed = scrub(&api).await;
    notes.push(
        "what the service's journal holds is the journal's: `journalctl --rotate --vacuum-time=1s`"
            .to_owned(),
    );
    notes.push(
        "backups of the store, and what was exported or sent to others before, are theirs who keep them"
            .to_owned(),
    );
    if !scrubbed {
        notes.push("somebody reads the store at the moment: ask again, and the last copies go".to_owned());
    }
    tracing::info!(operator = operator.name, whom = pseudonym, "an erasure was carried out");
    let erased = ErasedBody {
        whom: pseudonym,
        rows,
        decisions_lifted,
        rulings_lifted,
        allows_removed,
        exceptions_removed,
        indicators_removed,
        log_files,
        scrubbed,
        notes,
    };
    let mut after = serde_json::to_value(&erased).unwrap_or_default();
    after["audit_lines"] = json!(lines);
    let change = Change {
        after,
        action: Some(ERASED),
        target: Some("/api/v1/privacy/erase".to_owned()),
        ..Change::default()
    };
    Ok((StatusCode::OK, Extension(change), Json(erased)))
}

/// Lifts what is in force against an address, and forgets its past.
async fn let_go(api: &Api, source: Source) -> Result<usize, Problem> {
    let wanted = Wanted { after: None, source: Some(source), limit: 1 };
    let mut lifted = 0;
    for decision in api.control.decisions(wanted).await? {
        lifted += usize::from(done(api.control.lift(Target::Decision(decision.id)).await)?);
    }
    api.control.forget(source).await?;
    Ok(lifted)
}

/// Lifts every ruling that names whom: about a user of that name, or with a reason or comment that says it.
async fn rule_no_more(api: &Api, whom: &str) -> Result<usize, Problem> {
    let mut lifted = 0;
    for ruling in api.control.rulings(None, MAX_RULINGS).await? {
        let says = |text: &str| names(text, whom);
        let is_named = says(&ruling.subject.to_string())
            || says(&ruling.reason)
            || ruling.comment.as_deref().is_some_and(says);
        if is_named {
            lifted += usize::from(done(api.control.overrule(RulingTarget::Id(ruling.id)).await)?);
        }
    }
    Ok(lifted)
}

/// Takes whom off the allow list; an entry for somebody else whose comment names them loses the comment.
async fn allow_no_more(api: &Api, whom: &str) -> Result<usize, Problem> {
    let mut removed = 0;
    for allow in api.control.allows().await? {
        let is_theirs = allow.whom.to_string() == whom;
        if !is_theirs && !allow.comment.contains(whom) {
            continue;
        }
        if !done(api.control.disallow(AllowTarget::Id(allow.id)).await)? {
            continue;
        }
        removed += usize::from(is_theirs);
        if !is_theirs {
            let ttl = allow.remaining(clock::now());
            let Allow { whom, by, made_at, .. } = allow;
            let again =
                NewAllow { whom, comment: "erased".to_owned(), by, ttl, asked_at: made_at, force: true };
            api.control.allow(again).await?;
        }
    }
    Ok(removed)
}

/// Whether it was done; what has ended meanwhile need not be.
fn done<T>(outcome: Result<T, OrderError>) -> Result<bool, Problem> {
    match outcome {
        Ok(_) => Ok(true),
        Err(OrderError::NotInForce | OrderError::NoSuchAllow | OrderError::NoSuchException) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn except_no_more(api: &Api, whom: &str) -> Result<usize, Problem> {
    let naming: Vec<String> = {
        let set = api.control.exceptions().load();
        let names = |exception: &crate::exceptions::Exception| {
            exception.comment.contains(whom)
                || exception.scope.source.is_some_and(|source| source.to_string() == whom)
        };
        set.iter().filter(|held| names(&held.exception)).map(|held| held.exception.id.clone()).collect()
    };
    let mut removed = 0;
    for id in naming {
        removed += usize::from(done(api.control.unexcept(id).await)?);
    }
    Ok(removed)
}

/// Takes every row out that names `whom`, and says how many of each kind, and which lines of the audit log. What is on
/// its way to the disk meanwhile is looked for once more.
async fn take_out(api: &Api, whom: &str) -> Result<(Vec<ErasedRows>, Vec<u64>), Problem> {
    let (mut rows, mut lines) = (Vec::<ErasedRows>::new(), Vec::new());
    for _look in 0..2 {
        let (reader, sought) = (api.reader.clone(), whom.to_owned());
        for found in super::read(move || reader.naming(&sought)).await? {
            let Found { table, keys } = &found;
            if *table == "audit" {
                lines.extend(keys.iter().filter_map(|seq| seq.parse::<u64>().ok()));
            }
            if lines.len() > MAX_LINES {
                let what = "so many lines of the audit log name it that one line cannot list them; ask the log's retention first";
                return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, what));
            }
            if !keys.is_empty() {
                match rows.iter_mut().find(|erased| erased.kind == *table) {
                    Some(erased) => erased.rows += keys.len(),
                    None => rows.push(ErasedRows { kind: (*table).to_owned(), rows: keys.len() }),
                }
            }
            for batch in found.in_batches() {
                let erased = api.store.commit(Record::Erase(batch)).await;
                erased.map_err(|error| Problem::internal(&error))?;
            }
        }
        // Appends are on disk after 100 ms.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok((rows, lines))
}

async fn scrub(api: &Api) -> bool {
    for _try in 0..SCRUBS {
        match api.store.scrub().await {
            Ok(true) => return true,
            Ok(false) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            Err(error) => {
                tracing::warn!(%error, "the store's log could not be emptied");
                return false;
            }
        }
    }
    false
}
