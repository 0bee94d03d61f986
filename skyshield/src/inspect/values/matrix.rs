//! Parameters inside of a path: `/cars;colour=red/wheels;size=17`.

use crate::inspect::form;

/// The parameters of each segment of `path`, undecoded.
pub(super) fn parameters(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    // Most paths have none: one look is all they pay.
    let path = if memchr::memchr(b';', path).is_some() { path } else { &[] };
    path.split(|byte| *byte == b'/')
        .flat_map(|segment| segment.split(|byte| *byte == b';').skip(1))
        .filter(|pair| !pair.is_empty())
        .map(form::split_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_has_its_own() {
        let rows: Vec<_> = parameters(b"/cars;colour=red;new/wheels;size=1;/x").collect();
        assert_eq!(rows, [(&b"colour"[..], &b"red"[..]), (b"new", b""), (b"size", b"1")]);
        assert_eq!(parameters(b"/a/b").count(), 0);
    }
}
