//! The gateway over real sockets on 127.0.0.1, between raw clients and upstreams that misbehave on
//! purpose. Needs nothing but a loopback interface.

mod gateway {
    mod bench;
    mod clients;
    mod http2;
    mod http2_abuse;
    mod limits;
    mod quotas;
    mod refusals;
    mod streaming;
    mod tls;
    mod upstreams;
    mod websocket;
}
