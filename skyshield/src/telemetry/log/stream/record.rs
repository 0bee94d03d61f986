//! One event with its fields.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::clock;

/// An event as its form needs it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// What kind of event: `incident`, `ban`; empty where it has none.
    pub(super) kind: String,
    pub(super) message: String,
    /// In the order they were told in.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut record = Self {
            at: Timestamp::try_from(clock::wall()).unwrap_or_else(|_| epoch()),
            level: *event.metadata().level(),
            kind: String::new(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    /// All of it as one object.
    pub(super) fn object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), self.at.to_string().into());
        object.insert("level".to_owned(), self.level.as_str().to_ascii_lowercase().into());
        if !self.kind.is_empty() {
            object.insert("event".to_owned(), self.kind.clone().into());
        }
        object.insert("message".to_owned(), self.message.clone().into());
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.clone());
        }
        object
    }

    /// Its fields, with their values as text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        self.fields.iter().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
            (*name, text)
        })
    }

    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("event", Value::String(text)) => self.kind = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

fn epoch() -> Timestamp {
    Timestamp::try_from(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }
}
