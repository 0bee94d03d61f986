//! The daemon's own program without a kernel side: its commands, its exit codes, its errors.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/configuration.rs"]
mod configuration;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/reload.rs"]
mod reload;
#[path = "cli/starts.rs"]
mod starts;
