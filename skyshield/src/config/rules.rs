//! The files that operators keep their own rules in: found, read, and taken as a whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, Problem, read};
use crate::inspect::own::{self, Draft, OwnRules};

/// Files at the most.
const MAX_FILES: usize = 64;
/// Bytes of one file at the most.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The rules in all files that `places` name.
pub(super) fn load(places: &[PathBuf]) -> Result<OwnRules, Error> {
    let mut draft = Draft::default();
    for path in files(places)? {
        let text = read(&path)?;
        let wrong = |problem| Error::Problem { path: path.clone(), problem };
        if text.len() > MAX_FILE_BYTES {
            let what = format!("the file has more than {MAX_FILE_BYTES} bytes; make two of it");
            return Err(wrong(Problem::at(&text, 0, what)));
        }
        let written = own::read(&text).map_err(|error| wrong(Problem::of_toml(&text, &error)))?;
        let origin: Arc<str> = path.display().to_string().into();
        for (span, rule) in written {
            draft.add(rule, &origin).map_err(|what| wrong(Problem::at(&text, span.start, what)))?;
        }
    }
    Ok(draft.finish())
}

/// The files that `places` name, each once, in the order of their names where one names several.
fn files(places: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    for place in places {
        let found = match pattern(place) {
            Some((directory, before, after)) => matching(directory, before, after),
            None if place.is_dir() => matching(place, "", ".toml"),
            None => Ok(vec![place.clone()]),
        };
        let found = found.map_err(|source| Error::Read { path: place.clone(), source })?;
        for file in found {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        if files.len() > MAX_FILES {
            let source = io::Error::other(format!("there are more than {MAX_FILES} files of rules"));
            return Err(Error::Read { path: place.clone(), source });
        }
    }
    Ok(files)
}

/// The directory of `place`, and what stands before and after the `*` in the name.
fn pattern(place: &Path) -> Option<(&Path, &str, &str)> {
    let (before, after) = place.file_name()?.to_str()?.split_once('*')?;
    Some((place.parent()?, before, after))
}

/// The files of `directory` whose name begins and ends so, sorted. A directory that is not there has none.
fn matching(directory: &Path, before: &str, after: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let fits =
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after);
        // A name with a dot before it is an editor's copy, or half written.
        if fits && !name.starts_with('.') && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RULE: &str = "[[rule]]\nid = 'own.x'\ndescription = 'x'\nmatch = { contains = ['xyzzy'] }\n\
        examples = { hit = ['a xyzzy'], miss = ['a'] }\n";

    #[test]
    fn files_are_found_by_name_by_directory_and_by_a_star() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["b.toml", "a.toml", "c.txt", ".d.toml"] {
            fs::write(at(name), "").unwrap();
        }
        let both = vec![at("a.toml"), at("b.toml")];
        assert_eq!(files(&[directory.path().to_owned()]).unwrap(), both);
        assert_eq!(files(&[at("*.toml"), at("a.toml")]).unwrap(), both);
        assert_eq!(files(&[at("c*")]).unwrap(), [at("c.txt")]);
        assert_eq!(files(&[at("none/*.toml")]).unwrap(), [] as [PathBuf; 0]);
        assert!(load(&[at("none.toml")]).unwrap_err().to_string().contains("none.toml: cannot be read"));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line_and_nothing_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own.toml");
        let other = RULE.replace("own.x", "own.y");
        let long = "a".repeat(5000);
        for (text, told) in [
            (format!("{other}\n{RULE}{RULE}"), "own.toml:12:1: `own.x` is in "),
            (RULE.replace("own.x", "sqli.grammar"), "own.toml:1:1: `sqli.grammar` is a built-in rule"),
            (RULE.replace("own.x", "Own X"), "own.toml:1:1: `Own X`: an id is"),
            (RULE.replace("match", "mach"), "own.toml:4:1: unknown key `mach`; did you mean `match`?"),
            (
                RULE.replace("contains = ['xyzzy']", "regex = 'xy(zzy'"),
                "own.toml:1:1: `own.x`: match: unclosed group",
            ),
            (
                RULE.replace("contains = ['xyzzy']", "regex = '(?=x)'"),
                "own.toml:1:1: `own.x`: match: look-around",
            ),
            (
                RULE.replace("contains = ['xyzzy']", "regex = '(xyzzy)?'"),
                "own.toml:1:1: `own.x`: match: it matches the empty text",
            ),
            (
                RULE.replace("contains = ['xyzzy']", "regex = '((xyzzy){1,900}){1,900}'"),
                "own.toml:1:1: `own.x`: match: the pattern comes to more than 512 KiB",
            ),
            (
                RULE.replace("['xyzzy']", &format!("['{long}']")),
                "own.toml:1:1: `own.x`: match.contains: an entry of 5000 bytes",
            ),
            (RULE.replace("contains = ['xyzzy']", ""), "own.toml:1:1: `own.x`: match: say exactly one"),
            (
                RULE.replace("hit = ['a xyzzy']", "hit = ['plugh']"),
                "own.toml:1:1: `own.x`: the example `plugh` in `hit` is not matched",
            ),
            (
                RULE.replace("miss = ['a']", "miss = ['xyzzy']"),
                "own.toml:1:1: `own.x`: the example `xyzzy` in `miss` is matched",
            ),
            (
                format!("{RULE}confidence = 1.5\n"),
                "own.toml:1:1: `own.x`: confidence: 1.5 is not above 0 and up to 1",
            ),
            (format!("{RULE}action = 'ban'\n"), "own.toml:6:10: unknown variant `ban`"),
        ] {
            fs::write(&path, &text).unwrap();
            let problem = load(std::slice::from_ref(&path)).unwrap_err().to_string();
            let problem = problem.strip_prefix(&format!("{}/", directory.path().display())).unwrap();
            assert!(problem.starts_with(told), "{text}\n  told {problem}\n  not  {told}");
        }
    }

    #[test]
    fn rules_that_routes_and_lists_do_not_fit_are_refused_with_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let rules = directory.path().join("own.toml");
        let main = directory.path().join("skyshield.toml");
        fs::write(&rules, format!("{RULE}routes = ['shop']\n")).unwrap();
        let load = |text: &str| {
            fs::write(&main, format!("[inspect]\nrules = [\"{}\"]\n{text}", rules.display())).unwrap();
            super::super::load(Some(&main)).map_err(|error| error.to_string())
        };
        let error = load("").unwrap_err();
        assert!(
            error.contains("skyshield.toml:2: inspect.rules: the rule `own.x` looks at the route `shop`"),
            "{error}"
        );
        let error = load("disable = ['own.z']\n[[routes]]\nname = 'shop'\n").unwrap_err();
        assert!(
            error.contains(
                "skyshield.toml:3: inspect.disable: there is no rule `own.z`; did you mean `own.x`?"
            ),
            "{error}"
        );
        let response = |when: &str| {
            load(&format!(
                "[[routes]]\nname = 'shop'\n[[response.rules]]\nname = 'a'\nwhen = {{ {when} }}\nthen = [{{ act = 'notify' }}]\n"
            ))
        };
        for wrong in ["findings = ['sqly']", "findings = ['sql.*']", "routes = ['shops']"] {
            let error = response(wrong).unwrap_err();
            assert!(
                error.contains("skyshield.toml:5: response.rules: the rule `a` waits for the"),
                "{error}"
            );
        }
        let named = "['sqli', 'sqli.*', 'own.x', 'behaviour', 'login.*', 'flood.requests']";
        response(&format!("findings = {named}, routes = ['shop', 'default']")).unwrap();
        let config = load("observe = ['own.x', 'sqli.grammar']\n[[routes]]\nname = 'shop'\n").unwrap();
        assert_eq!(own::infos(&config.inspect).filter(|info| info.id.starts_with("own.")).count(), 1);
    }
}
