//! The way to Sentry: a thread of its own behind a bounded queue, which heeds what the server says of its
//! limits and counts what does not arrive.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use sentry::protocol::EnvelopeItem;
use sentry::transports::{RateLimiter, RateLimitingCategory};
use sentry::{Envelope, Transport, TransportFactory, TransportOptions};

use super::metrics::{Counts, Outcome};

/// Reports that may wait; one more is lost.
const QUEUED: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the way, once the address is known.
pub(super) struct Factory(Counts);

impl Factory {
    pub(super) fn new(counts: Counts) -> Self {
        Self(counts)
    }
}

impl TransportFactory for Factory {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let address = Address {
            url: options.dsn.envelope_api_url().to_string(),
            auth: options.dsn.to_auth(Some(&options.user_agent)).to_string(),
        };
        Arc::new(Queue::open(address, self.0.clone()))
    }
}

struct Address {
    url: String,
    auth: String,
}

enum Task {
    Send(Box<Envelope>),
    Flush(SyncSender<()>),
}

struct Queue {
    tasks: SyncSender<Task>,
    counts: Counts,
}

impl Queue {
    fn open(address: Address, counts: Counts) -> Self {
        let (tasks, queue) = sync_channel(QUEUED);
        let counted = counts.clone();
        let started = thread::Builder::new()
            .name("sentry".to_owned())
            .spawn(move || send_all(&queue, &address, &counted));
        // Without the thread the queue has no other end, and everything counts as failed.
        drop(started);
        Self { tasks, counts }
    }
}

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        match self.tasks.try_send(Task::Send(Box::new(envelope))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.counts.count(Outcome::QueueFull),
            Err(TrySendError::Disconnected(_)) => self.counts.count(Outcome::Failed),
        }
    }

    fn flush(&self, timeout: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.tasks.try_send(Task::Flush(done)).is_ok() && is_done.recv_timeout(timeout).is_ok()
    }
}

fn send_all(queue: &Receiver<Task>, address: &Address, counts: &Counts) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let (Ok(runtime), Ok(client)) = (runtime, client) else { return };
    let mut limits = RateLimiter::new();
    while let Ok(task) = queue.recv() {
        match task {
            Task::Send(envelope) => {
                let outcome = if is_limited(&limits, &envelope) {
                    Outcome::RateLimited
                } else {
                    runtime.block_on(send(&client, address, &envelope, &mut limits))
                };
                counts.count(outcome);
            }
            Task::Flush(done) => {
                let _gone = done.send(());
            }
        }
    }
}

fn is_limited(limits: &RateLimiter, envelope: &Envelope) -> bool {
    envelope.items().any(|item| {
        let category = if matches!(item, EnvelopeItem::Event(_)) {
            RateLimitingCategory::Error
        } else if matches!(item, EnvelopeItem::Transaction(_)) {
            RateLimitingCategory::Transaction
        } else {
            RateLimitingCategory::Any
        };
        limits.is_disabled(category).is_some()
    })
}

async fn send(
    client: &reqwest::Client,
    address: &Address,
    envelope: &Envelope,
    limits: &mut RateLimiter,
) -> Outcome {
    let mut body = Vec::new();
    if envelope.to_writer(&mut body).is_err() {
        return Outcome::Unreadable;
    }
    let request = client.post(&address.url).header("X-Sentry-Auth", &address.auth).body(body);
    // What stands in the answer's body is nothing to us, and is not read.
    let Ok(response) = request.send().await else { return Outcome::Failed };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let is_429 = response.status().as_u16() == 429;
    match (header("x-sentry-rate-limits"), header("retry-after")) {
        (Some(groups), _) => limits.update_from_sentry_header(groups),
        (None, Some(seconds)) if is_429 => limits.update_from_retry_after(seconds),
        (None, _) if is_429 => limits.update_from_429(),
        _ => {}
    }
    match response.status() {
        status if status.is_success() => Outcome::Sent,
        _ if is_429 => Outcome::RateLimited,
        _ => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use sentry::protocol::Event;

    use super::*;

    fn event() -> Envelope {
        Event::default().into()
    }

    /// A queue to a server that gives each of `answers` to one report.
    fn queue(answers: &'static [&'static str]) -> (Queue, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/7/envelope/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let serve = |answer: &&str| {
                let mut stream = listener.accept().unwrap().0;
                let mut request = vec![0; 16384];
                let mut len = 0;
                loop {
                    len += stream.read(&mut request[len..]).unwrap();
                    let text = String::from_utf8_lossy(&request[..len]).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let wanted = head.to_ascii_lowercase();
                    let wanted = wanted.split("content-length: ").nth(1).unwrap();
                    if body.len() >= wanted.lines().next().unwrap().parse().unwrap() {
                        stream.write_all(answer.as_bytes()).unwrap();
                        return text;
                    }
                }
            };
            answers.iter().map(serve).collect()
        });
        let address = Address { url, auth: "Sentry sentry_key=abc".to_owned() };
        (Queue::open(address, Counts::default()), server)
    }

    #[test]
    fn a_report_arrives_as_an_envelope() {
        let (queue, server) = queue(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"]);
        queue.send_envelope(event());
        assert!(queue.flush(TIMEOUT));
        let got = server.join().unwrap().remove(0);
        assert!(got.starts_with("POST /api/7/envelope/ HTTP/1.1\r\n"), "{got}");
        assert!(got.contains("x-sentry-auth: Sentry sentry_key=abc"), "{got}");
        assert!(got.contains(r#"{"type":"event","length":"#), "{got}");
        assert_eq!(queue.counts.of(Outcome::Sent), 1);
    }

    #[test]
    fn what_a_server_limits_is_not_sent_and_counted() {
        let (queue, server) = queue(&[
            "HTTP/1.1 200 OK\r\nX-Sentry-Rate-Limits: 60:error:key\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ]);
        for _ in 0..3 {
            queue.send_envelope(event());
        }
        assert!(queue.flush(TIMEOUT));
        assert_eq!(server.join().unwrap().len(), 1);
        assert_eq!((queue.counts.of(Outcome::Sent), queue.counts.of(Outcome::RateLimited)), (1, 2));
    }

    #[test]
    fn garbage_and_nobody_are_told_apart() {
        let (queue, server) =
            queue(&["HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "\0\0\0"]);
        queue.send_envelope(event());
        queue.send_envelope(event());
        assert!(queue.flush(TIMEOUT));
        server.join().unwrap();
        queue.send_envelope(event());
        assert!(queue.flush(TIMEOUT));
        assert_eq!((queue.counts.of(Outcome::Refused), queue.counts.of(Outcome::Failed)), (1, 2));
    }
}
