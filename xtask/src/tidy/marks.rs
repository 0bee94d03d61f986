//! What a file may not carry: too many lines, an empty name, a silenced lint, a mark of the
//! unfinished.

use super::module::{self, Module};
use super::{File, Violation};

/// Past 300 one asks what second idea lives in a file; past this it is moved out.
const MAX_LINES: usize = 400;

/// Names that say nothing of what lives there.
const EMPTY_NAMES: &[&str] = &["helper", "helpers", "misc", "types", "util", "utils"];

const UNFINISHED_MACROS: &[&str] = &["dbg", "todo", "unimplemented"];

/// In halves, so that this file passes its own check.
const UNFINISHED_WORDS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("XX", "X")];

/// Written by a package manager, not by us.
const LOCK_FILES: &[&str] = &["Cargo.lock", "package-lock.json"];

pub(super) fn check(files: &[File], modules: &[Module]) -> Vec<Violation> {
    let mut found: Vec<Violation> = files.iter().flat_map(in_text).collect();
    found.extend(modules.iter().flat_map(in_code));
    found
}

fn in_text(file: &File) -> Vec<Violation> {
    let violation = |line, what, mend| Violation { path: file.path.clone(), line, what, mend };
    let mut found = Vec::new();
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if !LOCK_FILES.contains(&name) {
        for (at, line) in file.text.lines().enumerate() {
            let prose = module::is_rust(&file.path) || module::extension(name) == Some("md");
            if !prose && let Some(word) = unfinished(line) {
                found.push(violation(at + 1, format!("is marked {word}"), FINISH));
            }
        }
    }
    let lines = file.text.lines().count();
    if module::is_rust(&file.path) && lines > MAX_LINES {
        found.push(violation(
            MAX_LINES + 1,
            format!("has {lines} lines, {MAX_LINES} is the most"),
            "ask what second idea lives here, and give it a file",
        ));
    }
    found
}

const FINISH: &str = "finish it, or open an issue and take the mark out";

fn in_code(module: &Module) -> Vec<Violation> {
    let violation = |line, what, mend| Violation { path: module.path.clone(), line, what, mend };
    let mut found = Vec::new();
    let text = |at: usize| module.tokens.get(at).map_or("", |token| token.text.as_str());
    for (at, token) in module.tokens.iter().enumerate() {
        let next = text(at + 1);
        if token.text == "#" {
            let open = at + 1 + usize::from(next == "!");
            if text(open) == "[" && silences(module, open) {
                found.push(violation(
                    token.line,
                    "silences a lint with `allow`".to_owned(),
                    "write #[expect(lint, reason = \"…\")]: it speaks up when it is no longer needed",
                ));
            }
        }
        if next == "!" && UNFINISHED_MACROS.contains(&token.text.as_str()) {
            found.push(violation(token.line, format!("calls {}!", token.text), FINISH));
        }
        if token.text == "mod" && EMPTY_NAMES.contains(&next) {
            found.push(violation(
                token.line,
                format!("a module named `{next}` says nothing of what lives there"),
                "name it for the one thing it is about, or move each part to the room it serves",
            ));
        }
    }
    for comment in &module.comments {
        for (at, line) in comment.text.lines().enumerate() {
            if let Some(word) = unfinished(line) {
                found.push(violation(comment.line + at, format!("is marked {word}"), FINISH));
            }
        }
    }
    found
}

/// Whether the attribute that opens at `open` has `allow(` in it, be it under `cfg_attr`.
fn silences(module: &Module, open: usize) -> bool {
    let mut depth = 0_usize;
    for window in module.tokens[open..].windows(2) {
        match window[0].text.as_str() {
            "[" => depth += 1,
            "]" => depth -= 1,
            "allow" if window[1].text == "(" => return true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    false
}

fn unfinished(line: &str) -> Option<String> {
    UNFINISHED_WORDS
        .iter()
        .map(joined)
        .find(|mark| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == mark))
}

fn joined((first, second): &(&str, &str)) -> String {
    format!("{first}{second}")
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let files = [file(path, text)];
        check(&files, &module::read(&files)).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn silenced_lints_are_found_in_every_dress() {
        assert_eq!(
            lines("a/src/lib.rs", "#![allow(dead_code)]\n#[cfg_attr(x, allow(y))]\nfn f() {}"),
            [1, 2]
        );
        assert!(
            lines("a/src/lib.rs", "#[expect(dead_code, reason = \"allow(it)\")]\nfn allow() {}").is_empty()
        );
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments() {
        let mark = joined(&UNFINISHED_WORDS[0]);
        assert_eq!(lines("a/src/lib.rs", &format!("fn f() {{\n    todo!()\n}}\n// {mark}: g\n")), [2, 4]);
        assert_eq!(lines(".ci/run", &format!("# {mark}\n")), [1]);
        assert!(lines("a/src/lib.rs", &format!("const WORD: &str = \"{mark}\";")).is_empty());
    }

    #[test]
    fn long_files_and_empty_names_are_found() {
        assert_eq!(lines("a/src/lib.rs", &"\n".repeat(401)), [401]);
        assert_eq!(lines("a/src/lib.rs", "mod wire;\nmod utils;"), [2]);
    }
}
