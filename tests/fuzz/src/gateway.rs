//! What of the gateway reads foreign bytes.
#![expect(dead_code, reason = "what the rest of the gateway asks of these is not asked here")]

#[path = "../../../skyshield/src/gateway/chunked.rs"]
mod chunked;
#[path = "../../../skyshield/src/gateway/client_ip.rs"]
mod client_ip;
#[path = "../../../skyshield/src/gateway/field.rs"]
mod field;
#[path = "../../../skyshield/src/gateway/http2/frames.rs"]
mod frames;
#[path = "../../../skyshield/src/gateway/framing.rs"]
mod framing;
pub mod fuzzing;
#[path = "../../../skyshield/src/gateway/guard.rs"]
mod guard;
#[path = "../../../skyshield/src/gateway/head.rs"]
mod head;
#[path = "../../../skyshield/src/gateway/opening.rs"]
mod opening;
#[path = "../../../skyshield/src/gateway/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "../../../skyshield/src/gateway/server_timing.rs"]
mod server_timing;
