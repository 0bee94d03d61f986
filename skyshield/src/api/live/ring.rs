//! What has come of late, each under a number, within a bound.

use std::collections::VecDeque;

/// What has come, the newest last, each under a number.
pub(super) struct Ring<T> {
    pub(super) items: VecDeque<T>,
    /// The number of the newest; before the first it is where numbering began.
    pub(super) newest: u64,
    /// What has a number up to this is not there any more, or never was.
    gone: u64,
}

/// Whoever asks is too far behind: what comes after number `oldest` is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct TooFarBehind {
    pub(in super::super) oldest: u64,
}

impl<T> Ring<T> {
    pub(super) fn from(began: u64) -> Self {
        Self { items: VecDeque::new(), newest: began, gone: began }
    }

    /// Adds what goes up to number `last`; what is more than `room` numbers old goes.
    pub(super) fn push(&mut self, item: T, last: u64, room: usize)
    where
        T: Numbered,
    {
        self.newest = last;
        self.items.push_back(item);
        while let Some(first) = self.items.front()
            && first.last() + (room as u64) <= last
        {
            self.gone = first.last();
            self.items.pop_front();
        }
    }

    /// Nothing of what has come is told again; who has seen the newest has missed nothing.
    pub(super) fn forget_all(&mut self) {
        self.gone = self.newest;
        self.items.clear();
    }

    /// Something was lost: nobody who has not seen the newest can go on from where they were.
    pub(super) fn forget(&mut self) {
        self.newest += 1;
        self.gone = self.newest;
        self.items.clear();
    }

    pub(super) fn reaches(&self, seen: u64) -> Result<(), TooFarBehind> {
        // Neither what is gone, nor what another daemon counted.
        if (self.gone..=self.newest).contains(&seen) {
            Ok(())
        } else {
            Err(TooFarBehind { oldest: self.gone })
        }
    }
}

/// What has a number.
pub(super) trait Numbered {
    fn last(&self) -> u64;
}
