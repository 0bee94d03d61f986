//! A text read on as a statement, from behind a value: how far it makes sense, and what speaks in it.
//!
//! One look ahead, nothing is read twice, and nesting has a bound: so the time is that of its bytes.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reader goes by what may come next; whatever else comes, it stops"
)]

mod condition;
mod query;
mod statement;

use super::evidence::{Evidence, Sign};
use super::token::{Lexer, Token};
use super::word::Word;

/// Parentheses and cases within each other, at the most.
const DEPTH: u32 = 24;

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The text did, where a statement may.
    Whole,
    /// What came next makes no sense.
    Torn,
}

type Step<T = ()> = Result<T, Stop>;

/// What an operand or a condition is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A number, a string, a word such as `null`.
    Literal,
    /// A name, which may be any word.
    Name,
    /// Anything else that has a value.
    Value,
    /// A comparison of literals.
    Tautology,
    /// A comparison with a literal.
    Comparison,
}

pub(super) struct Reader<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    depth: u32,
    /// A condition was joined to the value.
    joined: bool,
    /// The last comparison was by `<` or `>`.
    by_order: bool,
    pub(super) evidence: Evidence,
}

impl<'t> Reader<'t> {
    pub(super) fn new(mut lexer: Lexer<'t>, evidence: Evidence) -> Self {
        let token = lexer.next();
        Self { lexer, token, depth: 0, joined: false, by_order: false, evidence }
    }

    /// Reads a text that stands for a whole value, and what follows it.
    pub(super) fn value(&mut self) -> Stop {
        self.opening().and_then(|shape| self.rest(shape, false)).err().unwrap_or(Stop::Whole)
    }

    /// Reads a text that stands behind a value; `string` tells that it was one that the text has left.
    pub(super) fn behind(&mut self, string: bool) -> Stop {
        // What begins with another statement is one, and no injection into one.
        if !string && matches!(self.token, Token::Word(Word::Statement | Word::Wait, _)) {
            return Stop::Torn;
        }
        self.rest(Shape::Literal, string).err().unwrap_or(Stop::Whole)
    }

    /// What a comment takes away of the text, where reading ended at one.
    pub(super) fn cut(&self) -> &'t [u8] {
        if let Token::Cut(tail) = self.token { tail } else { &[] }
    }

    fn opening(&mut self) -> Step<Shape> {
        match self.token {
            Token::Number => self.note(Sign::Number),
            Token::Arithmetic(b'-' | b'+') => {
                self.advance();
                if self.token == Token::Number {
                    self.note(Sign::Number);
                }
            }
            Token::Word(Word::Select, _) => {
                self.advance();
                self.select()?;
                return Ok(Shape::Value);
            }
            _ => {}
        }
        self.operand()
    }

    /// What follows a value of `shape`, up to the end of the text.
    fn rest(&mut self, mut shape: Shape, string: bool) -> Step {
        // `5 < 7` gives nothing away by itself, and people go on with another.
        let mut orders = false;
        loop {
            match self.token {
                Token::Arithmetic(_) | Token::Word(Word::Operator, _) => {
                    self.advance();
                    if self.operand()? != Shape::Name {
                        self.note(Sign::Sum);
                    }
                    shape = Shape::Value;
                }
                Token::Compare
                | Token::Word(Word::Like | Word::Is | Word::In | Word::Between | Word::Not, _) => {
                    let is_sign = self.token == Token::Compare;
                    let compared = self.compared(shape)?;
                    orders = !string && compared == Shape::Tautology && self.by_order;
                    if string && (is_sign || compared == Shape::Tautology) {
                        self.note(Sign::Compared);
                    } else if shape != Shape::Name {
                        self.note(Sign::Sum);
                    }
                    shape = Shape::Value;
                }
                Token::Logical | Token::Pipes | Token::Word(Word::Logical, _) => {
                    let is_and = self.is("and");
                    self.advance();
                    self.joined = true;
                    let condition = self.condition()?;
                    if orders && is_and && condition == Shape::Tautology && self.by_order {
                        self.note(Sign::Sum);
                    } else {
                        self.weigh(condition);
                    }
                }
                Token::Close => {
                    self.advance();
                    self.note(Sign::Break);
                    // `) as t where`
                    if matches!(self.token, Token::Word(Word::As, _)) {
                        self.advance();
                        self.name()?;
                    }
                }
                Token::Comma => {
                    self.advance();
                    self.condition()?;
                }
                Token::Cast | Token::Word(Word::Collate, _) => {
                    self.advance();
                    self.name()?;
                }
                Token::Semicolon => return self.stacked(),
                // Some databases want nothing between two statements.
                Token::Word(Word::Statement | Word::Wait, _) => return self.statement(),
                Token::Word(..) => {
                    if !self.clause()? {
                        return Err(Stop::Torn);
                    }
                }
                _ => return self.complete(),
            }
        }
    }

    /// Notes what a condition that the text adds is.
    fn weigh(&mut self, condition: Shape) {
        match condition {
            Shape::Tautology => self.note(Sign::Tautology),
            Shape::Comparison => self.note(Sign::Comparison),
            Shape::Literal | Shape::Value => self.note(Sign::Truth),
            Shape::Name => {}
        }
    }

    /// The end of the text, or nothing that may stand here.
    fn complete(&mut self) -> Step {
        match self.token {
            Token::End => Err(Stop::Whole),
            Token::Cut(tail) => {
                self.note(if is_talk(tail) { Sign::CutText } else { Sign::Cut });
                Err(Stop::Whole)
            }
            _ => Err(Stop::Torn),
        }
    }

    /// What it means that no operand is next: at the end, that the application writes it.
    fn torn(&self) -> Stop {
        if self.token == Token::End { Stop::Whole } else { Stop::Torn }
    }

    fn advance(&mut self) {
        self.token = self.lexer.next();
    }

    fn note(&mut self, sign: Sign) {
        self.evidence.note(sign);
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(_, text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Passes over `word` where it is next.
    fn skip(&mut self, word: &str) -> bool {
        let is = self.is(word);
        if is {
            self.advance();
        }
        is
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        if self.depth == DEPTH {
            return Err(Stop::Torn);
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }
}

/// Whether what a comment takes away may be people's words, and not what is left of a statement.
fn is_talk(tail: &[u8]) -> bool {
    let marks = tail.iter().take_while(|byte| b"-#/*! +\t".contains(byte)).count();
    let rest = tail.get(marks..).unwrap_or_default();
    let is_dash = tail.starts_with(b"--");
    rest.len() > if is_dash || tail.starts_with(b"/*") { 8 } else { 0 }
}
