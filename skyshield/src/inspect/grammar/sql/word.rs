//! Words of SQL by the part they play in a statement, whatever the dialect.

/// The part a word plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A name of something.
    Plain,
    /// A function that databases have and people rarely write: called, it gives itself away.
    Function,
    /// A function that other languages have too.
    Common,
    /// A value that is written as a word.
    Value,
    /// `and`, `or`, `xor`.
    Logical,
    Not,
    /// `div`, `mod`.
    Operator,
    /// `like`, `regexp` and the like.
    Like,
    Is,
    In,
    Between,
    Escape,
    Collate,
    /// What may stand before an operand: `distinct`, `all`, `exists`, `binary`.
    Prefix,
    Case,
    When,
    Then,
    Else,
    Finish,
    Select,
    /// `union`, `intersect`, `except`, `minus`.
    Union,
    From,
    Join,
    /// `where`, `having`, `on`.
    Where,
    /// `order`, `group`.
    Order,
    By,
    /// `limit`, `offset`.
    Limit,
    Into,
    /// `outfile`, `dumpfile`.
    File,
    Procedure,
    /// `for`.
    For,
    /// `lock`.
    Lock,
    Asc,
    As,
    /// What begins a statement of its own and is followed by what it is about.
    Statement,
    /// `waitfor`.
    Wait,
}

/// Every word that plays a part, sorted.
const WORDS: &[(&[u8], Word)] = &[
    (b"all", Word::Prefix),
    (b"alter", Word::Statement),
    (b"and", Word::Logical),
    (b"any", Word::Prefix),
    (b"as", Word::As),
    (b"asc", Word::Asc),
    (b"ascii", Word::Function),
    (b"backup", Word::Statement),
    (b"benchmark", Word::Function),
    (b"between", Word::Between),
    (b"bin", Word::Common),
    (b"binary", Word::Prefix),
    (b"by", Word::By),
    (b"call", Word::Statement),
    (b"case", Word::Case),
    (b"cast", Word::Function),
    (b"char", Word::Function),
    (b"char_length", Word::Function),
    (b"charindex", Word::Function),
    (b"chr", Word::Function),
    (b"coalesce", Word::Common),
    (b"collate", Word::Collate),
    (b"concat", Word::Function),
    (b"concat_ws", Word::Function),
    (b"conv", Word::Common),
    (b"convert", Word::Function),
    (b"create", Word::Statement),
    (b"cross", Word::Join),
    (b"current_user", Word::Value),
    (b"database", Word::Function),
    (b"db_name", Word::Function),
    (b"declare", Word::Statement),
    (b"delete", Word::Statement),
    (b"desc", Word::Asc),
    (b"distinct", Word::Prefix),
    (b"div", Word::Operator),
    (b"drop", Word::Statement),
    (b"dumpfile", Word::File),
    (b"else", Word::Else),
    (b"elt", Word::Function),
    (b"end", Word::Finish),
    (b"escape", Word::Escape),
    (b"except", Word::Union),
    (b"exec", Word::Statement),
    (b"execute", Word::Statement),
    (b"exists", Word::Prefix),
    (b"extractvalue", Word::Function),
    (b"false", Word::Value),
    (b"floor", Word::Common),
    (b"for", Word::For),
    (b"from", Word::From),
    (b"glob", Word::Like),
    (b"grant", Word::Statement),
    (b"greatest", Word::Common),
    (b"group", Word::Order),
    (b"group_concat", Word::Function),
    (b"having", Word::Where),
    (b"hex", Word::Common),
    (b"if", Word::Common),
    (b"ifnull", Word::Function),
    (b"iif", Word::Function),
    (b"ilike", Word::Like),
    (b"in", Word::In),
    (b"inner", Word::Join),
    (b"insert", Word::Statement),
    (b"instr", Word::Common),
    (b"intersect", Word::Union),
    (b"into", Word::Into),
    (b"is", Word::Is),
    (b"isnull", Word::Common),
    (b"join", Word::Join),
    (b"left", Word::Common),
    (b"length", Word::Common),
    (b"like", Word::Like),
    (b"limit", Word::Limit),
    (b"load_file", Word::Function),
    (b"lock", Word::Lock),
    (b"lower", Word::Common),
    (b"make_set", Word::Function),
    (b"mid", Word::Common),
    (b"minus", Word::Union),
    (b"mod", Word::Operator),
    (b"natural", Word::Join),
    (b"nchar", Word::Function),
    (b"not", Word::Not),
    (b"null", Word::Value),
    (b"nullif", Word::Function),
    (b"nvl", Word::Function),
    (b"offset", Word::Limit),
    (b"on", Word::Where),
    (b"or", Word::Logical),
    (b"ord", Word::Function),
    (b"order", Word::Order),
    (b"outer", Word::Join),
    (b"outfile", Word::File),
    (b"pg_sleep", Word::Function),
    (b"procedure", Word::Procedure),
    (b"rand", Word::Common),
    (b"randomblob", Word::Function),
    (b"regexp", Word::Like),
    (b"repeat", Word::Common),
    (b"reverse", Word::Common),
    (b"right", Word::Common),
    (b"rlike", Word::Like),
    (b"row", Word::Common),
    (b"schema", Word::Common),
    (b"select", Word::Select),
    (b"session_user", Word::Value),
    (b"shutdown", Word::Statement),
    (b"similar", Word::Like),
    (b"sleep", Word::Function),
    (b"some", Word::Prefix),
    (b"sounds", Word::Like),
    (b"sqlite_version", Word::Function),
    (b"strcmp", Word::Function),
    (b"substr", Word::Common),
    (b"substring", Word::Common),
    (b"system_user", Word::Value),
    (b"then", Word::Then),
    (b"to_char", Word::Function),
    (b"true", Word::Value),
    (b"truncate", Word::Statement),
    (b"unhex", Word::Function),
    (b"union", Word::Union),
    (b"unknown", Word::Value),
    (b"update", Word::Statement),
    (b"updatexml", Word::Function),
    (b"upper", Word::Common),
    (b"user", Word::Common),
    (b"user_name", Word::Function),
    (b"utl_http", Word::Function),
    (b"utl_inaddr", Word::Function),
    (b"version", Word::Common),
    (b"waitfor", Word::Wait),
    (b"when", Word::When),
    (b"where", Word::Where),
    (b"xor", Word::Logical),
];

/// Letters of the longest.
const LONGEST: usize = 16;

/// The part that `word` plays, in whatever case it is written.
pub(super) fn of(word: &[u8]) -> Word {
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..word.len()) else { return Word::Plain };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let lower: &[u8] = lower;
    WORDS.binary_search_by(|(known, _)| (*known).cmp(lower)).map_or(Word::Plain, |at| WORDS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_short_and_found_in_any_case() {
        assert!(WORDS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(WORDS.iter().all(|(word, _)| word.len() <= LONGEST));
        assert_eq!(
            (of(b"UnIoN"), of(b"unions"), of(b""), of(&[b'a'; 99])),
            (Word::Union, Word::Plain, Word::Plain, Word::Plain)
        );
    }
}
