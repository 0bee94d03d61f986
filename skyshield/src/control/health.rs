//! How the control task is doing, told to whoever asks.

use std::time::Duration;

use serde::Serialize;

use super::Task;

/// How the control task and what it drives are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Decisions in force.
    pub decisions_in_force: usize,
    /// Decisions there is room for.
    pub capacity: usize,
    /// Entries of the kernel's that differed from the decisions at the last look.
    pub drift: usize,
    /// Those of them that could not be mended.
    pub unmended: usize,
    /// Bans that hold at the doors only, because the kernel has no room for them.
    pub waiting_for_room: usize,
    /// Those whom no decision may cut off, and of whom the kernel does not know: its allow list has no room for them.
    pub left_out: usize,
    /// How much longer the kernel side lets everything pass; zero where it is not bypassed.
    pub bypass_left: Duration,
    /// Whether the kernel took the last heartbeat.
    pub dataplane_answers: bool,
    /// Whether the disk took the last write.
    pub store_writes: bool,
    /// Why detectors do not ban the addresses of proxies, where one is in front.
    pub not_armed: Option<String>,
}

impl Health {
    /// Whether the kernel enforces what is decided, as of the last look, and spares whom it is to spare.
    pub fn is_in_step(&self) -> bool {
        self.drift == 0 && self.waiting_for_room == 0 && self.left_out == 0
    }
}

impl Task {
    pub(super) fn health(&self) -> Health {
        Health {
            decisions_in_force: self.ledger.len(),
            capacity: self.capacity.bans,
            drift: self.drift,
            unmended: self.unmended,
            waiting_for_room: self.waiting_for_room,
            left_out: self.left_out,
            bypass_left: self.enforcer.bypass_left(),
            dataplane_answers: self.dataplane_answers,
            store_writes: self.store_writes,
            not_armed: self.not_armed().map(|found| found.to_string()),
        }
    }
}
