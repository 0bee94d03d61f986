//! The parts of a multipart body, valid or not, in each of the ways that an application may read it.

mod boundary;
mod disposition;

use super::budget::{self, Budget};
use boundary::Mark;
use disposition::Disposition;

/// What a part is to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Field,
    File,
    /// A field to some applications, and a file to others.
    Either,
}

/// One part: what it calls itself, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Of the field; more than one where its head can be read in more than one way.
    pub(super) names: Vec<&'a [u8]>,
    /// Of the uploaded file, likewise.
    pub(super) filenames: Vec<&'a [u8]>,
    pub(super) kind: Kind,
    pub(super) content: &'a [u8],
}

/// A piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A part, not taken apart yet.
    Part(&'a [u8]),
    /// What stands before the first part or behind the last: text to whoever takes the body for something else.
    Beside(&'a [u8]),
}

/// One way to read a body: where its parts begin and end.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    body: &'a [u8],
    marks: Vec<Mark>,
}

/// The ways to read `body`, whose content types are `types`: by each boundary that these name, and by the
/// line that the body opens with where that is another. Lines that only some applications take for a
/// boundary make a way of their own. Ends early when `budget` does.
pub(super) fn readings<'a>(
    body: &'a [u8],
    types: impl Iterator<Item = &'a [u8]>,
    budget: &mut Budget,
) -> Vec<Reading<'a>> {
    let mut boundaries: Vec<&[u8]> = Vec::new();
    for boundary in types.flat_map(boundary::named).chain(boundary::opening(body)) {
        if !boundaries.contains(&boundary) {
            boundaries.push(boundary);
        }
    }
    let mut readings = Vec::new();
    for boundary in boundaries {
        if !budget.take_bytes(body.len(), budget::SPLIT_BYTE) {
            break;
        }
        let all = boundary::marks(body, boundary, budget);
        let sound: Vec<_> = all.iter().filter(|mark| mark.is_sound).copied().collect();
        let differ = sound.len() < all.len();
        for marks in [Some(sound), differ.then_some(all)].into_iter().flatten() {
            if !marks.is_empty() {
                readings.push(Reading { body, marks });
            }
        }
    }
    readings
}

impl<'a> Reading<'a> {
    /// What the body is made of, in its order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'a>> {
        let body = self.body;
        let first = self.marks.first().map_or(body.len(), |mark| mark.at);
        let ends = self.marks.iter().skip(1).map(|mark| mark.at).chain([body.len()]);
        let behind = self.marks.iter().zip(ends).map(move |(mark, end)| {
            let piece = body.get(mark.end..end).unwrap_or_default();
            if mark.closes { Piece::Beside(piece) } else { Piece::Part(without_line_end(piece)) }
        });
        std::iter::once(Piece::Beside(body.get(..first).unwrap_or_default())).chain(behind)
    }
}

/// Takes a part apart; nothing where `budget` has no room for it.
pub(super) fn part<'a>(text: &'a [u8], budget: &mut Budget) -> Option<Part<'a>> {
    let (head, content, mut in_doubt) = split(text);
    let paid = budget.take(budget::PART) && budget.take_bytes(head.len(), budget::PART_BYTE);
    if !paid {
        return None;
    }
    let Disposition { names, filenames, is_plain } = disposition::of(head);
    in_doubt |= !is_plain;
    let kind = match filenames.is_empty() {
        _ if in_doubt => Kind::Either,
        true => Kind::Field,
        false => Kind::File,
    };
    Some(Part { names, filenames, kind, content })
}

