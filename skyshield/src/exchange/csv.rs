//! Comma-separated values under a line of names.

use ::csv::{ReaderBuilder, StringRecord};

use super::span::span;
use super::{Line, Problem, Read, about};
use crate::engine::ruling::Kind;

/// The columns that are read; each by any of its names.
const SUBJECT: [&str; 5] = ["subject", "source", "value", "ip", "address"];
const KIND: [&str; 3] = ["kind", "type", "action"];
const SPAN: [&str; 3] = ["ttl", "duration", "ttl_seconds"];

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut reader = ReaderBuilder::new();
    let mut rows = reader.comment(Some(b'#')).trim(::csv::Trim::All).from_reader(text.as_bytes());
    let names = match rows.headers() {
        Ok(names) => names.clone(),
        Err(error) => return at_fault(read, 1, error.to_string()),
    };
    let column =
        |known: &[&str]| names.iter().position(|name| known.iter().any(|one| name.eq_ignore_ascii_case(one)));
    let Some(subject) = column(&SUBJECT) else {
        let what = "the first line names no column `subject`; write `subject,kind,ttl,reason`";
        return at_fault(read, 1, what.to_owned());
    };
    let columns = Columns {
        subject,
        kind: column(&KIND),
        span: column(&SPAN),
        reason: column(&["reason"]),
        comment: column(&["comment"]),
        rate: column(&["requests_per_min"]),
    };
    let mut row = StringRecord::new();
    loop {
        match rows.read_record(&mut row) {
            Ok(false) => break,
            Ok(true) => {
                let number = row.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or_default());
                read.take(number, columns.line(number, &row));
            }
            Err(error) => {
                let number = error.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or_default());
                read.problems.push(Problem { line: number, what: error.to_string() });
            }
        }
    }
    read
}

fn at_fault(mut read: Read, line: usize, what: String) -> Read {
    read.problems.push(Problem { line, what });
    read
}

struct Columns {
    subject: usize,
    kind: Option<usize>,
    span: Option<usize>,
    reason: Option<usize>,
    comment: Option<usize>,
    rate: Option<usize>,
}

impl Columns {
    fn line(&self, number: usize, row: &StringRecord) -> Result<Option<Line>, String> {
        let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).map(unquoted).unwrap_or_default();
        let said = |at: Option<usize>| Some(cell(at).to_owned()).filter(|text| !text.is_empty());
        let kind = match cell(self.kind) {
            "" => Kind::Ban,
            name => Kind::from_name(name).ok_or_else(|| {
                format!("`{}` is no kind; there are ban, limit and allow", name.escape_debug())
            })?,
        };
        let about = about(cell(Some(self.subject)), kind)?;
        let requests_per_min = match cell(self.rate) {
            "" => 0,
            rate => {
                rate.parse().map_err(|_| format!("`{}` is no number of requests", rate.escape_debug()))?
            }
        };
        let Some(span) = span(cell(self.span))? else { return Ok(None) };
        let (reason, comment) = (said(self.reason), said(self.comment));
        Ok(Some(Line { number, kind, about, span, reason, comment, requests_per_min }))
    }
}

/// A cell without the mark that keeps a spreadsheet from running it.
fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(cell)
}
