//! SQL by its structure: whether a text, put in the place of a value, would go on as a statement.
//!
//! An application writes a value into a statement bare, or within quotes. A text that is no injection is
//! then a value and nothing more: within quotes it does not leave them, or what follows makes no sense.
//! So the text is read from each of these places as a database would, and what speaks for an injection is
//! weighed: a person who writes `rock 'n' roll or 'pop'` does not write a statement.

mod evidence;
mod read;
mod token;
mod word;

use evidence::{Evidence, Sign};
use read::{Reader, Stop};
use token::{Lexer, Token};

/// What speaks in `text` where it is an injection: all of it, up to the comment that takes the rest away.
pub(super) fn injection(text: &[u8]) -> Option<&[u8]> {
    let in_the_open = || Reader::new(Lexer::new(text), Evidence::default());
    let ways = [
        is_bare_sum(text).then_some(text),
        leaves_string(text, b'\''),
        leaves_string(text, b'"'),
        suffices(text, in_the_open(), Reader::value),
        suffices(text, in_the_open(), |reader| reader.behind(false)),
    ];
    ways.into_iter().flatten().min_by_key(|spoken| spoken.len())
}

/// What stands before the comment that takes the rest of `text` away.
pub(super) fn before_comment(text: &[u8]) -> &[u8] {
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.next();
        if token == Token::End {
            return text;
        }
        if let Token::Cut(tail) = token {
            return without(text, tail);
        }
    }
}

fn without<'t>(text: &'t [u8], tail: &[u8]) -> &'t [u8] {
    text.get(..text.len().saturating_sub(tail.len())).unwrap_or_default()
}

/// Whether it is nothing but a sum or a comparison of two empty strings, such as `'-'` or `'='`: true of
/// whatever it is compared with.
fn is_bare_sum(text: &[u8]) -> bool {
    let inner = text.trim_ascii().strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'"));
    inner.map(<[u8]>::trim_ascii).is_some_and(|sign| {
        (1..=3).contains(&sign.len()) && sign.iter().all(|byte| b"-+*/%&|^=<>!".contains(byte))
    })
}

/// What speaks where it is one within a string.
fn leaves_string(text: &[u8], quote: u8) -> Option<&[u8]> {
    let (held, lexer) = Lexer::within(text, quote)?;
    let mut evidence = Evidence::default();
    evidence.note(if quote == b'\'' { Sign::Quote } else { Sign::OtherQuote });
    let is_short = if quote == b'\'' { !held.contains(&b' ') } else { held.iter().all(u8::is_ascii_digit) };
    if is_short {
        evidence.note(Sign::Short);
    }
    suffices(text, Reader::new(lexer, evidence), |reader| reader.behind(true))
}

/// What speaks in a text, read this way, if it is enough.
fn suffices<'t>(
    text: &'t [u8],
    mut reader: Reader<'t>,
    read: impl FnOnce(&mut Reader<'t>) -> Stop,
) -> Option<&'t [u8]> {
    let stop = read(&mut reader);
    reader.evidence.suffices(stop == Stop::Whole).then(|| without(text, reader.cut()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_injection(text: &[u8]) -> bool {
        injection(text).is_some()
    }

    #[test]
    fn what_a_comment_takes_away_does_not_speak() {
        for (text, spoken) in [
            ("x' or 'a'='a' -- and so on", "x' or 'a'='a' "),
            ("1 or 1=1 # and so on", "1 or 1=1 "),
            ("1 or 1=1 /* and so on", "1 or 1=1 "),
            ("1 or 1=1", "1 or 1=1"),
        ] {
            assert_eq!(injection(text.as_bytes()), Some(spoken.as_bytes()), "{text}");
        }
        assert_eq!(before_comment(b"select '--' from a -- b"), b"select '--' from a ");
    }

    #[test]
    fn a_text_that_goes_on_as_a_statement_is_an_injection() {
        for text in [
            "x' or 'a'='a",
            "x' or 1=1--",
            "' or ''='",
            "'='",
            "1 or 1=1",
            "1 and sleep(5)",
            "-1 union select 1,user(),3",
            "1/**/union/*!50000all*/select null,null#",
            "x') or ('1'='1",
            "x\" or \"a\"=\"a",
            "admin'--",
            "admin' #",
            "admin'/*",
            "'; drop table users",
            "1; waitfor delay '0:0:5'--",
            "'||(select password from users limit 1)||'",
            "1 procedure analyse(extractvalue(rand(),concat(0x3a,version())),1)",
            "x' lock in share mode--",
            "a') in boolean mode) union select 1--",
            "1 into outfile '/tmp/x'",
            "1' order by 10--",
            "1 having 1=1--",
            "'XOR(if(now()=sysdate(),sleep(5),0))XOR'Z",
            "1 and (select 1 from (select count(*),concat(version(),floor(rand(0)*2))x from t group by x)a)",
            "case when 1=1 then 1 else 2 end or 1=1",
            "' and extractvalue(1,concat(0x7e,(select @@version",
            "1e0union select 2,3 from dual",
            "1' and 1=1 whatever",
            "5 < 7 or 9 > 3",
            "5 < 7 and 1=1",
            "1 and 9 > 3",
            "5 < 7 and 9 > 3 -- ",
            "5 < 7 and sleep(5)",
        ] {
            assert!(is_injection(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_text_that_people_write_is_none() {
        for text in [
            "O'Brien",
            "O'Brien and D'Angelo",
            "rock 'n' roll or 'pop'",
            "'tis the season or 'twas",
            "the boys' and girls' team",
            "5'6\" tall",
            "a or b",
            "size and color=red",
            "width=100",
            "2024-01-01",
            "1---",
            "1 + 1 = 2",
            "f(x) = y and g(x) = z",
            "the student union selects its board",
            "student union select members from the board",
            "drop by at the table and order by noon",
            "select one from the list",
            "user(s) and row(s)",
            "the boys' -- they said -- are here",
            "the dogs' #1 choice",
            "\"yes\" and \"no\"",
            "foo('bar'); if (a > b) { c(); }",
            "a; b; c",
            "C# or C++",
            "it's 5 > 3 and that's that",
            "5 < 7 and 9 > 3",
            "1 < 2 and 3 < 4 and 9 > 5",
            "{\"a\":\"b\",\"c\":[1,2]}",
            "<a href='x'>y</a> and 'z'",
            "",
            "'",
            "''",
        ] {
            assert!(!is_injection(text.as_bytes()), "{text}");
        }
    }
}
