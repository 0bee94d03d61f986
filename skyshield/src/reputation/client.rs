//! The one client: follows nobody, goes to no private address, reads no more than it was told to, and does
//! not wait for long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::engine::feeds::special_purpose;
use crate::engine::reputation::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// The client. Clones share connections. One that is nobody's reaches nobody.
#[derive(Clone, Debug, Default)]
pub struct Client(Option<reqwest::Client>);

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Fetched {
    /// The value of the header `name`, as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// After how long one may ask again, where it was said in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header(&RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs)
    }

    /// How many questions are left, where it was said.
    pub fn remaining(&self) -> Option<u64> {
        self.header(&HeaderName::from_static("x-ratelimit-remaining"))?.trim().parse().ok()
    }
}

impl Client {
    /// A client. Fails where the host has no certificates to believe.
    pub fn new() -> Result<Self, reqwest::Error> {
        reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Public))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("skyshield/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(|client| Self(Some(client)))
    }

    /// Makes the request for which `build` is given the client, and reads at the most `most` bytes of the
    /// answer, all `within` this long. An error says how it failed and nothing of what was sent or came.
    pub async fn fetch(
        &self,
        build: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder,
        most: usize,
        within: Duration,
    ) -> Result<Fetched, Failure> {
        let client = self.0.as_ref().ok_or(Failure::Network)?;
        let request = build(client).build().map_err(|_| Failure::Garbage)?;
        let fetching = async {
            let mut response = client.execute(request).await.map_err(|error| failure(&error))?;
            if response.content_length().is_some_and(|length| length > most as u64) {
                return Err(Failure::TooLarge);
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
                if body.len() + chunk.len() > most {
                    return Err(Failure::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Fetched { status: response.status().as_u16(), headers: response.headers().clone(), body })
        };
        tokio::time::timeout(within, fetching).await.unwrap_or(Err(Failure::Slow))
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Slow
    } else if error.is_decode() || error.is_body() {
        Failure::Garbage
    } else {
        Failure::Network
    }
}

/// Resolves names to public addresses alone. What it answers is what is connected to.
#[derive(Debug)]
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| !special_purpose().contains(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::other("it has no public address").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
