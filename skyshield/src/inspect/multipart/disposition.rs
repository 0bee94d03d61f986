//! What the head of a part says of it.

/// The names in a head, in every reading of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition<'a> {
    pub(super) names: Vec<&'a [u8]>,
    pub(super) filenames: Vec<&'a [u8]>,
    /// It is written so that every application reads the same.
    pub(super) is_plain: bool,
}

/// Reads the line that begins with `Content-Disposition`. Where it is not written as browsers do, or there
/// are several or none, whatever it could say is read, whether it stands in quotes or not.
pub(super) fn of(head: &[u8]) -> Disposition<'_> {
    let lines = || head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let folded = lines().any(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
    let mut found = lines().filter_map(value);
    if let (Some(line), None, false) = (found.next(), found.next(), folded)
        && let Some(plain) = plain(line)
    {
        return plain;
    }
    let mut doubtful = Disposition::default();
    for line in lines().filter(|line| folded || value(line).is_some()) {
        collect(line, &mut doubtful);
    }
    doubtful
}

/// The value of the line where it is the disposition.
fn value(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"content-disposition";
    let name = line.get(..NAME.len())?;
    let value = line[NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
    name.eq_ignore_ascii_case(NAME).then_some(value)
}

/// A disposition that can be read in one way only.
fn plain(line: &[u8]) -> Option<Disposition<'_>> {
    let mut read = Disposition { is_plain: true, ..Disposition::default() };
    let (kind, mut rest) = token(line.trim_ascii_start());
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let mut is_file = false;
    while !rest.trim_ascii_start().is_empty() {
        rest = rest.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
        let (name, behind) = token(rest);
        if name.is_empty() && behind.is_empty() {
            break;
        }
        let behind = behind.strip_prefix(b"=")?;
        let value;
        (value, rest) = match behind.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = memchr::memchr(b'"', quoted)?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None if name.ends_with(b"*") => extended(behind),
            None => token(behind),
        };
        // Some read on behind a quote that a backslash stands before.
        if name.is_empty() || value.ends_with(b"\\") {
            return None;
        }
        if name.eq_ignore_ascii_case(b"name") {
            read.names.push(value);
        } else if name.eq_ignore_ascii_case(b"filename") {
            // Of an empty one some make a field.
            is_file |= !value.is_empty();
            read.filenames.push(value);
        } else if name.eq_ignore_ascii_case(b"filename*") {
            read.filenames.push(without_charset(value));
        } else if name.to_ascii_lowercase().starts_with(b"filename") {
            return None;
        }
    }
    (is_file || read.filenames.is_empty()).then_some(read)
}

/// What stands before the next byte that is no part of a plain word, and what from there on.
fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| b";=\"'\\ \t".contains(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// The same of a value that names its charset and language between single quotes (RFC 8187).
fn extended(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| b";\"\\ \t".contains(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// All that a line could name.
fn collect<'a>(line: &'a [u8], into: &mut Disposition<'a>) {
    const NAME: &[u8] = b"name";
    let mut from = 0;
    while let Some(at) = find(line.get(from..).unwrap_or_default(), NAME) {
        let begins = from + at;
        from = begins + NAME.len();
        let before = &line[..begins];
        let is_file = before.len() >= 4 && before[before.len() - 4..].eq_ignore_ascii_case(b"file");
        let rest = &line[from..];
        let marks = rest.iter().take_while(|byte| b" \t*0123456789".contains(byte)).count();
        let Some(value) = rest[marks..].strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let names = if is_file { &mut into.filenames } else { &mut into.names };
        if let Some(quote @ (b'"' | b'\'')) = value.first() {
            let quoted = &value[1..];
            let short = memchr::memchr(*quote, quoted).unwrap_or(quoted.len());
            let long = unescaped(quoted, *quote);
            let ends = if long > short { [short, long] } else { [short, 0] };
            names.extend(ends.into_iter().filter(|end| *end > 0).map(|end| &quoted[..end]));
        } else {
            let end = value.iter().position(|byte| b";\"".contains(byte)).unwrap_or(value.len());
            let name = without_charset(value[..end].trim_ascii_end());
            names.extend(Some(name).filter(|name| !name.is_empty()));
            // Nothing is named within a word: so no byte is read twice.
            from = line.len() - value.len() + end;
        }
    }
}

/// Where the first `quote` stands that no backslash does before.
fn unescaped(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(quote, b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text[at] == quote {
            return at;
        }
        at += 2;
    }
    text.len()
}

fn find(text: &[u8], lower: &[u8]) -> Option<usize> {
    text.windows(lower.len()).position(|window| window.eq_ignore_ascii_case(lower))
}

/// `UTF-8''a.png` without what stands before the name.
fn without_charset(value: &[u8]) -> &[u8] {
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (_, Some(_), Some(name)) => name,
        _ => value,
    }
}
