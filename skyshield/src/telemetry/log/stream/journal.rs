//! An entry of journald, in its own protocol: a name and a value a line. Values are escaped, so that
//! none needs the form for values of several lines.

use std::fmt::Write as _;

use tracing::Level;

use super::super::escape::Escaping;
use super::record::Record;

pub(super) fn entry(record: &Record) -> String {
    let priority = match record.level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let mut entry = String::from("MESSAGE=");
    // A `String` takes everything.
    let _never = write!(Escaping(&mut entry), "{}", record.message);
    let _never = write!(entry, "\nPRIORITY={priority}\nSYSLOG_IDENTIFIER=skyshield");
    for (name, text) in record.texts() {
        let _never = write!(entry, "\nSKYSHIELD_{}=", name.to_ascii_uppercase().replace('.', "_"));
        let _never = write!(Escaping(&mut entry), "{text}");
    }
    entry
}
