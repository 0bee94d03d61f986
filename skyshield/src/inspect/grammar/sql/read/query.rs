//! A query and its clauses.

use super::{Reader, Shape, Step, Stop};
use crate::inspect::grammar::sql::evidence::Sign;
use crate::inspect::grammar::sql::token::Token;
use crate::inspect::grammar::sql::word::Word;

impl Reader<'_> {
    /// A query behind its `select`, up to what its clauses are not.
    pub(super) fn select(&mut self) -> Step {
        self.deeper(|reader| {
            reader.asked()?;
            while reader.clause()? {}
            Ok(())
        })
    }

    /// What a query asks for.
    fn asked(&mut self) -> Step {
        while matches!(self.token, Token::Word(Word::Prefix, _)) {
            self.advance();
        }
        if (self.skip("top") || self.skip("first")) && self.token == Token::Number {
            self.advance();
        }
        let mut more = false;
        loop {
            let shape = if self.token == Token::Arithmetic(b'*') {
                self.advance();
                Shape::Value
            } else {
                self.chain()?
            };
            if shape != Shape::Name {
                self.note(if more { Sign::AskedMore } else { Sign::Asked });
                more = true;
            }
            if matches!(self.token, Token::Word(Word::As, _)) {
                self.advance();
            }
            // What it is called.
            if matches!(
                self.token,
                Token::Word(Word::Plain | Word::Function | Word::Common, _) | Token::Text { .. }
            ) {
                self.advance();
            }
            if self.token != Token::Comma {
                return Ok(());
            }
            self.advance();
        }
    }

    /// One clause of a query, where one begins here.
    pub(super) fn clause(&mut self) -> Step<bool> {
        let Token::Word(word, text) = self.token else { return Ok(false) };
        match word {
            Word::Union => {
                self.advance();
                if matches!(self.token, Token::Word(Word::Prefix, _)) {
                    self.advance();
                }
                while self.token == Token::Open {
                    self.advance();
                }
                if !matches!(self.token, Token::Word(Word::Select, _)) {
                    return Err(Stop::Torn);
                }
                self.advance();
                self.note(Sign::Union);
                self.select()?;
            }
            Word::From | Word::Join => {
                self.advance();
                self.tables()?;
                self.note(Sign::From);
            }
            // `left join`
            Word::Common if text.len() < 6 && (self.skip("left") || self.skip("right")) => {
                self.skip("outer");
                if !matches!(self.token, Token::Word(Word::Join, _)) {
                    return Err(Stop::Torn);
                }
            }
            Word::Where => {
                self.advance();
                let shape = self.chain()?;
                self.note(Sign::Where);
                if shape == Shape::Tautology {
                    self.note(Sign::Truth);
                }
            }
            Word::Order => self.sort()?,
            Word::Limit => {
                self.advance();
                if self.operand()? != Shape::Name {
                    self.note(Sign::Limit);
                }
                if self.token == Token::Comma {
                    self.advance();
                    self.operand()?;
                }
            }
            Word::Into => {
                self.advance();
                if let Token::Word(Word::File, _) = self.token {
                    self.advance();
                    self.note(Sign::File);
                }
                self.operand()?;
            }
            Word::Procedure => {
                self.advance();
                if !self.skip("analyse") {
                    return Err(Stop::Torn);
                }
                self.note(Sign::Procedure);
                if self.token == Token::Open {
                    self.operand()?;
                }
            }
            Word::For => {
                self.advance();
                if !(self.skip("update") || self.skip("share") || self.skip("xml")) {
                    return Err(Stop::Torn);
                }
                self.note(Sign::Lock);
                self.skip("path");
            }
            Word::Lock => {
                self.advance();
                if !(self.skip("in") && self.skip("share")) {
                    return Err(Stop::Torn);
                }
                self.skip("mode");
                self.note(Sign::Lock);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn sort(&mut self) -> Step {
        self.advance();
        if !self.skip("by") {
            return Err(Stop::Torn);
        }
        loop {
            let shape = self.chain()?;
            self.note(if shape == Shape::Literal { Sign::SortNumber } else { Sign::Sort });
            if matches!(self.token, Token::Word(Word::Asc, _)) {
                self.advance();
            }
            if self.token != Token::Comma {
                return Ok(());
            }
            self.advance();
        }
    }

    /// Tables, joined, and what they are called.
    fn tables(&mut self) -> Step {
        loop {
            while matches!(self.token, Token::Word(Word::Join, _)) {
                self.advance();
            }
            if let Token::Word(_, name) = self.token
                && is_catalog(name)
            {
                self.note(Sign::Catalog);
            }
            self.operand()?;
            if matches!(self.token, Token::Word(Word::As, _)) {
                self.advance();
            }
            if matches!(self.token, Token::Word(Word::Plain, _)) {
                self.advance();
            }
            if self.token != Token::Comma {
                return Ok(());
            }
            self.advance();
        }
    }
}

/// Whether a table of this name, or schema, describes the database itself.
fn is_catalog(name: &[u8]) -> bool {
    const OPENINGS: [&str; 9] = [
        "information_schema",
        "pg_",
        "sqlite_",
        "mysql",
        "sysobjects",
        "syscolumns",
        "msysobjects",
        "all_tab",
        "rdb$",
    ];
    OPENINGS.iter().any(|opening| {
        name.get(..opening.len()).is_some_and(|start| start.eq_ignore_ascii_case(opening.as_bytes()))
    })
}
