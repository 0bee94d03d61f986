use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::clock;
use crate::control::{self, Control};
use crate::engine::decision::{Decision, DecisionId, Layer, Origin};
use crate::engine::risk;
use crate::engine::view::View;
use crate::inspect::Limits;
use crate::verdict::Settings;

fn judge(view: Arc<View>) -> Judge {
    let metrics = control::Metrics::new(&prometheus::Registry::new()).unwrap();
    let (control, _queue) = Control::channel(metrics);
    let settings = Settings::new(&Limits::default(), &risk::Config::default(), &[]);
    Judge::new(settings, view, control)
}

fn on_any_port() -> Config {
    Config { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..Config::default() }
}

#[tokio::test]
async fn a_banned_source_is_refused_before_its_body_is_read() {
    let view = Arc::new(View::default());
    let gateway = Gateway::bind(&on_any_port()).unwrap();
    let address = gateway.addresses()[0];
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(gateway.serve(judge(Arc::clone(&view)), metrics.clone(), stop.clone()));
    view.install(&Decision {
        id: DecisionId(7),
        source: "127.0.0.0/8".parse().unwrap(),
        origin: Origin::Operator,
        layer: Layer::Request,
        reason: "a test".into(),
        until: None,
        comment: None,
        incident: None,
        made_at: clock::wall(),
        enforced_after: None,
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    let start = clock::now();
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    let mut page = Vec::new();
    let _reset_or_end = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut page)).await;
    let page = String::from_utf8_lossy(&page);
    assert!(page.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{page}");
    assert!(
        page.contains("\r\nCache-Control: no-store\r\n") && page.contains("\r\nConnection: close\r\n"),
        "{page}"
    );
    assert!(page.contains("\r\nX-SkyShield-Incident: "), "{page}");
    assert!(clock::now() - start < Duration::from_secs(3), "an unread body holds nothing up");
    assert_eq!((metrics.refused_banned.get(), metrics.passed.get()), (1, 0));
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[test]
fn an_address_in_use_is_named_with_its_cause() {
    let first = Gateway::bind(&on_any_port()).unwrap();
    let config = Config { listen: first.addresses(), ..Config::default() };
    let Err(StartError::Bind(error)) = Gateway::bind(&config) else { panic!("bound twice") };
    assert_eq!(error.address, first.addresses()[0]);
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn v4_and_v6_of_one_port_do_not_get_in_each_others_way() {
    let Ok(free) = TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr()) else { return };
    let listen = vec![free, SocketAddr::from(([0; 8], free.port()))];
    assert!(Gateway::bind(&Config { listen, ..Config::default() }).is_ok());
}