/// Head and content, and whether some would divide them elsewhere: lines end in two ways, and the empty
/// line may be missing.
fn split(text: &[u8]) -> (&[u8], &[u8], bool) {
    for end in [&b"\r\n"[..], b"\n"] {
        if let Some(content) = text.strip_prefix(end) {
            return (&[], content, false);
        }
    }
    let long = memchr::memmem::find(text, b"\r\n\r\n").map(|at| (at, at + 4));
    let others = [(&b"\n\n"[..], 2), (b"\n\r\n", 3)];
    let short = others
        .into_iter()
        .filter_map(|(end, len)| memchr::memmem::find(text, end).map(|at| (at, at + len)))
        .min();
    match (long, short) {
        // `\r\n\r\n` holds `\n\r\n`.
        (Some((at, end)), Some((short, _))) if short > at => (&text[..at], &text[end..], false),
        (long, Some((at, end))) => (&text[..at], &text[end..], long.is_some()),
        _ => (text, text, true),
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspect::Limits;

    /// What is read of a body, by which a test goes.
    type Row = (Kind, Vec<String>, Vec<String>, String);

    fn read(kind: &str, body: &[u8]) -> Vec<Row> {
        let mut budget = Budget::new(&Limits::default());
        let text = |bytes: &&[u8]| String::from_utf8_lossy(bytes).into_owned();
        let readings = readings(body, std::iter::once(kind.as_bytes()), &mut budget);
        let pieces = readings.iter().flat_map(Reading::pieces);
        let parts = pieces.filter_map(|piece| match piece {
            Piece::Part(text) => part(text, &mut budget),
            Piece::Beside(_) => None,
        });
        parts
            .map(|part| {
                let names = part.names.iter().map(text).collect();
                (part.kind, names, part.filenames.iter().map(text).collect(), text(&part.content))
            })
            .collect()
    }

    fn row(kind: Kind, name: &str, filename: &str, content: &str) -> Row {
        let some = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
        (kind, some(name), some(filename), content.to_owned())
    }

    const B: &str = "multipart/form-data; boundary=b";

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
            Content-Disposition: form-data; name=f; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n";
        let rows = [row(Kind::Field, "a", "", "1"), row(Kind::File, "f", "x.png", "\u{fffd}PNG")];
        assert_eq!(read(B, body), rows);
        // Without a boundary the line that the body opens with is one.
        assert_eq!(read("multipart/form-data", body), rows);
    }

    #[test]
    fn a_body_without_a_separator_has_no_parts() {
        assert_eq!(read(B, b"Dear all"), []);
        assert_eq!(read(B, b"--"), []);
        assert_eq!(read("multipart/form-data; boundary=", b"Dear --"), []);
    }

    #[test]
    fn a_body_that_opens_with_another_line_is_read_by_both() {
        let body = b"--decoy\r\nContent-Disposition: form-data; name=x; filename=y\r\n\r\n\r\n--b\r\n\
            Content-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n";
        let rows = read(B, body);
        assert!(rows.contains(&row(Kind::Field, "a", "", "1")), "{rows:?}");
        assert!(rows.iter().any(|row| row.0 == Kind::File && row.3.contains("--b")), "{rows:?}");
    }

    #[test]
    fn a_boundary_stands_at_the_start_of_a_line_of_its_own() {
        let body = b"--b\nContent-Disposition: form-data; name=f; filename=x\n\n1 --b\nContent-Disposition: \
            form-data; name=a\n\n2\n--bc\n\n3\n--b--";
        let rows = read(B, body);
        assert!(rows.iter().any(|row| row.0 == Kind::File && row.3.ends_with("--bc\n\n3")), "{rows:?}");
        assert!(rows.contains(&row(Kind::Field, "a", "", "2")), "{rows:?}");
    }

    #[test]
    fn only_the_disposition_says_that_a_part_is_a_file() {
        let part = |head: &str| format!("--b\r\n{head}\r\n\r\n1\r\n--b--\r\n");
        let rows = [
            ("Content-Disposition: form-data; name=a\r\nX: filename=y", row(Kind::Field, "a", "", "1")),
            (
                "content-DISPOSITION : form-data; Name=\"q filename=\"",
                row(Kind::Field, "q filename=", "", "1"),
            ),
            ("Content-Disposition: form-data; name=a; FileName=y", row(Kind::File, "a", "y", "1")),
            ("Content-Disposition: form-data; name=a; filename*=UTF-8''y", row(Kind::Either, "a", "y", "1")),
            ("Content-Disposition: form-data; name=a;\r\n filename=y", row(Kind::Either, "a", "y", "1")),
            ("Content-Disposition: attachment; name=a; filename=y", row(Kind::Either, "a", "y", "1")),
            ("X-Content-Disposition: form-data; name=a; filename=y", row(Kind::Either, "", "", "1")),
        ];
        for (head, expected) in rows {
            assert_eq!(read(B, part(head).as_bytes()), [expected], "{head}");
        }
        let twice = read(
            B,
            part("Content-Disposition: form-data; name=\"a\\\"; filename=\"x.php\"; filename=y").as_bytes(),
        );
        assert_eq!(twice[0].0, Kind::Either);
        assert!(twice[0].2.iter().any(|name| name == "x.php") && twice[0].2.iter().any(|name| name == "y"));
    }

    #[test]
    fn a_part_without_a_head_is_read_all_the_same() {
        assert_eq!(read(B, b"--b\r\n\r\n1\r\n--b--"), [row(Kind::Either, "", "", "1")]);
        assert_eq!(read(B, b"--b\r\n1\r\n--b--"), [row(Kind::Either, "", "", "1")]);
        assert_eq!(
            read(B, b"--b\r\nContent-Disposition: form-data; name=a\n\n1\r\n\r\n2\r\n--b--")[0].3,
            "1\r\n\r\n2"
        );
    }

    #[test]
    fn no_reading_is_free() {
        let body = "--b\n".repeat(2000);
        let limits = Limits { steps: 3 * body.len() as u64, ..Limits::default() };
        let mut budget = Budget::new(&limits);
        assert!(readings(body.as_bytes(), std::iter::once(B.as_bytes()), &mut budget).len() <= 1);
        assert_eq!(budget.into_reached(), ["steps"]);
    }

    proptest! {
        #[test]
        fn any_body_is_taken_apart(
            body in "(--b|--c|\r\n|\n|name=\"|filename=|Content-Disposition:|[a-z\";\\\\]| ){0,60}",
            kind in "(multipart/|;|boundary=|b|c|\"|,| ){0,8}",
        ) {
            let mut budget = Budget::new(&Limits::default());
            for reading in readings(body.as_bytes(), std::iter::once(kind.as_bytes()), &mut budget) {
                let len = |piece: Piece<'_>| match piece {
                    Piece::Part(text) | Piece::Beside(text) => text.len(),
                };
                prop_assert!(reading.pieces().map(len).sum::<usize>() <= body.len());
            }
            read(&kind, body.as_bytes());
        }
    }
}
