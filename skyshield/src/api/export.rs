//! Whole lists for analysis, streamed: CSV, one JSON object a line, or one JSON document.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// Exports at once; further ones are asked to come again.
const MAX_EXPORTS: usize = 4;
/// Items that are fetched at a time.
pub(super) const BATCH: u32 = 1000;
/// Pieces of an export that may wait for its reader.
const QUEUE: usize = 2;
/// A reader that takes nothing for this long is left.
const PATIENCE: Duration = Duration::from_mins(1);

/// In what form a whole list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// Comma-separated values, a line of names first. A cell that a spreadsheet would compute gets a `'`.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON object with all `items`.
    Json,
}

impl Format {
    fn kind(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
        })
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
        }
    }
}

/// A query that asks for nothing but a form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FormQuery {
    /// All of it, streamed; of a report as `csv` or `ndjson` its values as rows.
    #[param(inline)]
    pub(super) format: Option<Format>,
}

/// The places for exports.
#[derive(Clone, Debug)]
pub(super) struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_EXPORTS)))
    }
}

/// Some items, and where to go on; no cursor is the end.
pub(super) type Batch<T> = (Vec<T>, Option<String>);

impl Exports {
    /// A list as an answer: `fetch` is asked for batch after batch, on a thread that may wait for a disk,
    /// and only as fast as the reader takes them.
    pub(super) fn stream<T: Serialize>(
        &self,
        (name, format): (&str, Format),
        mut fetch: impl FnMut(Option<String>) -> rusqlite::Result<Batch<T>> + Send + 'static,
    ) -> Result<Response, Problem> {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            let what = format!("{MAX_EXPORTS} exports are under way; come again when one has ended");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
        };
        let (pieces, taken) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write(format, &mut fetch, &pieces) {
                tracing::warn!(%error, "an export broke off");
                // The reader sees that it is not whole.
                let _gone = send(&pieces, Err(error));
            }
            drop(place);
        });
        Ok(answer(name, format, taken))
    }

    /// A list that is at hand as an answer.
    pub(super) fn whole<T: Serialize + Send + 'static>(
        &self,
        named: (&str, Format),
        items: Vec<T>,
    ) -> Result<Response, Problem> {
        let mut items = Some(items);
        self.stream(named, move |_| Ok((items.take().unwrap_or_default(), None)))
    }
}

type Piece = io::Result<Bytes>;

fn answer(name: &str, format: Format, taken: mpsc::Receiver<Piece>) -> Response {
    let body = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, format.kind());
    let file = format!("attachment; filename=\"skyshield-{name}.{}\"", format.ending());
    if let Ok(file) = HeaderValue::from_str(&file) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, file);
    }
    response
}

fn send(pieces: &mpsc::Sender<Piece>, piece: Piece) -> io::Result<()> {
    let sent = Handle::current().block_on(async { tokio::time::timeout(PATIENCE, pieces.send(piece)).await });
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader has gone")),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "its reader takes nothing")),
    }
}

fn write<T: Serialize>(
    format: Format,
    fetch: &mut impl FnMut(Option<String>) -> rusqlite::Result<Batch<T>>,
    pieces: &mpsc::Sender<Piece>,
) -> io::Result<()> {
    let mut columns: Option<Vec<String>> = None;
    let (mut cursor, mut is_first) = (None, true);
    loop {
        let (items, next) = fetch(cursor.take()).map_err(io::Error::other)?;
        let mut piece = Vec::with_capacity(items.len() * 256);
        if is_first && format == Format::Json {
            piece.extend_from_slice(b"{\"items\":[");
        }
        for item in &items {
            match format {
                Format::Csv => row(&mut piece, &mut columns, item)?,
                Format::Ndjson => {
                    serde_json::to_writer(&mut piece, item)?;
                    piece.push(b'\n');
                }
                Format::Json => {
                    if !is_first {
                        piece.push(b',');
                    }
                    serde_json::to_writer(&mut piece, item)?;
                }
            }
            is_first = false;
        }
        if next.is_none() && format == Format::Json {
            piece.extend_from_slice(b"],\"next_cursor\":null}");
        }
        if !piece.is_empty() {
            send(pieces, Ok(piece.into()))?;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// A line of CSV, after a line of names where it is the first.
fn row<T: Serialize>(out: &mut Vec<u8>, columns: &mut Option<Vec<String>>, item: &T) -> io::Result<()> {
    let Value::Object(item) = serde_json::to_value(item)? else { return Ok(()) };
    let mut writer = csv::WriterBuilder::new().from_writer(out);
    let columns = if let Some(columns) = columns {
        columns
    } else {
        let names: Vec<String> = item.keys().cloned().collect();
        writer.write_record(&names)?;
        columns.insert(names)
    };
    writer.write_record(columns.iter().map(|column| cell(&item, column)))?;
    writer.flush()
}

fn cell(item: &Map<String, Value>, column: &str) -> String {
    match item.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => harmless(text),
        Some(other) => other.to_string(),
    }
}

/// Text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    async fn text(format: Format, items: Vec<Value>) -> String {
        let response = Exports::default().whole(("things", format), items).unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn cells_that_a_spreadsheet_would_compute_are_quoted() {
        let items = ["=1+1", "+1", "-1", "@sum", "\t=1", "a,\"b\"\nc", "plain"];
        let items = items
            .iter()
            .map(|text| json!({ "text": text, "score": -1.5, "none": null, "list": [1] }))
            .collect();
        let expected = "list,none,score,text\n[1],,-1.5,'=1+1\n[1],,-1.5,'+1\n[1],,-1.5,'-1\n[1],,-1.5,'@sum\n\
                        [1],,-1.5,'\t=1\n[1],,-1.5,\"a,\"\"b\"\"\nc\"\n[1],,-1.5,plain\n";
        assert_eq!(text(Format::Csv, items).await, expected);
    }

    #[tokio::test]
    async fn each_form_holds_every_item_once() {
        let items: Vec<_> = (0..5).map(|number| json!({ "number": number })).collect();
        assert_eq!(text(Format::Ndjson, items.clone()).await.lines().count(), 5);
        let document: Value = serde_json::from_str(&text(Format::Json, items.clone()).await).unwrap();
        assert_eq!(document["items"], json!(items));
        assert_eq!(text(Format::Json, Vec::new()).await, "{\"items\":[],\"next_cursor\":null}");
        assert_eq!(text(Format::Csv, Vec::new()).await, "");
    }

    #[tokio::test]
    async fn what_breaks_off_is_seen_to_break_off() {
        let mut left = 2;
        let broken = move |_| {
            left -= 1;
            if left > 0 {
                Ok((vec![json!({})], Some("on".to_owned())))
            } else {
                Err(rusqlite::Error::InvalidQuery)
            }
        };
        let response = Exports::default().stream(("things", Format::Ndjson), broken).unwrap();
        assert!(response.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn no_more_exports_than_there_are_places_for() {
        let exports = Exports::default();
        let endless = || |_| Ok((vec![json!({ "padding": "x".repeat(1 << 16) })], Some("on".to_owned())));
        let open: Vec<_> = (0..MAX_EXPORTS)
            .map(|_| exports.stream(("things", Format::Ndjson), endless()).unwrap())
            .collect();
        assert!(exports.stream(("things", Format::Ndjson), endless()).is_err());
        drop(open);
    }
}
