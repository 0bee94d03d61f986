//! A gateway on a free port, an upstream that does as it is told, and raw connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skyshield::control::{self, Control};
use skyshield::engine::risk;
use skyshield::engine::view::View;
use skyshield::gateway::{Certificates, Config, Error, Gateway, Limits, Metrics};
use skyshield::inspect;
use skyshield::limits::{self, Limiter};
use skyshield::verdict::{Judge, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, shorter than anyone's patience.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) address: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) stop: CancellationToken,
    pub(crate) registry: prometheus::Registry,
    pub(crate) serving: JoinHandle<Result<(), Error>>,
}

/// A judge that finds what the default inspector finds.
fn judge() -> Judge {
    let Ok(metrics) = control::Metrics::new(&prometheus::Registry::new()) else { unreachable!() };
    let (control, queue) = Control::channel(metrics);
    // Reports are taken for as long as the test runs.
    std::mem::forget(queue);
    let settings = Settings::new(&inspect::Limits::default(), &risk::Config::default(), &[]);
    Judge::new(settings, Arc::new(View::default()), control)
}

impl Bench {
    pub(crate) fn start(upstream: SocketAddr) -> Result<Self> {
        Self::with(upstream, |_| {})
    }

    pub(crate) fn limited(upstream: SocketAddr, change: impl FnOnce(&mut Limits)) -> Result<Self> {
        Self::with(upstream, |config| change(&mut config.limits))
    }

    pub(crate) fn with(upstream: SocketAddr, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::counting(upstream, change, None)
    }

    /// One that counts requests against the quotas of `limits`.
    pub(crate) fn counting(
        upstream: SocketAddr,
        change: impl FnOnce(&mut Config),
        limits: Option<&limits::Config>,
    ) -> Result<Self> {
        let mut config = Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            upstream: upstream.to_string().parse()?,
            ..Config::default()
        };
        change(&mut config);
        ensure!(config.problem().is_none(), "{:?}", config.problem());
        let gateway = Gateway::bind(&config)?;
        let address = *gateway.addresses().first().context("no address")?;
        let tls = gateway.addresses().get(config.listen.len()).copied();
        let certificates = gateway.certificates();
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry)?;
        let stop = CancellationToken::new();
        let mut judge = judge();
        if let Some(limits) = limits {
            judge = judge.limited_by(Limiter::new(limits, &registry, skyshield::clock::now())?);
        }
        let serving = tokio::spawn(gateway.serve(judge, metrics, stop.clone()));
        Ok(Self { address, tls, certificates, stop, registry, serving })
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        Client::to(self.address).await
    }

    /// Sends `request` on a connection of its own and reads one response.
    pub(crate) async fn ask(&self, request: &str) -> Result<Answer> {
        let mut client = self.client().await?;
        client.send(request.as_bytes()).await?;
        client.answer(request.starts_with("HEAD")).await
    }

    /// The value of a counter: the sum over its labels, or of those that contain `label`.
    pub(crate) fn counted(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().filter(|family| family.name() == name);
        family
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label))
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// One response: its head, and its body without framing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Client {
    pub(crate) async fn to(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("sending")
    }

    /// Reads once more; false at the end.
    pub(crate) async fn more(&mut self) -> Result<bool> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read));
        Ok(read.await.context("nothing came")?? > 0)
    }

    /// What came so far and was not taken.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.read
    }

    /// Reads up to `marker` and takes what came, the marker included.
    pub(crate) async fn until(&mut self, marker: &str) -> Result<String> {
        loop {
            let at = self.read.windows(marker.len()).position(|window| window == marker.as_bytes());
            if let Some(at) = at {
                let taken: Vec<u8> = self.read.drain(..at + marker.len()).collect();
                return Ok(String::from_utf8_lossy(&taken).into_owned());
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            ensure!(self.more().await?, "the end came before {marker:?}, after {so_far:?}");
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.read.len() < count {
            ensure!(self.more().await?, "the end came after {} of {count} bytes", self.read.len());
        }
        Ok(self.read.drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Result<String> {
        while self.more().await? {}
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned())
    }

    pub(crate) async fn answer(&mut self, is_head: bool) -> Result<Answer> {
        let head = self.until("\r\n\r\n").await?;
        let status: u16 = head.get(9..12).context("no status")?.parse()?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if is_head || matches!(status, 100..200 | 204 | 304) {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = self.exactly(length.parse()?).await?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.until("\r\n").await?;
                let size = usize::from_str_radix(line.trim(), 16)?;
                answer.body.extend(self.exactly(size).await?);
                ensure!(self.exactly(2).await? == b"\r\n");
                if size == 0 {
                    break;
                }
            }
        } else {
            answer.body = self.rest().await?.into_bytes();
        }
        Ok(answer)
    }

    /// Reads one request: its head, and its body as it is on the wire but for a final chunk's check.
    pub(crate) async fn request(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        while self.read.is_empty() {
            if !self.more().await? {
                return Ok(None);
            }
        }
        let head = self.until("\r\n\r\n").await?;
        let of = |name: &str| {
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
        };
        let body = if let Some(length) = of("content-length: ") {
            self.exactly(length.parse()?).await?
        } else if of("transfer-encoding: chunked").is_some() {
            self.until("0\r\n\r\n").await?.into_bytes()
        } else {
            Vec::new()
        };
        Ok(Some((head, body)))
    }
}

/// An upstream: what it does on each connection, and how many it had.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn doing<F, D>(each: F) -> Result<Self>
    where
        F: Fn(Client) -> D + Send + Sync + 'static,
        D: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(each(Client { stream, read: Vec::new() }));
            }
        });
        Ok(Self { address, connections, requests: Arc::default() })
    }

    /// Answers every request with the request itself, head and body.
    pub(crate) async fn echo() -> Result<Self> {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let upstream = Self::doing(move |mut client| {
            let counter = Arc::clone(&counter);
            async move {
                while let Some((head, body)) = client.request().await? {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let length = head.len() + body.len();
                    let mut answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
                    if !head.starts_with("HEAD") {
                        answer.extend_from_slice(head.as_bytes());
                        answer.extend_from_slice(&body);
                    }
                    client.send(&answer).await?;
                }
                Ok(())
            }
        })
        .await?;
        Ok(Self { requests, ..upstream })
    }

    /// Answers every request with `answer`.
    pub(crate) async fn saying(answer: &'static str) -> Result<Self> {
        Self::doing(move |mut client| async move {
            while client.request().await?.is_some() {
                client.send(answer.as_bytes()).await?;
            }
            Ok(())
        })
        .await
    }

    /// Answers one request with `answer` and ends the connection.
    pub(crate) async fn saying_once(answer: &'static str) -> Result<Self> {
        Self::doing(move |mut client| async move {
            client.request().await?;
            client.send(answer.as_bytes()).await
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
