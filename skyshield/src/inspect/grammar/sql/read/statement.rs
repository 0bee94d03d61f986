//! What stands behind the end of a statement: another.

use super::{Reader, Step, Stop};
use crate::inspect::grammar::sql::evidence::Sign;
use crate::inspect::grammar::sql::token::Token;
use crate::inspect::grammar::sql::word::Word;

impl Reader<'_> {
    /// What stands behind a statement's end.
    pub(super) fn stacked(&mut self) -> Step {
        while self.token == Token::Semicolon {
            self.advance();
        }
        self.note(Sign::Semicolon);
        match self.token {
            Token::End | Token::Cut(_) => self.complete(),
            Token::Word(Word::Select, _) => {
                self.advance();
                self.note(Sign::Query);
                self.select()?;
                if self.token == Token::Semicolon { self.deeper(Self::stacked) } else { self.complete() }
            }
            _ => self.statement(),
        }
    }

    /// A statement that is none but by what follows its first word. Read no further than to be sure.
    pub(super) fn statement(&mut self) -> Step {
        let Token::Word(_, first) = self.token else { return Err(Stop::Torn) };
        self.advance();
        let mut lower = first.to_ascii_lowercase();
        lower.truncate(16);
        let is_one = match lower.as_slice() {
            b"drop" | b"create" | b"alter" | b"truncate" => {
                const THINGS: [&str; 15] = [
                    "table",
                    "database",
                    "user",
                    "view",
                    "function",
                    "procedure",
                    "index",
                    "schema",
                    "role",
                    "login",
                    "trigger",
                    "or",
                    "alias",
                    "temporary",
                    "sequence",
                ];
                THINGS.iter().any(|thing| self.skip(thing)) && matches!(self.token, Token::Word(..))
            }
            b"insert" => self.skip("into") && self.name().is_ok(),
            b"delete" => self.skip("from") && self.name().is_ok(),
            b"update" => {
                self.name().is_ok() && self.skip("set") && self.name().is_ok() && self.token == Token::Compare
            }
            b"exec" | b"execute" | b"call" => match self.token {
                Token::Word(_, name) => name.contains(&b'_') || self.skip("immediate") || self.skip("master"),
                Token::Open | Token::Variable | Token::Text { .. } => true,
                _ => false,
            },
            b"declare" | b"set" => self.token == Token::Variable,
            b"waitfor" => {
                (self.skip("delay") || self.skip("time")) && matches!(self.token, Token::Text { .. })
            }
            b"shutdown" => matches!(self.token, Token::End | Token::Cut(_)) || self.is("with"),
            b"backup" => self.skip("database") && matches!(self.token, Token::Word(..)),
            b"load" => self.skip("data"),
            b"copy" => self.name().is_ok() && matches!(self.token, Token::Word(Word::From, _)),
            // A block of calls.
            b"begin" => self.name().is_ok() && self.token == Token::Open,
            b"if" => {
                self.chain()?;
                matches!(self.token, Token::Word(Word::Select | Word::Wait | Word::Statement, _))
            }
            _ => false,
        };
        if is_one {
            self.note(Sign::Stacked);
            return Err(Stop::Whole);
        }
        Err(Stop::Torn)
    }
}
