//! `skyshield decisions import` and `export`: many decisions at once, in other programs' words.

use std::io::{Read as _, Write as _};
use std::path::Path;

use hyper::Method;
use serde_json::Value;

use super::client::{ask_text, detail_of, encoded};
use super::{Failure, Import, Lists, show};

/// Bytes of a list at the most, as the daemon takes it.
const MAX_LIST: u64 = 32 << 20;

pub(super) fn obey(socket: &Path, lists: Lists, json: bool) -> Result<(), Failure> {
    match lists {
        Lists::Import(import) => self::import(socket, &import, json),
        Lists::Export { format } => {
            let path = format!("/api/v1/decisions/export?format={}", format.name());
            let (is_good, text) = ask_text(socket, Method::GET, &path, ("text/plain", String::new()))?;
            if !is_good {
                return Err(refused(&text));
            }
            let written = std::io::stdout().lock().write_all(&text);
            written.map_err(|error| Failure::Refused(format!("standard output: {error}")))
        }
    }
}

fn import(socket: &Path, import: &Import, json: bool) -> Result<(), Failure> {
    let text = read(&import.file)?;
    let mut path = format!(
        "/api/v1/decisions/import?format={}&ttl={}&dry_run={}&jitter={}&force={}",
        import.format.map_or("auto", crate::exchange::Format::name),
        encoded(&import.ttl),
        import.dry_run,
        import.jitter,
        import.force
    );
    if let Some(reason) = &import.reason {
        path.push_str("&reason=");
        path.push_str(&encoded(reason));
    }
    let (is_good, answer) = ask_text(socket, Method::POST, &path, ("text/plain", text))?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| refused(&answer))?;
    if answer.get("errors").is_none() {
        return Err(Failure::Refused(detail_of(&answer).to_owned()));
    }
    show::imported(&answer, &import.file, json);
    if is_good { Ok(()) } else { Err(Failure::Told) }
}

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    let taken = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_LIST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_LIST + 1).read_to_string(&mut text))
    };
    match taken.map_err(failed)? {
        taken if taken as u64 > MAX_LIST => {
            let most = MAX_LIST >> 20;
            Err(Failure::Usage(format!("{}: longer than {most} MiB; cut it", file.display())))
        }
        _ => Ok(text),
    }
}

fn refused(answer: &[u8]) -> Failure {
    let parsed = serde_json::from_slice::<Value>(answer).unwrap_or_default();
    Failure::Refused(detail_of(&parsed).to_owned())
}
