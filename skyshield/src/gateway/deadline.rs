//! A deadline that costs nothing while it is kept.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::clock;

/// One timer for all deadlines of a connection.
///
/// Setting a timer takes a lock that all connections share. Most deadlines are met, so the timer is
/// left where it is when a deadline moves to later: it wakes the task once too early, and is set
/// again only then.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// What `future` comes to, or nothing if that takes until after `at`.
    pub(super) async fn within<F: Future>(&mut self, at: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let at = tokio::time::Instant::from_std(at);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            while timer.as_mut().poll(cx).is_ready() {
                if clock::now() >= at.into_std() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(at);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_timer_left_behind_by_an_earlier_deadline_ends_nothing_early() {
        let mut deadline = Deadline::default();
        let start = clock::now();
        let short = deadline.within(start + Duration::from_millis(20), tokio::task::yield_now()).await;
        assert_eq!(short, Some(()));
        let late = start + Duration::from_millis(80);
        assert_eq!(deadline.within(late, std::future::pending::<()>()).await, None);
        assert!(clock::now() >= late);
        let soon = clock::now() + Duration::from_millis(10);
        assert_eq!(deadline.within(soon, std::future::pending::<()>()).await, None);
    }
}
