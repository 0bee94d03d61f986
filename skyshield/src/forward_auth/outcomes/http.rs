//! Lines in the bodies of POST requests, for proxies and programs that tell over HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Teller;
use super::lines::Lines;
use crate::forward_auth::listen::{Accept, Bound};

/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 64;
/// A body, in bytes at the most.
const BODY: usize = 4 * 1024 * 1024;
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// After a failed accept the next waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Takes lines on `bound` until `stop`.
pub(super) async fn serve(bound: Bound, teller: Teller, stop: CancellationToken) -> io::Result<()> {
    match bound {
        Bound::Tcp(listener) => {
            accept_by(tokio::net::TcpListener::from_std(listener)?, teller, stop).await;
        }
        Bound::Unix(listener, left) => {
            accept_by(tokio::net::UnixListener::from_std(listener)?, teller, stop).await;
            drop(left);
        }
    }
    Ok(())
}

async fn accept_by(listener: impl Accept, teller: Teller, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        match stop.run_until_cancelled(next).await {
            None => break,
            // A place that is not loopback is refused with the configuration.
            Some(Ok(((stream, _), place))) => {
                let teller = teller.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, &teller));
                    let mut server = http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
                    // What a teller breaks off is his own loss.
                    let _broken = server.serve_connection(TokioIo::new(stream), service).await;
                    drop(place);
                });
            }
            Some(Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    connections.shutdown().await;
}

async fn answer(request: Request<Incoming>, teller: &Teller) -> Result<Response<Full<Bytes>>, Infallible> {
    let said = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        Ok(response)
    };
    if request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "POST lines of an access log here\n");
    }
    let body = Limited::new(request.into_body(), BODY).collect();
    match tokio::time::timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => {
            let mut lines = Lines::default();
            let take = |line: &[u8]| teller.take(line);
            lines.feed(&body.to_bytes(), &teller.metrics.dropped, take);
            // The last line may do without its end.
            lines.feed(b"\n", &teller.metrics.dropped, take);
            said(StatusCode::NO_CONTENT, "")
        }
        Ok(Err(_)) => said(StatusCode::PAYLOAD_TOO_LARGE, "that is more than 4 MiB at once\n"),
        Err(_late) => said(StatusCode::REQUEST_TIMEOUT, "the lines did not come in time\n"),
    }
}
