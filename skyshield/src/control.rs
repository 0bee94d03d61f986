//! The one task that owns the engine and carries out its effects; its handle.

use tokio::sync::mpsc;

use crate::engine::incident::Incident;

/// Orders and reports that may wait for the control task; beyond it, reports are dropped and counted.
pub const QUEUE: usize = 4096;

/// What reaches the control task.
#[derive(Debug)]
pub enum Order {
    /// A request was refused or flagged.
    Incident(Box<Incident>),
}

/// The handle to the control task.
#[derive(Clone, Debug)]
pub struct Control {
    orders: mpsc::Sender<Order>,
}

impl Control {
    /// A handle, and the queue its task reads.
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        (Self { orders }, queue)
    }

    /// Reports an incident. Never waits: where the queue is full the report is dropped and counted;
    /// the request it came from is refused all the same.
    pub fn report(&self, incident: Incident) {
        if self.orders.try_send(Order::Incident(Box::new(incident))).is_err() {
            tracing::warn!("the control queue is full: an incident was not recorded");
        }
    }
}
