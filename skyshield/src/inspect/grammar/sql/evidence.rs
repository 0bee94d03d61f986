//! What speaks for an injection in a text that reads on as a statement, and how loudly.

/// One thing that speaks for it. Its weight counts once, however often it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sign {
    /// The text leaves a string in single quotes.
    Quote,
    /// It leaves one in other quotes, as people do too.
    OtherQuote,
    /// The string that is left holds one word at the most.
    Short,
    /// It begins with a number.
    Number,
    /// It goes on with a sum.
    Sum,
    /// A string is compared with what follows.
    Compared,
    /// A condition that compares two values known beforehand.
    Tautology,
    /// A condition that compares.
    Comparison,
    /// A condition that is a value.
    Truth,
    /// A function of a database's is called.
    Call,
    /// One is called with a name, as in `user(s)`, or one that other languages have too.
    CallOfName,
    /// A second query is joined.
    Union,
    /// A query asks for what is no name of a column.
    Asked,
    /// It asks for more of that kind.
    AskedMore,
    /// A query in parentheses.
    Query,
    /// Tables that describe the database itself.
    Catalog,
    From,
    Where,
    /// Sorted by the number of a column.
    SortNumber,
    Sort,
    Limit,
    /// Written to a file.
    File,
    Procedure,
    Lock,
    /// How a full-text search is meant.
    Mode,
    Case,
    /// A variable of the server's.
    Server,
    /// A second statement.
    Stacked,
    Semicolon,
    /// A parenthesis is closed that was not opened.
    Break,
    /// A comment takes away what the application wrote behind.
    Cut,
    /// A comment takes away a text that may be people's.
    CutText,
}

impl Sign {
    const fn weight(self) -> u32 {
        match self {
            Self::Stacked => 5,
            Self::Tautology | Self::File => 4,
            Self::Comparison
            | Self::Call
            | Self::Procedure
            | Self::Catalog
            | Self::Lock
            | Self::Mode
            | Self::Case => 3,
            Self::Compared
            | Self::Truth
            | Self::Union
            | Self::Asked
            | Self::Query
            | Self::SortNumber
            | Self::Server
            | Self::Cut => 2,
            Self::Quote
            | Self::OtherQuote
            | Self::Short
            | Self::Number
            | Self::Sum
            | Self::AskedMore
            | Self::CallOfName
            | Self::From
            | Self::Where
            | Self::Sort
            | Self::Limit
            | Self::Semicolon
            | Self::Break
            | Self::CutText => 1,
        }
    }
}

/// From here on a text that reads on to its end is an injection.
const WHOLE: u32 = 4;
/// From here on it is one although its end makes no sense.
const TORN: u32 = 5;

/// What was found in one reading of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    seen: u64,
    weight: u32,
}

impl Evidence {
    pub(super) fn note(&mut self, sign: Sign) {
        let bit = 1 << sign as u8;
        if self.seen & bit == 0 {
            self.seen |= bit;
            self.weight += sign.weight();
        }
    }

    /// Whether it is enough for a text that does, or does not, make sense to its end.
    pub(super) fn suffices(self, whole: bool) -> bool {
        self.weight >= if whole { WHOLE } else { TORN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_counts_once() {
        let mut evidence = Evidence::default();
        for _ in 0..9 {
            evidence.note(Sign::Comparison);
        }
        assert!(!evidence.suffices(true));
        evidence.note(Sign::Number);
        assert!(evidence.suffices(true) && !evidence.suffices(false));
    }
}
