//! The parts of a multipart body, valid or not.

/// One part: what it calls itself, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Of the field; empty where the part names none.
    pub(super) name: &'a [u8],
    /// Of the uploaded file, if it is one.
    pub(super) filename: Option<&'a [u8]>,
    pub(super) content: &'a [u8],
}

/// The parts of `body`, separated by the line that it opens with. What stands before the first such line is
/// not read by applications either; a body without any is no part at all.
pub(super) fn parts(body: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let body = body.trim_ascii_start();
    let end = memchr::memchr2(b'\r', b'\n', body).unwrap_or(body.len());
    let line = if body.starts_with(b"--") { &body[..end] } else { &[] };
    let finder = memchr::memmem::Finder::new(line);
    let mut starts: Vec<usize> = Vec::new();
    if line.len() > 2 {
        starts.extend(finder.find_iter(body));
        starts.push(body.len());
    }
    let line_len = line.len();
    let ranges: Vec<_> = starts.windows(2).map(|pair| (pair[0] + line_len, pair[1])).collect();
    ranges.into_iter().filter_map(move |(from, to)| part(body.get(from..to)?))
}

fn part(text: &[u8]) -> Option<Part<'_>> {
    let text = text.strip_prefix(b"\r").unwrap_or(text).strip_prefix(b"\n")?;
    let (head, content) = match memchr::memmem::find(text, b"\r\n\r\n") {
        Some(at) => (&text[..at], &text[at + 4..]),
        None => match memchr::memmem::find(text, b"\n\n") {
            Some(at) => (&text[..at], &text[at + 2..]),
            None => (text, &[][..]),
        },
    };
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    Some(Part {
        name: parameter(head, b" name=").unwrap_or_default(),
        filename: parameter(head, b"filename="),
        content,
    })
}

/// The value of a parameter in the part's header lines, its quotes taken off.
fn parameter<'t>(head: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let at = memchr::memmem::find(head, name)?;
    let rest = &head[at + name.len()..];
    match rest.strip_prefix(b"\"") {
        Some(quoted) => Some(&quoted[..memchr::memchr2(b'"', b'\r', quoted).unwrap_or(quoted.len())]),
        None => Some(rest.split(|byte| b";\r\n".contains(byte)).next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
            Content-Disposition: form-data; name=f; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n";
        let read: Vec<_> = parts(body).collect();
        assert_eq!(
            read,
            [
                Part { name: b"a", filename: None, content: b"1" },
                Part { name: b"f", filename: Some(b"x.png"), content: b"\x89PNG" },
            ]
        );
    }

    #[test]
    fn a_body_without_a_separator_has_no_parts() {
        assert_eq!(parts(b"Dear all").count(), 0);
        assert_eq!(parts(b"--").count(), 0);
    }

    proptest! {
        #[test]
        fn any_body_is_taken_apart(body in "(--b|\r\n|name=\"|filename=|[a-z\"]| ){0,60}") {
            let total: usize = parts(body.as_bytes()).map(|part| part.content.len()).sum();
            prop_assert!(total <= body.len());
        }
    }
}
