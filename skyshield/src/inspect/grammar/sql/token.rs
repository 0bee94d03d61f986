//! Pieces of SQL, of whatever dialect: what a database would read as one thing.

use super::word::{self, Word};

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// The text is over.
    End,
    /// A comment takes the rest of it away: this much.
    Cut(&'t [u8]),
    Number,
    /// A string; an open one is closed by the quote that stands behind the text.
    Text {
        open: bool,
    },
    Word(Word, &'t [u8]),
    Variable,
    /// `=`, `<`, `<=>` and the like.
    Compare,
    /// `&&`.
    Logical,
    /// `||`: a condition to some, a junction of strings to others.
    Pipes,
    /// `+`, `-`, `*`, `/`, `%`, `&`, `|`, `^`.
    Arithmetic(u8),
    /// `!` and `~`.
    Not,
    /// `:=`.
    Assign,
    /// `::`.
    Cast,
    Dot,
    Open,
    Close,
    Comma,
    Semicolon,
    /// Nothing of SQL's.
    Odd,
}

/// Reads pieces one after the other; each byte once.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    /// Within a comment that a database reads as code: its end is white space.
    versioned: bool,
}

impl<'t> Lexer<'t> {
    /// A text in the open.
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, versioned: false }
    }

    /// A text that begins within a string in `quote`, behind its end, and what the string holds of it;
    /// nothing where it does not leave the string.
    pub(super) fn within(text: &'t [u8], quote: u8) -> Option<(&'t [u8], Self)> {
        let mut lexer = Self::new(text);
        let closed = lexer.skip_string(quote);
        let held = text.get(..lexer.at.saturating_sub(1)).unwrap_or_default();
        closed.then_some((held, lexer))
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        loop {
            let rest = self.rest();
            match *rest {
                [] => return Token::End,
                [b'-', b'-', ..] | [b'#', ..] => match memchr::memchr(b'\n', rest) {
                    Some(end) => self.at += end + 1,
                    None => return self.cut(),
                },
                [b'/', b'*', b'!', ..] => {
                    let digits = rest[3..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    self.at += 3 + digits.min(6);
                    self.versioned = true;
                }
                [b'/', b'*', ..] => match memchr::memmem::find(&rest[2..], b"*/") {
                    Some(end) => self.at += end + 4,
                    None => return self.cut(),
                },
                [b'*', b'/', ..] if self.versioned => {
                    self.at += 2;
                    self.versioned = false;
                }
                [byte, ..] if self.is_space(byte) => self.at += 1,
                [first, ..] => return self.piece(first),
            }
        }
    }

    /// Whether the piece that was read last is `<` or `>` alone.
    pub(super) fn is_order(&self) -> bool {
        let read = self.text.get(..self.at).unwrap_or_default();
        let (sign, before) = match read {
            [.., before, sign] => (*sign, *before),
            [sign] => (*sign, b' '),
            [] => return false,
        };
        b"<>".contains(&sign) && !b"<>=!^".contains(&before)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// White space to some database. A no-break space is one where it is no part of a character.
    fn is_space(&self, byte: u8) -> bool {
        let before = self.at.checked_sub(1).map_or(0, |before| self.text[before]);
        matches!(byte, b'\t'..=b'\r' | b' ' | 0) || (byte == 0xa0 && before < 0x80)
    }

    fn cut(&mut self) -> Token<'t> {
        let rest = self.rest();
        self.at = self.text.len();
        Token::Cut(rest)
    }

    fn piece(&mut self, first: u8) -> Token<'t> {
        let rest = self.rest();
        let (token, len) = match (first, rest.get(1).copied().unwrap_or_default()) {
            (b'\'' | b'"', _) => return self.string(first),
            (b'`', _) => return self.name_in(b'`'),
            (b'[', _) => return self.name_in(b']'),
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => return self.number(),
            (b'@', _) => return self.variable(),
            (b'$', b'$') => return self.dollars(b"$$"),
            (b'\\', b'N') => (Token::Number, 2),
            (b'<', b'=') if rest.get(2) == Some(&b'>') => (Token::Compare, 3),
            (b'<', b'<') | (b'>', b'>') => (Token::Arithmetic(first), 2),
            (b'<', b'=' | b'>') | (b'>' | b'!' | b'^' | b'=', b'=') | (b'!' | b'~', b'~') => {
                (Token::Compare, 2)
            }
            (b'=' | b'<' | b'>', _) => (Token::Compare, 1),
            (b'&', b'&') => (Token::Logical, 2),
            (b'|', b'|') => (Token::Pipes, 2),
            (b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^', _) => (Token::Arithmetic(first), 1),
            (b'!' | b'~', _) => (Token::Not, 1),
            (b':', b'=') => (Token::Assign, 2),
            (b':', b':') => (Token::Cast, 2),
            (b'.', _) => (Token::Dot, 1),
            (b'(', _) => (Token::Open, 1),
            (b')', _) => (Token::Close, 1),
            (b',', _) => (Token::Comma, 1),
            (b';', _) => (Token::Semicolon, 1),
            _ if is_name(first) && !first.is_ascii_digit() => return self.word(),
            _ => (Token::Odd, 1),
        };
        self.at += len;
        token
    }

    /// Passes over a string from behind its opening quote to behind its closing one; whether it has one.
    fn skip_string(&mut self, quote: u8) -> bool {
        while let Some(found) = memchr::memchr2(quote, b'\\', self.rest()) {
            let at = self.at + found;
            let doubled = self.text.get(at + 1) == Some(&quote);
            if self.text[at] == b'\\' {
                self.at = (at + 2).min(self.text.len());
            } else if doubled && self.text.get(at + 2) != Some(&quote) {
                self.at = at + 2;
                // `''` ends one string and begins the next as often as it is a quote within one:
                // where nothing follows, it is an end.
                if self.at == self.text.len() {
                    self.at = at + 1;
                    return true;
                }
            } else {
                self.at = at + 1;
                return true;
            }
        }
        self.at = self.text.len();
        false
    }

    fn string(&mut self, quote: u8) -> Token<'t> {
        self.at += 1;
        Token::Text { open: !self.skip_string(quote) }
    }

    /// A name in quotes of its own.
    fn name_in(&mut self, closing: u8) -> Token<'t> {
        let rest = self.rest();
        if let Some(end) = memchr::memchr(closing, &rest[1..]) {
            self.at += end + 2;
            Token::Word(Word::Plain, &rest[1..=end])
        } else {
            self.at += 1;
            Token::Odd
        }
    }

    fn number(&mut self) -> Token<'t> {
        let rest = self.rest();
        let run = |from: usize, is: fn(&u8) -> bool| rest[from..].iter().take_while(|byte| is(byte)).count();
        let len = match rest {
            [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => 2 + run(2, u8::is_ascii_hexdigit),
            _ => {
                let mut len = run(0, |byte| byte.is_ascii_digit() || *byte == b'.');
                let exponent = &rest[len..];
                let sign = usize::from(matches!(exponent, [b'e' | b'E', b'+' | b'-', ..]));
                if matches!(exponent.first(), Some(b'e' | b'E'))
                    && exponent.get(1 + sign).is_some_and(u8::is_ascii_digit)
                {
                    len += 1 + sign + run(len + 1 + sign, u8::is_ascii_digit);
                }
                len
            }
        };
        self.at += len;
        Token::Number
    }

    fn variable(&mut self) -> Token<'t> {
        let rest = self.rest();
        let signs = rest.iter().take_while(|byte| **byte == b'@').count();
        let name = rest[signs..].iter().take_while(|byte| is_name(**byte) || **byte == b'.').count();
        self.at += signs + name;
        if signs > 2 || name == 0 { Token::Odd } else { Token::Variable }
    }

    /// A string between dollars.
    fn dollars(&mut self, tag: &[u8]) -> Token<'t> {
        self.at += tag.len();
        let Some(end) = memchr::memmem::find(self.rest(), tag) else { return Token::Odd };
        self.at += end + tag.len();
        Token::Text { open: false }
    }

    fn word(&mut self) -> Token<'t> {
        let rest = self.rest();
        let len = rest.iter().take_while(|byte| is_name(**byte)).count();
        let word = &rest[..len];
        self.at += len;
        // `N'…'`, `x'…'`, `_utf8'…'`.
        let opens_string = matches!(rest.get(len), Some(b'\''))
            && (len == 1 && b"nNxXbBeE".contains(&word[0]) || word[0] == b'_');
        if opens_string { self.string(b'\'') } else { Token::Word(word::of(word), word) }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &[u8]) -> String {
        let mut lexer = Lexer::new(text);
        let mut out = String::new();
        loop {
            let kind = match lexer.next() {
                Token::End => return out,
                Token::Cut(_) => '-',
                Token::Number => '1',
                Token::Text { open: false } => 's',
                Token::Text { open: true } => 'S',
                Token::Word(Word::Plain, _) => 'n',
                Token::Word(..) => 'k',
                Token::Variable => 'v',
                Token::Compare => '=',
                Token::Logical => '&',
                Token::Pipes => '|',
                Token::Arithmetic(_) => '+',
                Token::Not => '!',
                Token::Assign => 'a',
                Token::Cast => ':',
                Token::Dot => '.',
                Token::Open => '(',
                Token::Close => ')',
                Token::Comma => ',',
                Token::Semicolon => ';',
                Token::Odd => '?',
            };
            out.push(kind);
        }
    }

    #[test]
    fn a_piece_is_what_a_database_reads_as_one() {
        for (text, expected) in [
            ("1 or 1=1", "1k1=1"),
            ("1union/**/select 0x31,1e5,.5", "1kk1,1,1"),
            ("'a''b' \"c\\\"d\" 'open", "ssS"),
            ("N'a' _utf8'b' x'41' q'c'", "sssns"),
            ("a -- b\n+ c # d", "n+n-"),
            ("/*!50000union*/ select /* x", "kk-"),
            ("@@version @a := `a b`.[c]", "vvan.n"),
            ("a::int <=> b <> c != d", "n:n=n=n=n"),
            ("$$a'b$$ || x && !y", "s|n&!n"),
            ("fran\u{e7}ais\u{a0}2", "n"),
            ("{a}?", "?n??"),
        ] {
            assert_eq!(kinds(text.as_bytes()), expected, "{text}");
        }
        // A no-break space of one byte, and none within a character.
        assert_eq!((kinds(b"1\xa0or").as_str(), kinds("1\u{a0}or".as_bytes()).as_str()), ("1k", "1n"));
    }

    #[test]
    fn a_text_leaves_the_string_it_begins_in_or_does_not() {
        for (text, held) in [
            ("a' or 1", Some("a")),
            ("a''b", None),
            ("a\\' or 1", None),
            ("", None),
            ("'", Some("")),
            ("x''", Some("x")),
        ] {
            let left = Lexer::within(text.as_bytes(), b'\'').map(|(held, _)| held.to_vec());
            assert_eq!(left.as_deref(), held.map(str::as_bytes), "{text}");
        }
    }
}
