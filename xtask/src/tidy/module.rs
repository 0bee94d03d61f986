//! Rust files, each with its place in its crate and with what belongs to tests marked.

use std::collections::BTreeSet;

use super::File;
use super::lexer::{self, Comment, Token};
use super::paths::{self, Path};

/// A Rust file.
pub(super) struct Module {
    /// From the workspace's root.
    pub(super) path: String,
    /// The crate's folder and the modules down to this one: `["skyshield", "gateway", "tls"]`.
    pub(super) place: Vec<String>,
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<Comment>,
    /// For each token, whether it belongs to tests.
    pub(super) in_test: Vec<bool>,
    /// The paths named outside of tests.
    pub(super) paths: Vec<Path>,
}

impl Module {
    /// The room of the daemon that this file belongs to; `main` and `lib` count as rooms.
    pub(super) fn room(&self) -> Option<&str> {
        let (krate, inside) = self.place.split_first()?;
        if krate != "skyshield" || !self.path.starts_with("skyshield/src/") {
            return None;
        }
        let root = || self.path.rsplit('/').next()?.strip_suffix(".rs");
        inside.first().map(String::as_str).or_else(root)
    }
}

/// Reads every Rust file. A file that is declared under `#[cfg(test)]` counts as a test, and so
/// does what lies below it.
pub(super) fn read(files: &[File]) -> Vec<Module> {
    let mut tests = BTreeSet::new();
    let mut modules = Vec::new();
    for file in files.iter().filter(|file| is_rust(&file.path)) {
        let lexed = lexer::lex(&file.text);
        let in_test = test_spans(&lexed.tokens);
        let place = place(&file.path);
        for name in declared_in_tests(&lexed.tokens, &in_test) {
            tests.insert([place.clone(), vec![name]].concat());
        }
        let paths = paths::named(&lexed.tokens, &in_test, place.len().saturating_sub(1));
        modules.push(Module {
            path: file.path.clone(),
            place,
            tokens: lexed.tokens,
            comments: lexed.comments,
            in_test,
            paths,
        });
    }
    for module in &mut modules {
        if (1..=module.place.len()).any(|length| tests.contains(&module.place[..length])) {
            module.in_test.fill(true);
            module.paths.clear();
        }
    }
    modules
}

pub(super) fn is_rust(path: &str) -> bool {
    extension(path) == Some("rs")
}

pub(super) fn extension(path: &str) -> Option<&str> {
    Some(path.rsplit_once('.')?.1)
}

fn place(path: &str) -> Vec<String> {
    let (krate, inside) = path.split_once("/src/").unwrap_or((path, ""));
    let mut place = vec![krate.to_owned()];
    place
        .extend(inside.trim_end_matches(".rs").split('/').filter(|part| !part.is_empty()).map(str::to_owned));
    if place.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        place.pop();
    }
    place
}

/// For each token, whether it stands under `#[cfg(test)]`.
fn test_spans(tokens: &[Token]) -> Vec<bool> {
    let mut marked = vec![false; tokens.len()];
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    for at in 0..tokens.len() {
        if text(at) != "#" {
            continue;
        }
        let inner = usize::from(text(at + 1) == "!");
        let open = at + 1 + inner;
        if text(open) != "[" || text(open + 1) != "cfg" {
            continue;
        }
        let close = closing(tokens, open);
        let condition = &tokens[open..close];
        let has = |word: &str| condition.iter().any(|token| token.text == word);
        if !has("test") || has("not") {
            continue;
        }
        let end = if inner == 1 { tokens.len() } else { end_of_item(tokens, close + 1) };
        marked[at..end].fill(true);
    }
    marked
}

/// The index of the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// Behind the item at `start`: its `;`, or the brace that closes its body.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ";" => return at + 1,
            "{" => return (closing(tokens, at) + 1).min(tokens.len()),
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// `#[cfg(test)] mod name;`
fn declared_in_tests(tokens: &[Token], in_test: &[bool]) -> Vec<String> {
    tokens
        .windows(3)
        .zip(in_test)
        .filter(|(window, marked)| **marked && window[0].text == "mod" && window[2].text == ";")
        .map(|(window, _)| window[1].text.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn named(module: &Module) -> Vec<String> {
        module.paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn a_file_knows_its_room() {
        let files = [
            "skyshield/src/gateway.rs",
            "skyshield/src/gateway/tls.rs",
            "skyshield/src/main.rs",
            "xtask/src/main.rs",
        ]
        .map(|path| file(path, ""));
        let modules = read(&files);
        let rooms: Vec<_> = modules.iter().map(Module::room).collect();
        assert_eq!(rooms, [Some("gateway"), Some("gateway"), Some("main"), None]);
    }

    #[test]
    fn tests_are_left_out_wherever_they_stand() {
        let files = [
            file(
                "skyshield/src/engine.rs",
                "use a::b;\n#[cfg(test)]\nuse c::d;\n#[cfg(test)]\nmod bench;\n#[cfg(not(test))]\nuse e::f;",
            ),
            file("skyshield/src/engine/bench.rs", "use std::time::Instant;"),
            file("skyshield/src/engine/bench/deep.rs", "use std::fs;"),
        ];
        let modules = read(&files);
        assert_eq!(named(&modules[0]), ["a::b", "e::f"]);
        assert!(modules[1].paths.is_empty() && modules[2].paths.is_empty());
    }
}
