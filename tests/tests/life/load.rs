//! Honest clients that keep their connections, ask one thing after the other, and count what fails.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::http::{connect_from, exchange, field, get};

const PATIENCE: Duration = Duration::from_secs(10);

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// `clients` of them, each from an address of its own.
    pub(crate) fn start(to: SocketAddr, clients: u8) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..clients).map(|number| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || browse(Ipv4Addr::new(127, 9, 0, number + 1), to, &stop, &answered))
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    /// Requests that were answered with 200 so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it; how many requests were answered, or what failed.
    pub(crate) fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.join().unwrap_or_else(|_| vec!["a client panicked".to_owned()]));
        }
        let answered = self.answered.load(Ordering::Relaxed);
        ensure!(
            failures.is_empty(),
            "{} failed beside {answered}: {:?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
        Ok(answered)
    }
}

fn browse(from: Ipv4Addr, to: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let request = get("shop", "/products?page=7");
    let mut failures = Vec::new();
    let mut kept: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        let stream = match kept.take() {
            Some(stream) => Ok(stream),
            None => connect_from(from.into(), to, PATIENCE),
        };
        let asked = stream.and_then(|mut stream| Ok((exchange(&mut stream, &request)?, stream)));
        match asked {
            Ok((answer, stream)) if answer.status == 200 => {
                answered.fetch_add(1, Ordering::Relaxed);
                let closes = field(&answer.head, "connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close"));
                kept = (!closes).then_some(stream);
            }
            Ok((answer, _)) => failures.push(answer.head),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}
