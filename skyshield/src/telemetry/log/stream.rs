//! Streams of records, each in the form that what reads it expects.

mod cef;
mod journal;
mod json;
mod record;
mod rfc5424;

use std::io::Write as _;
use std::path::Path;

use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::layer::{Context, Layer};

use super::Error;
use super::config::{File, Performance, Place, Security, StreamFormat};
use super::rotate::Rotating;
use super::sink::{Sink, Sinks};
use super::syslog::Server;
use record::Record;
use rfc5424::Origin;

/// The target of decisions and incidents. They have a stream of their own, and are not told elsewhere.
pub const SECURITY: &str = "security";
/// The target of requests that took long.
pub const PERFORMANCE: &str = "performance";

/// Where journald takes entries.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Whether lines of `target` have a stream of their own.
pub(super) fn is_apart(target: &str) -> bool {
    [SECURITY, PERFORMANCE].contains(&target)
}

/// The form a record is written in.
#[derive(Debug)]
enum Form {
    Json,
    Cef,
    Journal,
    Syslog(Origin, StreamFormat),
}

/// Writes every record to each of its destinations.
#[derive(Debug, Default)]
pub(super) struct Stream {
    to: Vec<(Form, NonBlocking)>,
}

impl Stream {
    /// The one of decisions and incidents, where it goes anywhere.
    pub(super) fn security(config: &Security, sinks: &mut Sinks) -> Result<Option<Self>, Error> {
        let mut stream = Self::default();
        if let Some(file) = &config.file {
            let form = match config.format {
                StreamFormat::Json => Form::Json,
                StreamFormat::Cef => Form::Cef,
            };
            stream.to.push((form, add_file(sinks, "security_file", "log.security.file", file)?));
        }
        if let Some(place) = config.syslog.as_ref().and_then(super::config::Syslog::place) {
            let to = Sink::add(sinks, "security_syslog", Server::at(place));
            stream.to.push((Form::Syslog(Origin::of_this_host(), config.format), to));
        }
        Ok((!stream.to.is_empty()).then_some(stream))
    }

    /// The one of requests that took long, where it goes anywhere.
    pub(super) fn performance(config: &Performance, sinks: &mut Sinks) -> Result<Option<Self>, Error> {
        let Some(file) = &config.file else { return Ok(None) };
        let to = add_file(sinks, "performance_file", "log.performance.file", file)?;
        Ok(Some(Self { to: vec![(Form::Json, to)] }))
    }

    /// Entries of journald.
    pub(super) fn journald(sinks: &mut Sinks) -> Result<Self, Error> {
        if let Err(error) = Path::new(JOURNAL).metadata() {
            return Err(Error::new("log.journald", format!("journald does not listen at {JOURNAL}"), error));
        }
        let to = Sink::add(sinks, "journald", Server::at(Place::Unix(JOURNAL.into())));
        Ok(Self { to: vec![(Form::Journal, to)] })
    }
}

fn add_file(
    sinks: &mut Sinks,
    name: &'static str,
    key: &'static str,
    file: &File,
) -> Result<NonBlocking, Error> {
    let rotating = Rotating::open(file)
        .map_err(|error| Error::new(key, format!("`{}` cannot be written", file.path.display()), error))?;
    Ok(Sink::add(sinks, name, rotating))
}

impl<S: Subscriber> Layer<S> for Stream {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let record = Record::of(event);
        for (form, to) in &self.to {
            let mut line = match form {
                Form::Json => json::line(&record),
                Form::Cef => cef::line(&record),
                Form::Journal => journal::entry(&record),
                Form::Syslog(origin, format) => rfc5424::message(&record, origin, *format),
            };
            line.push('\n');
            // What the queue does not take, it counts.
            let _counted = to.clone().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    /// What the file holds once `event` was logged.
    fn logged(format: StreamFormat, event: impl FnOnce()) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("security.log");
        let file = File { path: path.clone(), rotate_bytes: 1 << 20, rotate_secs: 3600, keep: 1 };
        let mut sinks = Vec::new();
        let config = Security { format, file: Some(file), syslog: None };
        let stream = Stream::security(&config, &mut sinks).unwrap().unwrap();
        tracing::subscriber::with_default(registry().with(stream), event);
        drop(sinks);
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_record_is_one_object_with_what_an_attacker_wrote_spelled_out() {
        let text = logged(StreamFormat::Json, || {
            let target = "/a\nb\u{202e}";
            tracing::info!(target: SECURITY, event = "incident", score = 0.93, target, refused = true, "refused");
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\\u202e"), "{text}");
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["event"], "incident");
        assert_eq!(record["score"], 0.93);
        assert_eq!(record["target"], "/a\nb\u{202e}");
        assert_eq!(record["refused"], true);
        assert_eq!(record["message"], "refused");
        assert!(record["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_record_is_one_line_of_the_common_event_format() {
        let text = logged(StreamFormat::Cef, || {
            let address = std::net::Ipv4Addr::new(203, 0, 113, 7);
            tracing::warn!(target: SECURITY, event = "incident", %address, rule = "sqli.union|x", target = "/?a=b\\\nc", "refused");
        });
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            text.starts_with(&format!("CEF:0|SkyShield|skyshield|{version}|incident|refused|6|rt=")),
            "{text}"
        );
        assert!(text.contains(" src=203.0.113.7 "), "{text}");
        assert!(text.contains(" cs1Label=rule cs1=sqli.union|x "), "{text}");
        assert!(text.ends_with("request=/?a\\=b\\\\\\nc\n"), "{text}");
    }
}
