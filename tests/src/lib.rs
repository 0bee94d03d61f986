//! The harness of the tests that need a kernel, namespaces or real peers.

pub mod bench_admin;
pub mod bench_control;
pub mod bench_kernel;
pub mod bench_knowledge;
pub mod bench_monitor;
pub mod bench_tap;
pub mod bpffs;
pub mod certificates;
pub mod daemon;
pub mod demo;
pub mod framing;
pub mod http;
pub mod loopback;
pub mod mmdb;
pub mod netns;
pub mod nginx;
pub mod object;
pub mod packet;
pub mod place;
pub mod raw_tcp;
pub mod requirement;
pub mod shop;
pub mod slow;
pub mod standin;
pub mod traffic;
pub mod world;
