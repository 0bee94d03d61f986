//! The configuration in force, as it is shown: published by whoever takes it up, read by whoever is asked.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

/// The configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// Every key with its value, without secrets.
    pub shown: Arc<Value>,
    /// What tells it from every other that was in force. It changes with a secret as well, and with every start.
    pub revision: Arc<str>,
}

impl Default for InForce {
    fn default() -> Self {
        Self { shown: Arc::new(Value::Object(serde_json::Map::new())), revision: "none".into() }
    }
}

/// Where it is published. Clones publish in the same place.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<watch::Sender<InForce>>);

impl Shown {
    /// Publishes what is in force from here on.
    pub fn set(&self, in_force: InForce) {
        self.0.send_replace(in_force);
    }

    /// What is in force.
    pub fn get(&self) -> InForce {
        self.0.borrow().clone()
    }
}
