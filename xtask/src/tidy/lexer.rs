//! Rust's words and signs, without strings, numbers and blanks. Enough to find paths, attributes and
//! comments by; no more than that.

/// A word or sign of the code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first == '_' || first.is_alphabetic())
    }
}

/// A comment, without regard to its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A file taken apart.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<Comment>,
}

pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { rest: text, line: 1, lexed: Lexed::default() };
    while lexer.step() {}
    lexer.lexed
}

struct Lexer<'text> {
    rest: &'text str,
    line: usize,
    lexed: Lexed,
}

impl Lexer<'_> {
    /// Takes one thing off the front.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.comment(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.comment(block_comment(self.rest));
        } else if let Some(length) = string(self.rest) {
            self.take(length);
        } else if let Some(length) = character(self.rest) {
            self.take(length);
        } else if first.is_ascii_digit() {
            self.take(run_of(self.rest, |c| c == '_' || c.is_alphanumeric()));
        } else if first == '_' || first.is_alphabetic() {
            let raw = if self.rest.starts_with("r#") { 2 } else { 0 };
            self.take(raw);
            self.token(run_of(self.rest, |c| c == '_' || c.is_alphanumeric()));
        } else if self.rest.starts_with("::") {
            self.token(2);
        } else if first.is_whitespace() {
            self.take(first.len_utf8());
        } else {
            self.token(first.len_utf8());
        }
        true
    }

    fn token(&mut self, length: usize) {
        let line = self.line;
        let text = self.take(length);
        self.lexed.tokens.push(Token { text, line });
    }

    fn comment(&mut self, length: usize) {
        let line = self.line;
        let text = self.take(length);
        self.lexed.comments.push(Comment { text, line });
    }

    fn take(&mut self, length: usize) -> String {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken.to_owned()
    }
}

fn run_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string literal at the front, of any kind: plain, bytes, C, raw.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.starts_with('"') || (prefix.ends_with('r') && rest.trim_start_matches('#').starts_with('"'))
        })
    })?;
    let body = text.get(prefix.len()..)?;
    if prefix.ends_with('r') {
        let hashes = run_of(body, |c| c == '#');
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = body.get(hashes + 1..)?;
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    Some(prefix.len() + quoted(body, '"'))
}

/// The length of a character or byte literal at the front; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let prefix = usize::from(text.starts_with("b'"));
    let body = text.get(prefix..)?;
    let mut inside = body.strip_prefix('\'')?.chars();
    let first = inside.next()?;
    (first == '\\' || inside.next() == Some('\'')).then(|| prefix + quoted(body, '\''))
}

/// The length up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        lex(text).tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn strings_characters_and_comments_are_no_code() {
        assert_eq!(words("a \"tokio::x \\\" y\" b"), ["a", "b"]);
        assert_eq!(words("r#\"say \"crate::x\" \"# z"), ["z"]);
        assert_eq!(words("b'\\'' '\"' 'x' y // crate::z\n/* a /* b */ c */ d"), ["y", "d"]);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(words("&'a str"), ["&", "'", "a", "str"]);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let lexed = lex("/* 1\n2 */ \"\n\" a // c\n b");
        let lines: Vec<usize> = lexed.tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [3, 4]);
        assert_eq!(lexed.comments.iter().map(|comment| comment.line).collect::<Vec<_>>(), [1, 3]);
    }
}
