//! Where the decision with a number is: numbers are given out in a row, so they are kept in pages.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::slab::Place;
use crate::engine::decision::DecisionId;

/// Numbers of one page.
const PAGE: u64 = 16;
const IN_PAGE: usize = 16;
/// No decision has this number.
const NOWHERE: Place = Place::MAX;

/// By number, in order.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<u64, [Place; IN_PAGE]>);

impl Numbers {
    pub(super) fn insert(&mut self, id: DecisionId, place: Place) {
        let page = self.0.entry(id.0 / PAGE).or_insert([NOWHERE; IN_PAGE]);
        page[within(id.0)] = place;
    }

    pub(super) fn remove(&mut self, id: DecisionId) {
        let number = id.0 / PAGE;
        if let Some(page) = self.0.get_mut(&number) {
            page[within(id.0)] = NOWHERE;
            if page.iter().all(|&place| place == NOWHERE) {
                self.0.remove(&number);
            }
        }
    }

    pub(super) fn get(&self, id: DecisionId) -> Option<Place> {
        let page = self.0.get(&(id.0 / PAGE))?;
        Some(page[within(id.0)]).filter(|&place| place != NOWHERE)
    }

    /// Those with a number above `after`, in order.
    pub(super) fn after(&self, after: Option<DecisionId>) -> impl Iterator<Item = Place> + '_ {
        let from = after.map_or(Some(0), |after| after.0.checked_add(1));
        let pages = from.map(|from| self.0.range((Bound::Included(from / PAGE), Bound::Unbounded)));
        pages.into_iter().flatten().flat_map(move |(&number, page)| {
            let skipped = from.filter(|from| from / PAGE == number).map_or(0, within);
            page.iter().copied().skip(skipped).filter(|&place| place != NOWHERE)
        })
    }
}

/// Where in its page a number is.
fn within(number: u64) -> usize {
    usize::try_from(number % PAGE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_and_listed_in_their_order() {
        let mut numbers = Numbers::default();
        for (place, id) in [3_u64, 40, 15, 16, 1000].into_iter().enumerate() {
            numbers.insert(DecisionId(id), u32::try_from(place).unwrap());
        }
        let after =
            |numbers: &Numbers, id: Option<u64>| numbers.after(id.map(DecisionId)).collect::<Vec<_>>();
        assert_eq!(after(&numbers, None), [0, 2, 3, 1, 4]);
        assert_eq!(after(&numbers, Some(15)), [3, 1, 4]);
        assert!(after(&numbers, Some(u64::MAX)).is_empty());
        numbers.remove(DecisionId(16));
        assert_eq!((numbers.get(DecisionId(16)), numbers.get(DecisionId(15))), (None, Some(2)));
        assert_eq!(after(&numbers, Some(3)), [2, 1, 4]);
    }
}
