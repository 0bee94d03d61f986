//! Paths as patterns: `*` is any part of one segment, `**` any number of segments.

use std::borrow::Cow;

/// Segments of a path that are looked at.
const MAX_SEGMENTS: usize = 64;

/// A pattern over the segments of a path, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Box<[u8]>>);

impl Pattern {
    /// The pattern that `text` says; `None` where it does not begin with `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Some(Self(segments.map(|segment| segment.to_ascii_lowercase().into_bytes().into()).collect()))
    }

    /// Whether the pattern matches all of `path`.
    pub fn matches(&self, path: &Path<'_>) -> bool {
        segments_match(&self.0, &path.0)
    }
}

/// Patterns of which any may match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPatterns(Vec<Pattern>);

impl PathPatterns {
    /// The patterns of `texts`; those that do not begin with `/` match nothing.
    pub fn new(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| Pattern::parse(text)).collect())
    }

    /// Whether one of them matches the path of `target`, as applications read it.
    pub fn match_target(&self, target: &[u8]) -> bool {
        let path = Path::of(target);
        self.0.iter().any(|pattern| pattern.matches(&path))
    }
}

fn segments_match(pattern: &[Box<[u8]>], path: &[Cow<'_, [u8]>]) -> bool {
    // One way back is enough: a later `**` takes whatever an earlier one could have.
    let (mut at, mut on, mut back) = (0, 0, None);
    loop {
        match pattern.get(at) {
            Some(segment) if **segment == *b"**" => {
                at += 1;
                back = Some((at, on));
                continue;
            }
            Some(segment) if path.get(on).is_some_and(|found| segment_matches(segment, found)) => {
                (at, on) = (at + 1, on + 1);
                continue;
            }
            None if on == path.len() => return true,
            Some(_) | None => {}
        }
        let Some((again_at, again_on)) = back.filter(|&(_, from)| from < path.len()) else { return false };
        (at, on) = (again_at, again_on + 1);
        back = Some((again_at, again_on + 1));
    }
}

fn segment_matches(pattern: &[u8], segment: &[u8]) -> bool {
    let (mut at, mut on, mut back) = (0, 0, None);
    loop {
        match (pattern.get(at), segment.get(on)) {
            (Some(b'*'), _) => {
                at += 1;
                back = Some((at, on));
                continue;
            }
            (Some(expected), Some(found)) if *expected == found.to_ascii_lowercase() => {
                (at, on) = (at + 1, on + 1);
                continue;
            }
            (None, None) => return true,
            (Some(_) | None, _) => {}
        }
        let Some((again_at, again_on)) = back.filter(|&(_, from)| from < segment.len()) else { return false };
        (at, on) = (again_at, again_on + 1);
        back = Some((again_at, again_on + 1));
    }
}

/// The path of a target as applications read it: decoded once, without empty and dot segments and
/// without what follows a `;` in a segment.
#[derive(Debug)]
pub struct Path<'a>(Vec<Cow<'a, [u8]>>);

impl<'a> Path<'a> {
    /// The path of `target`.
    pub fn of(target: &'a [u8]) -> Self {
        let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
        let path = target.get(..end).unwrap_or_default();
        let mut segments = Vec::with_capacity(8);
        if memchr::memchr3(b'%', b';', b'\\', path).is_none() {
            path.split(|&byte| byte == b'/').for_each(|segment| add(&mut segments, Cow::Borrowed(segment)));
        } else {
            let decoded = decoded(path);
            for segment in decoded.split(|&byte| byte == b'/' || byte == b'\\') {
                let bare = segment.split(|&byte| byte == b';').next().unwrap_or_default();
                add(&mut segments, Cow::Owned(bare.to_vec()));
            }
        }
        Self(segments)
    }

    /// What follows the last dot of the last segment.
    pub fn extension(&self) -> Option<&[u8]> {
        let last = self.0.last()?;
        let dot = memchr::memrchr(b'.', last)?;
        last.get(dot + 1..)
    }
}

fn add<'a>(segments: &mut Vec<Cow<'a, [u8]>>, segment: Cow<'a, [u8]>) {
    match &*segment {
        b"" | b"." => {}
        b".." => {
            segments.pop();
        }
        _ if segments.len() < MAX_SEGMENTS => segments.push(segment),
        _ => {}
    }
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let value = (byte == b'%').then(|| digit(0).zip(digit(1))).flatten();
        let value = value.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        out.push(value.unwrap_or(byte));
        rest = if value.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_parts_and_for_segments() {
        for (pattern, target, matches) in [
            ("/api/**", "/api", true),
            ("/api/**", "/api/", true),
            ("/api/**", "/api/a/b?c", true),
            ("/api/**", "/apis", false),
            ("/api/**/charts/**", "/api/charts", true),
            ("/api/**/charts/**", "/api/v1/x/charts/7", true),
            ("/api/**/charts/**", "/api/v1/chart", false),
            ("/**/login*", "/login", true),
            ("/**/login*", "/a/b/login.php", true),
            ("/**/login*", "/a/login/b", false),
            ("/**", "/", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/b/c", false),
            ("/a*b*c", "/axxbxbxc", true),
            ("/a*b*c", "/axxbxbx", false),
            ("/login", "/%6cogin", true),
            ("/login", "/LOGIN", true),
            ("/login", "//login", true),
            ("/login", "/x/../login", true),
            ("/login", "/./login;a=b", true),
            ("/login", "/x%2f..%2flogin", true),
            ("/login", "/login%", false),
            ("/", "/", true),
            ("/", "*", false),
        ] {
            let path = Path::of(target.as_bytes());
            assert_eq!(Pattern::parse(pattern).unwrap().matches(&path), matches, "{pattern} {target}");
        }
        assert_eq!(Pattern::parse("api"), None);
        assert_eq!(Path::of(b"/a/app.3f.JS?x=.y").extension(), Some(&b"JS"[..]));
        assert_eq!(Path::of(b"/a.b/c").extension(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_target_makes_it_panic_or_slow(pattern in "(/[ab*]{0,4}){0,6}", target in "[/ab%.;\\\\?2fF]{0,200}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                let _either = pattern.matches(&Path::of(target.as_bytes()));
            }
        }
    }
}
