//! A report as rows: each of its values with the way to it, for tables and for programs that read line by line.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::export::{Exports, Format};
use super::problem::Problem;

/// One value of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// The names on the way to it, with full stops between: `incidents.by_act.ban`, `attackers.0.address`.
    field: String,
    value: Value,
}

impl Exports {
    /// A report that is at hand: as itself, or as rows.
    pub(super) fn report(
        &self,
        (name, format): (&str, Option<Format>),
        report: &impl Serialize,
    ) -> Result<Response, Problem> {
        let Some(format @ (Format::Csv | Format::Ndjson)) = format else {
            return Ok(Json(report).into_response());
        };
        let rows = of(report).map_err(|error| Problem::internal(&error))?;
        self.whole((name, format), rows)
    }
}

/// Every value of `report`. A list or an object without any is no row.
fn of(report: &impl Serialize) -> serde_json::Result<Vec<Row>> {
    let mut rows = Vec::new();
    collect(String::new(), serde_json::to_value(report)?, &mut rows);
    Ok(rows)
}

fn collect(field: String, value: Value, rows: &mut Vec<Row>) {
    let inner = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match value {
        Value::Object(values) => {
            for (name, value) in values {
                collect(inner(&name), value, rows);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.into_iter().enumerate() {
                collect(inner(&at.to_string()), value, rows);
            }
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            rows.push(Row { field, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_a_row_with_the_way_to_it() {
        let rows = of(&json!({ "a": { "b": 1, "c": [true, null] }, "d": "x", "none": [] })).unwrap();
        let told: Vec<_> = rows.into_iter().map(|row| (row.field, row.value)).collect();
        let expected = [("a.b", json!(1)), ("a.c.0", json!(true)), ("a.c.1", json!(null)), ("d", json!("x"))];
        assert_eq!(told, expected.map(|(field, value)| (field.to_owned(), value)));
    }
}
