//! The harness of the tests that need a kernel, namespaces or real peers.

pub mod bpffs;
pub mod netns;
pub mod object;
pub mod packet;
pub mod requirement;
