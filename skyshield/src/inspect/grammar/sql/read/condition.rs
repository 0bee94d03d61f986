//! Conditions, and what they are made of: sums, calls, cases, what stands in parentheses.

use super::{Reader, Shape, Step, Stop};
use crate::inspect::grammar::sql::evidence::Sign;
use crate::inspect::grammar::sql::token::Token;
use crate::inspect::grammar::sql::word::Word;

impl Reader<'_> {
    /// Conditions joined by `and` and its like; the shape of the last.
    pub(super) fn chain(&mut self) -> Step<Shape> {
        let mut first = true;
        loop {
            let shape = self.condition()?;
            if !first && matches!(shape, Shape::Literal | Shape::Tautology) {
                self.note(Sign::Truth);
            }
            first = false;
            match self.token {
                Token::Logical | Token::Word(Word::Logical, _) => self.advance(),
                _ => return Ok(shape),
            }
        }
    }

    pub(super) fn condition(&mut self) -> Step<Shape> {
        let left = self.sum()?;
        self.compared(left)
    }

    /// What `left` is compared with, where it is.
    pub(super) fn compared(&mut self, left: Shape) -> Step<Shape> {
        let negated = matches!(self.token, Token::Word(Word::Not, _));
        if negated {
            self.advance();
        }
        self.by_order = self.token == Token::Compare && self.lexer.is_order();
        let right = match self.token {
            Token::Compare => {
                self.advance();
                self.sum()?
            }
            Token::Word(Word::Like, _) => {
                self.advance();
                // `similar to`, `sounds like`.
                if self.is("to") || matches!(self.token, Token::Word(Word::Like, _)) {
                    self.advance();
                }
                let right = self.sum()?;
                if matches!(self.token, Token::Word(Word::Escape, _)) {
                    self.advance();
                    self.operand()?;
                }
                right
            }
            Token::Word(Word::Is, _) => {
                self.advance();
                if matches!(self.token, Token::Word(Word::Not, _)) {
                    self.advance();
                }
                match self.token {
                    Token::Word(Word::Value, _) | Token::Number => self.advance(),
                    _ => return Err(Stop::Torn),
                }
                Shape::Literal
            }
            Token::Word(Word::In, _) => {
                self.advance();
                if self.skip("boolean") || (self.skip("natural") && self.skip("language")) {
                    self.skip("mode");
                    self.note(Sign::Mode);
                    return Ok(Shape::Value);
                }
                if self.token != Token::Open {
                    return Err(Stop::Torn);
                }
                self.operand()?
            }
            Token::Word(Word::Between, _) => {
                self.advance();
                let right = self.sum()?;
                if !self.skip("and") {
                    return Err(Stop::Torn);
                }
                self.sum()?;
                right
            }
            _ if negated => return Err(Stop::Torn),
            _ => return Ok(left),
        };
        Ok(match (left, right) {
            (Shape::Literal, Shape::Literal) => Shape::Tautology,
            (Shape::Literal, _) | (_, Shape::Literal) => Shape::Comparison,
            // `f(x) = y` is mathematics as often.
            _ => Shape::Value,
        })
    }

    pub(super) fn sum(&mut self) -> Step<Shape> {
        let mut shape = self.operand()?;
        loop {
            match self.token {
                Token::Arithmetic(_) | Token::Pipes | Token::Word(Word::Operator, _) => {
                    self.advance();
                    if self.operand()? != Shape::Literal {
                        shape = Shape::Value;
                    }
                }
                Token::Cast | Token::Word(Word::Collate, _) => {
                    self.advance();
                    self.name()?;
                }
                _ => return Ok(shape),
            }
        }
    }

    pub(super) fn operand(&mut self) -> Step<Shape> {
        while matches!(
            self.token,
            Token::Arithmetic(b'+' | b'-') | Token::Not | Token::Word(Word::Not | Word::Prefix, _)
        ) {
            self.advance();
        }
        match self.token {
            Token::Number | Token::Word(Word::Value, _) => {
                self.advance();
                Ok(Shape::Literal)
            }
            Token::Text { .. } => {
                // Strings side by side are one.
                while matches!(self.token, Token::Text { .. }) {
                    self.advance();
                }
                Ok(Shape::Literal)
            }
            Token::Variable => {
                self.advance();
                self.note(Sign::Server);
                if self.token == Token::Assign {
                    self.advance();
                    return self.deeper(Self::operand);
                }
                Ok(Shape::Value)
            }
            Token::Word(Word::Case, _) => self.deeper(Self::case),
            Token::Word(Word::Plain | Word::Function | Word::Common | Word::Like, _) => self.named(),
            Token::Open => {
                self.advance();
                self.deeper(Self::nested)
            }
            _ => Err(self.torn()),
        }
    }

    /// A name, with the names it is of; the part that the last of them plays.
    pub(super) fn name(&mut self) -> Step<Word> {
        loop {
            let Token::Word(word, _) = self.token else { return Err(self.torn()) };
            self.advance();
            if self.token != Token::Dot {
                return Ok(word);
            }
            self.advance();
            if self.token == Token::Arithmetic(b'*') {
                self.advance();
                return Ok(word);
            }
        }
    }

    fn named(&mut self) -> Step<Shape> {
        let word = self.name()?;
        if self.token != Token::Open {
            return Ok(Shape::Name);
        }
        self.advance();
        let only_names = self.deeper(Self::arguments);
        // Cut off within its arguments, a call is one all the same.
        match (word, only_names) {
            (Word::Function, Ok(true)) | (Word::Common, _) => self.note(Sign::CallOfName),
            (Word::Function, _) => self.note(Sign::Call),
            _ => {}
        }
        only_names.map(|_| Shape::Value)
    }

    /// What stands between a call's parentheses, and the latter; whether it is names alone.
    fn arguments(&mut self) -> Step<bool> {
        let (mut only_names, mut some) = (true, false);
        loop {
            match self.token {
                Token::Close => {
                    self.advance();
                    return Ok(only_names && some);
                }
                Token::Comma | Token::Word(Word::As | Word::From | Word::For | Word::In | Word::Asc, _) => {
                    self.advance();
                }
                Token::Word(Word::Order, _) => {
                    self.advance();
                    self.skip("by");
                }
                Token::Arithmetic(b'*') => {
                    self.advance();
                    only_names = false;
                }
                Token::Word(Word::Select, _) => {
                    self.advance();
                    self.note(Sign::Query);
                    self.select()?;
                    only_names = false;
                }
                Token::End | Token::Cut(_) if some => return self.complete().map(|()| false),
                _ => {
                    let shape = self.chain()?;
                    if shape == Shape::Tautology {
                        self.note(Sign::Truth);
                    }
                    only_names &= shape == Shape::Name;
                    some = true;
                }
            }
        }
    }

    /// What stands in parentheses, the first of which is passed.
    fn nested(&mut self) -> Step<Shape> {
        let mut shape = if matches!(self.token, Token::Word(Word::Select, _)) {
            self.advance();
            self.note(Sign::Query);
            self.select()?;
            Shape::Value
        } else {
            self.chain()?
        };
        loop {
            match self.token {
                Token::Close => {
                    self.advance();
                    return Ok(shape);
                }
                Token::Comma => {
                    self.advance();
                    self.chain()?;
                    shape = Shape::Value;
                }
                Token::Word(..) => {
                    if !self.clause()? {
                        return Err(Stop::Torn);
                    }
                }
                _ => {
                    // The application closes it.
                    if self.joined {
                        self.weigh(shape);
                    }
                    return self.complete().map(|()| shape);
                }
            }
        }
    }

    fn case(&mut self) -> Step<Shape> {
        self.advance();
        if !matches!(self.token, Token::Word(Word::When, _)) {
            self.sum()?;
        }
        loop {
            match self.token {
                Token::Word(Word::When, _) => {
                    self.advance();
                    let when = self.chain()?;
                    if !self.skip("then") {
                        return Err(Stop::Torn);
                    }
                    self.note(Sign::Case);
                    if when == Shape::Tautology {
                        self.note(Sign::Truth);
                    }
                    self.chain()?;
                }
                Token::Word(Word::Else, _) => {
                    self.advance();
                    self.chain()?;
                }
                Token::Word(Word::Finish, _) => {
                    self.advance();
                    return Ok(Shape::Value);
                }
                _ => return self.complete().map(|()| Shape::Value),
            }
        }
    }
}
