//! A written rule made ready: its bounds held, its pattern compiled, its words found.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::RegexBuilder;
use regex_automata::nfa::thompson;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;

use super::written::{Match, Written};
use crate::inspect::byteset::ByteSet;
use crate::inspect::matcher::{Check, Compiled, Gate, Scope};
use crate::inspect::pattern::Pattern;

/// Bytes of a regular expression as written.
const PATTERN_BYTES: usize = 4096;
/// Bytes that one pattern may compile to.
const COMPILED_BYTES: usize = 512 * 1024;
/// Words of one rule.
const WORDS: usize = 256;
/// Bytes of a word, a name, a tag, an example's share of a sentence.
const TEXT_BYTES: usize = 512;
/// Names, routes, tags, references or examples of one rule.
const ENTRIES: usize = 64;
/// Bytes below which a word is in too many texts to be worth a search.
const WORD_LEAST: usize = 3;

/// The rule, and the bytes its pattern came to; or what is wrong and how to mend it.
pub(super) fn compile(written: &Written) -> Result<(Compiled, usize), String> {
    let within = |what: String| Err(format!("`{}`: {what}", written.id));
    if let Some(what) = misshapen(written) {
        return within(what);
    }
    let (pattern, words) = match source(&written.pattern) {
        Ok(source) => source,
        Err(what) => return within(what),
    };
    let hir = match parse(&pattern) {
        Ok(hir) => hir,
        Err(what) => return within(format!("match: {what}")),
    };
    let too_large = || {
        format!(
            "`{}`: match: the pattern comes to more than {} KiB; make its repetitions shorter, or two rules of it",
            written.id,
            COMPILED_BYTES / 1024
        )
    };
    let limits = thompson::Config::new().utf8(false).nfa_size_limit(Some(COMPILED_BYTES));
    let size = thompson::Compiler::new().configure(limits).build_from_hir(&hir).map_err(|_| too_large())?;
    let regex = RegexBuilder::new(&pattern)
        .unicode(false)
        .case_insensitive(!written.pattern.case_sensitive)
        .dot_matches_new_line(true)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|_| too_large())?;
    if regex.is_match(b"") {
        return within(
            "match: it matches the empty text, and so every one; ask for at least a byte".to_owned(),
        );
    }
    let search = match Pattern::new(&pattern, written.pattern.case_sensitive) {
        Ok(search) => search,
        Err(problem) => return within(format!("match: {problem}")),
    };
    let words = words.unwrap_or_else(|| required(&hir));
    let compiled = Compiled {
        id: Cow::Owned(written.id.clone()),
        class: written.class,
        confidence: written.confidence,
        action: written.action,
        check: Check::Pattern(search),
        gate: Gate { views: written.views(), parts: written.parts(), needs: [ByteSet::all(); 2] },
        words: words.into_iter().map(Cow::Owned).collect(),
        scope: Some(Arc::new(Scope {
            names: written.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            routes: written.routes.clone(),
        })),
    };
    Ok((compiled, size.memory_usage()))
}

/// What is wrong with the rule beside its pattern, if anything.
fn misshapen(written: &Written) -> Option<String> {
    let id = &written.id;
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(named) {
        return Some("an id is up to 64 lower-case letters, digits, `.`, `_` and `-`".to_owned());
    }
    if written.description.trim().is_empty() {
        return Some("description: say in a sentence what it looks for".to_owned());
    }
    if !(written.confidence > 0.0 && written.confidence <= 1.0) {
        return Some(format!("confidence: {} is not above 0 and up to 1", written.confidence));
    }
    let examples = &written.examples;
    if examples.hit.is_empty() || examples.miss.is_empty() {
        return Some("examples: give at least one value in `hit` and one in `miss`".to_owned());
    }
    let lists = [
        ("names", &written.names),
        ("routes", &written.routes),
        ("tags", &written.tags),
        ("references", &written.references),
        ("examples.hit", &examples.hit),
        ("examples.miss", &examples.miss),
    ];
    for (key, list) in lists {
        if list.len() > ENTRIES {
            return Some(format!("{key}: there are more than {ENTRIES}"));
        }
        let most = if key.starts_with("examples") { PATTERN_BYTES } else { TEXT_BYTES };
        if let Some(text) = list.iter().find(|text| text.is_empty() || text.len() > most) {
            return Some(format!("{key}: an entry of {} bytes; 1 to {most} are taken", text.len()));
        }
    }
    None
}

/// The regular expression that `pattern` stands for, and the words it needs where they are known.
fn source(pattern: &Match) -> Result<(String, Option<Vec<String>>), String> {
    let Match { regex, contains, equals, starts_with, ends_with, .. } = pattern;
    let words = [
        ("contains", contains, "", ""),
        ("equals", equals, "^", "$"),
        ("starts_with", starts_with, "^", ""),
        ("ends_with", ends_with, "", "$"),
    ];
    let said = words.iter().filter(|(_, words, ..)| !words.is_empty());
    let mut said = said.map(|(key, words, before, after)| (*key, *words, *before, *after));
    match (regex, said.next(), said.next()) {
        (Some(regex), None, None) if regex.len() <= PATTERN_BYTES => Ok((regex.clone(), None)),
        (Some(regex), None, None) => Err(format!(
            "match.regex: {} bytes; up to {PATTERN_BYTES} are taken, so make two rules of it",
            regex.len()
        )),
        (None, Some((key, words, before, after)), None) => {
            if words.len() > WORDS {
                return Err(format!("match.{key}: there are more than {WORDS}; make two rules of them"));
            }
            if let Some(word) = words.iter().find(|word| word.is_empty() || word.len() > TEXT_BYTES) {
                return Err(format!(
                    "match.{key}: an entry of {} bytes; 1 to {TEXT_BYTES} are taken",
                    word.len()
                ));
            }
            let any: Vec<_> = words.iter().map(|word| regex::escape(word)).collect();
            let long = words.iter().all(|word| word.len() >= WORD_LEAST);
            let needed = if long { words.clone() } else { Vec::new() };
            Ok((format!("{before}(?:{}){after}", any.join("|")), Some(needed)))
        }
        _ => {
            Err("match: say exactly one of `regex`, `contains`, `equals`, `starts_with`, `ends_with`"
                .to_owned())
        }
    }
}

fn parse(pattern: &str) -> Result<Hir, String> {
    let mut parser =
        regex_syntax::ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build();
    parser.parse(pattern).map_err(|error| {
        let (what, at) = match &error {
            regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.column),
            regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.column),
            _ => (error.to_string().replace('\n', "; "), 1),
        };
        format!("{what}, at character {at} of the pattern; \\ before a character takes it as it is")
    })
}

/// Words one of which every match begins with; none where there are none worth a search. Case is left
/// aside: the search does without, so that it finds all that the pattern finds.
fn required(hir: &Hir) -> Vec<String> {
    let starts = Extractor::new().limit_total(64).extract(hir);
    let words = starts.literals().map(|literals| {
        let words = literals.iter().map(|literal| String::from_utf8(literal.as_bytes().to_vec()).ok());
        words.map(|word| word.filter(|word| word.len() >= WORD_LEAST)).collect::<Option<Vec<_>>>()
    });
    words.flatten().unwrap_or_default()
}
