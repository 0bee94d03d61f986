//! The kernel side bypassed: everything passes there, until a time that the kernel itself knows.

use std::time::Duration;

use super::{Control, KernelOrder, OrderError, Task};
use crate::clock;
use crate::dataplane;

/// How often the log tells of it while it lasts.
const TELL_EVERY: Duration = Duration::from_mins(1);

impl Control {
    /// Lets everything pass in the kernel for `ttl`, [`LONGEST_BYPASS`](super::LONGEST_BYPASS) at the most; in force
    /// when this returns. Decisions stay, and doors go by them. Waits for room in the queue: who asks for it, or for its
    /// end, may do so because of a flood.
    pub async fn bypass(&self, ttl: Duration) -> Result<(), OrderError> {
        self.insist(|reply| KernelOrder::Bypass(Some(ttl), reply)).await.map(|_before| ())
    }

    /// Ends that; how much was left of it.
    pub async fn end_bypass(&self) -> Result<Duration, OrderError> {
        self.insist(|reply| KernelOrder::Bypass(None, reply)).await
    }
}

impl Task {
    /// Bypasses the kernel side for `ttl`, or no more; how much was left of an earlier bypass.
    pub(super) fn bypass(&mut self, ttl: Option<Duration>) -> Result<Duration, dataplane::Error> {
        let before = self.enforcer.bypass_left();
        self.enforcer.bypass(ttl)?;
        if ttl.is_some() {
            self.tell_of_bypass();
        } else {
            self.tell_of_its_end();
        }
        Ok(before)
    }

    /// Tells of a bypass while it lasts, and of its end; to be called once a second.
    pub(super) fn watch_bypass(&mut self) -> Result<(), dataplane::Error> {
        let Some(told_at) = self.bypass_told_at else { return Ok(()) };
        if self.enforcer.bypass_left().is_zero() {
            // The kernel has ended it. Until this is said, each packet goes the long way to find that out.
            self.enforcer.bypass(None)?;
            self.tell_of_its_end();
        } else if clock::now().saturating_duration_since(told_at) >= TELL_EVERY {
            self.tell_of_bypass();
        }
        Ok(())
    }

    fn tell_of_bypass(&mut self) {
        let seconds_left = self.enforcer.bypass_left().as_millis().div_ceil(1000);
        tracing::warn!(seconds_left, "the kernel side is bypassed: nothing is dropped there");
        self.bypass_told_at = Some(clock::now());
        self.metrics.bypassed.set(1);
    }

    fn tell_of_its_end(&mut self) {
        if self.bypass_told_at.take().is_some() {
            tracing::warn!("the kernel side is bypassed no more: bans, rules and rates hold again");
        }
        self.metrics.bypassed.set(0);
    }
}
