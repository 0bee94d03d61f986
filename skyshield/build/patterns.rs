//! Makes the tables of the built-in rules' patterns, so that no start waits for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use regex_automata::util::syntax;

use crate::tables;

/// Reads the rules in `rooms` and leaves the tables of their patterns in `out_dir`.
pub(crate) fn build(rooms: &Path, out_dir: &Path, is_big_endian: bool) -> Result<(), String> {
    let mut expressions = BTreeSet::new();
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for room in std::fs::read_dir(rooms).map_err(|error| failed(rooms, error))? {
        let path = room.map_err(|error| failed(rooms, error))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            expressions.extend(raw_strings(&source).map(str::to_owned));
        }
    }
    let (mut bytes, mut places) = (Vec::new(), String::from("&["));
    for expression in &expressions {
        let hir = syntax::parse_with(expression, &tables::syntax(false))
            .map_err(|error| format!("the rule's pattern {expression:?}: {error}"))?;
        let mut starts = Vec::new();
        for table in tables::tables(&hir).unwrap_or_default() {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            starts.push(bytes.len());
            let (table, padding) =
                if is_big_endian { table.to_bytes_big_endian() } else { table.to_bytes_little_endian() };
            bytes.extend_from_slice(table.get(padding..).unwrap_or_default());
        }
        let _infallible = write!(places, "({expression:?}, &{starts:?}),");
    }
    places.push(']');
    for (name, content) in [("patterns.bin", &bytes), ("patterns.rs", &places.into_bytes())] {
        let path = out_dir.join(name);
        std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// What stands in the raw strings of `source`: patterns are written so, and nothing else in these rooms.
fn raw_strings(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(['"', '\'', '/'])?;
            let (before, here) = rest.split_at(at);
            if here.starts_with("//") {
                rest = here.split_once('\n')?.1;
            } else if here.starts_with("'\"'") {
                rest = here.get(3..)?;
            } else if !here.starts_with('"') {
                rest = here.get(1..)?;
            } else if let Some(opening) = ["r", "r#"].into_iter().find(|opening| before.ends_with(opening)) {
                let closing = if opening == "r" { "\"" } else { "\"#" };
                let (text, behind) = here.get(1..)?.split_once(closing)?;
                rest = behind;
                return Some(text);
            } else {
                rest = behind_string(here.get(1..)?)?;
            }
        }
    })
}

/// What follows a string of which `inside` is what follows its opening quote.
fn behind_string(inside: &str) -> Option<&str> {
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return inside.get(at + 1..),
            '\\' => _ = characters.next(),
            _ => {}
        }
    }
    None
}
