//! The lines for people: to standard error, to a file, and as entries of journald.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::format::{self, FormatFields, Writer};
use tracing_subscriber::fmt::{self, MakeWriter};

use super::config::{Config, Format};
use super::escape::{Escaping, in_json};
use super::rotate::Rotating;
use super::sink::{Sink, Sinks};
use super::stream::Stream;
use super::{Boxed, Error};

/// The layers that write what passes the configured level.
pub(super) fn layers(config: &Config, sinks: &mut Sinks) -> Result<Vec<Boxed>, Error> {
    let mut layers = Vec::new();
    if config.stderr {
        let colours = config.format == Format::Text && io::stderr().is_terminal();
        layers.push(layer(config.format, colours, Sink::add(sinks, "stderr", io::stderr())));
    }
    if let Some(file) = &config.file {
        let rotating = Rotating::open(file).map_err(|source| {
            Error::new("log.file", format!("`{}` cannot be written", file.path.display()), source)
        })?;
        layers.push(layer(config.format, false, Sink::add(sinks, "file", rotating)));
    }
    if config.journald {
        layers.push(Stream::journald(sinks)?.boxed());
    }
    Ok(layers)
}

fn layer(format: Format, colours: bool, to: NonBlocking) -> Boxed {
    match format {
        Format::Text => {
            fmt::layer().with_target(false).fmt_fields(fields()).with_ansi(colours).with_writer(to).boxed()
        }
        Format::Json => {
            fmt::layer().with_target(false).json().flatten_event(true).with_writer(Escaped(to)).boxed()
        }
    }
}

/// Fields as `name=value`, with what others wrote spelled out.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    use tracing_subscriber::field::MakeExt as _;
    format::debug_fn(|writer: &mut Writer<'_>, field, value| match field.name() {
        "message" => write!(Escaping(writer), "{value:?}"),
        name => write!(Escaping(writer), "{name}={value:?}"),
    })
    .delimited(" ")
}

/// JSON lines, with what JSON would let through spelled out.
struct Escaped(NonBlocking);

impl<'a> MakeWriter<'a> for Escaped {
    type Writer = EscapedLine;

    fn make_writer(&'a self) -> EscapedLine {
        EscapedLine(self.0.make_writer())
    }
}

/// A line comes whole, in one piece.
struct EscapedLine(NonBlocking);

impl Write for EscapedLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(in_json(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How long a destination may be silent about a line.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
