//! Reasons and comments, each kept once: a feed's million bans share one.

use std::collections::HashMap;
use std::sync::Arc;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId(u32);

impl TextId {
    /// The empty text.
    pub(super) const NONE: Self = Self(0);
}

/// The texts in use, and by how many.
#[derive(Debug, Default)]
pub(super) struct Texts {
    ids: HashMap<Arc<str>, u32>,
    /// The text with number `n` is at `n - 1`.
    kept: Vec<(Arc<str>, u32)>,
    free: Vec<u32>,
}

impl Texts {
    /// Keeps `text` for one more.
    pub(super) fn keep(&mut self, text: &str) -> TextId {
        if text.is_empty() {
            return TextId::NONE;
        }
        if let Some(&id) = self.ids.get(text) {
            if let Some((_, users)) = self.kept.get_mut(at(id)) {
                *users = users.saturating_add(1);
            }
            return TextId(id);
        }
        let kept: Arc<str> = text.into();
        let id = if let Some(id) = self.free.pop() {
            self.kept[at(id)] = (Arc::clone(&kept), 1);
            id
        } else {
            self.kept.push((Arc::clone(&kept), 1));
            u32::try_from(self.kept.len()).unwrap_or(u32::MAX)
        };
        self.ids.insert(kept, id);
        TextId(id)
    }

    /// Lets one of its users go; a text that nobody uses is forgotten.
    pub(super) fn release(&mut self, id: TextId) {
        let Some((text, users)) = id.0.checked_sub(1).and_then(|at| self.kept.get_mut(at as usize)) else {
            return;
        };
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.ids.remove(&**text);
            *text = Arc::default();
            self.free.push(id.0);
        }
    }

    pub(super) fn get(&self, id: TextId) -> &str {
        id.0.checked_sub(1).and_then(|at| self.kept.get(at as usize)).map_or("", |(text, _)| text)
    }
}

fn at(id: u32) -> usize {
    id.saturating_sub(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_for_as_long_as_somebody_uses_it() {
        let mut texts = Texts::default();
        let (one, same, other) = (texts.keep("feed"), texts.keep("feed"), texts.keep("operator"));
        assert!(one == same && one != other && texts.keep("") == TextId::NONE);
        texts.release(one);
        assert_eq!(texts.get(same), "feed");
        texts.release(same);
        assert_eq!((texts.get(other), texts.ids.len()), ("operator", 1));
        let next = texts.keep("next");
        assert_eq!((texts.get(next), texts.kept.len()), ("next", 2));
    }
}
