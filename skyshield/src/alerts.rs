//! Alerts: rules over what is measured, and telling people of it so that they keep listening.

mod config;
mod defaults;
mod desk;
mod happened;
mod judge;
mod mail;
mod message;
mod metrics;
mod sender;
mod task;
mod webhook;

pub use config::{
    Config, MailConfig, Quiet, RuleConfig, Severity, Tls, WebhookConfig, WebhookFormat, problem,
};
pub use message::Notice;
pub use sender::{Attempt, Receivers, ReceiversError};
pub use task::{Alerts, Task, Tested};
