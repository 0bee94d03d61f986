//! The paths that code names, with `use` trees spread out and `super` followed up to the crate.

use super::lexer::Token;

/// A path of two segments or more; of one, when a `use` names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// Every path outside of tests. `depth` is the number of modules from the crate down to this file.
pub(super) fn named(tokens: &[Token], in_test: &[bool], depth: usize) -> Vec<Path> {
    let mut reader = Reader { tokens, at: 0, paths: Vec::new() };
    let mut found = Vec::new();
    let mut nesting = Nesting::default();
    while let Some(token) = tokens.get(reader.at) {
        let start = reader.at;
        nesting.see(tokens, start);
        if token.text == "use" && reader.text(start + 1) != "<" {
            reader.at += 1;
            reader.tree(&[]);
        } else if token.is_word() {
            reader.path();
        } else {
            reader.at += 1;
        }
        let seen = reader.paths.drain(..);
        if !in_test.get(start).copied().unwrap_or_default() {
            found.extend(seen.map(|path| from_crate(path, depth + nesting.modules())));
        }
    }
    found
}

/// Replaces as many `super` as there are modules above by `crate`.
fn from_crate(mut path: Path, depth: usize) -> Path {
    let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
    if ups > 0 && ups == depth {
        path.segments.splice(..ups, ["crate".to_owned()]);
    }
    path
}

struct Reader<'tokens> {
    tokens: &'tokens [Token],
    at: usize,
    paths: Vec<Path>,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    /// `a::b::c` in an expression or a type.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.text(self.at).to_owned()];
        self.at += 1;
        while self.text(self.at) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_word) {
            segments.push(self.text(self.at + 1).to_owned());
            self.at += 2;
        }
        if segments.len() > 1 {
            self.paths.push(Path { segments, line });
        }
    }

    /// What follows `use`, or a part of it: `a::{b, c::d as e}`.
    fn tree(&mut self, above: &[String]) {
        let mut segments = above.to_vec();
        let Some(line) = self.tokens.get(self.at).map(|token| token.line) else { return };
        loop {
            match self.text(self.at) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !["}", ";", ""].contains(&self.text(self.at)) {
                        self.tree(&segments);
                        self.at += usize::from(self.text(self.at) == ",");
                    }
                    self.at += usize::from(self.text(self.at) == "}");
                    return;
                }
                "as" => self.at += 2,
                word if self
                    .tokens
                    .get(self.at)
                    .is_some_and(|token| token.is_word() || token.text == "*") =>
                {
                    // `self` at a leaf is the module above it.
                    if word != "self" || segments.is_empty() {
                        segments.push(word.to_owned());
                    }
                    self.at += 1;
                }
                "," | "}" | ";" | "" => break,
                _ => self.at += 1,
            }
        }
        self.paths.push(Path { segments, line });
    }
}

/// How many `mod name { … }` are open.
#[derive(Default)]
struct Nesting {
    braces: usize,
    opened_at: Vec<usize>,
}

impl Nesting {
    fn see(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                self.braces += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    self.opened_at.push(self.braces);
                }
            }
            "}" => {
                if self.opened_at.last() == Some(&self.braces) {
                    self.opened_at.pop();
                }
                self.braces = self.braces.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn modules(&self) -> usize {
        self.opened_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    fn spread(text: &str, depth: usize) -> Vec<String> {
        let tokens = lexer::lex(text).tokens;
        let paths = named(&tokens, &[], depth);
        paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            spread("use crate::{engine::{self, view::View as V}, inspect::*}; use tokio;", 1),
            ["crate::engine", "crate::engine::view::View", "crate::inspect::*", "tokio"]
        );
    }

    #[test]
    fn paths_in_code_are_seen() {
        assert_eq!(
            spread("fn f(x: crate::store::Row) { std::fs::read(x.a); vec::<u8>::new(); }", 1),
            ["crate::store::Row", "std::fs::read"]
        );
    }

    #[test]
    fn super_is_followed_up_to_the_crate() {
        assert_eq!(spread("use super::store::Row;", 1), ["crate::store::Row"]);
        assert_eq!(spread("use super::tls;", 2), ["super::tls"]);
        assert_eq!(
            spread("mod inner { use super::super::store; } use super::api;", 1),
            ["crate::store", "crate::api"]
        );
    }
}
