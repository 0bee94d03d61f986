//! Real listeners: who needs a token where, and what is done with a place that is taken.

use std::error::Error as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::api::tests::parts;

fn config(dir: &Path) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config { listen: any, metrics_listen: any, socket: dir.join("run/admin.sock"), ..Config::default() }
}

/// The first line that a stranger to all tokens is answered.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    answer_as(stream, "localhost", path).await
}

/// The same, of who asks `host`.
async fn answer_as(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn only_the_socket_spares_root_the_token() {
    let (api, dir, _stop) = parts();
    let config = config(dir.path());
    let listeners = Listeners::bind(&config).await.unwrap();
    let mode = fs::metadata(&config.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (admin, scrapers) = (listeners.admin.local_addr().unwrap(), listeners.metrics.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listeners.serve(api, stop.clone()));

    let path = "/api/v1/decisions";
    let socket = UnixStream::connect(&config.socket).await.unwrap();
    assert_eq!(answer(socket, path).await, "HTTP/1.1 200 OK");
    let admin_at = admin;
    let admin = TcpStream::connect(admin).await.unwrap();
    assert_eq!(answer(admin, path).await, "HTTP/1.1 401 Unauthorized");
    let page = TcpStream::connect(scrapers).await.unwrap();
    assert_eq!(answer(page, "/metrics").await, "HTTP/1.1 200 OK");
    let page = TcpStream::connect(scrapers).await.unwrap();
    assert_eq!(answer(page, path).await, "HTTP/1.1 404 Not Found");
    // A page of somebody else's, under a name that leads here by now.
    for (listener, path) in [(scrapers, "/metrics"), (admin_at, path)] {
        let stranger = TcpStream::connect(listener).await.unwrap();
        assert_eq!(answer_as(stranger, "evil.example", path).await, "HTTP/1.1 421 Misdirected Request");
    }

    stop.cancel();
    serving.await.unwrap();
    assert!(!config.socket.exists(), "a socket that nobody answers is left behind");
}

#[tokio::test]
async fn a_dead_daemons_socket_gives_way_and_a_living_ones_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    fs::create_dir(dir.path().join("run")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
    assert!(config.socket.exists(), "what a kill leaves behind");
    let living = Listeners::bind(&config).await.unwrap();
    UnixStream::connect(&config.socket).await.unwrap();

    let error = Listeners::bind(&config).await.unwrap_err();
    assert!(error.to_string().ends_with("admin.sock (api.socket)"), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "another skyshield answers there");
    UnixStream::connect(&config.socket).await.unwrap();
    drop(living);
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(&config.socket, "somebody's").unwrap();
    let error = Listeners::bind(&config).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read(&config.socket).unwrap(), b"somebody's");
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for (key, config) in [
        ("api.listen", Config { listen: address, ..config(dir.path()) }),
        ("api.metrics_listen", Config { metrics_listen: address, ..config(dir.path()) }),
    ] {
        let error = Listeners::bind(&config).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the admin API cannot listen on {address} ({key})"));
        assert!(!config.socket.exists(), "{key}: nothing is begun");
    }
}
