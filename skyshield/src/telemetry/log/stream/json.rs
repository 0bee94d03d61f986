//! One JSON object a line.

use super::super::escape::in_json;
use super::record::Record;

pub(super) fn line(record: &Record) -> String {
    in_json(&serde_json::Value::Object(record.object()).to_string())
}
