//! The daemon on another host, with a token: `SKYSHIELD_URL`, `SKYSHIELD_TOKEN`, and `SKYSHIELD_CA` where its certificate is
//! vouched for by nobody that is known. From the environment, because arguments can be read by every user of a host.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, Response};

use super::Failure;
use super::commands::with_causes;

/// A connection is there within this long, or there is none.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Where the daemon is.
pub(super) struct Place {
    url: String,
    token: String,
    client: Client,
}

impl Place {
    /// The one that the environment names.
    pub(super) fn named() -> Result<Option<Self>, Failure> {
        let Ok(url) = std::env::var("SKYSHIELD_URL") else { return Ok(None) };
        let token = std::env::var("SKYSHIELD_TOKEN")
            .map_err(|_| Failure::Usage("SKYSHIELD_URL is set, and SKYSHIELD_TOKEN is not".to_owned()))?;
        let mut builder =
            Client::builder().connect_timeout(CONNECT_WITHIN).redirect(reqwest::redirect::Policy::none());
        if let Ok(path) = std::env::var("SKYSHIELD_CA") {
            let wrong = |what: String| Failure::Usage(format!("SKYSHIELD_CA {path}: {what}"));
            let pem = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Some(Self { url: url.trim_end_matches('/').to_owned(), token, client }))
    }

    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(bool, Bytes), String> {
        let response = self.send(method, path, body).await?;
        let is_success = response.status().is_success();
        Ok((is_success, response.bytes().await.map_err(|error| error.to_string())?))
    }

    /// Writes the answer to standard output as it comes; or what the daemon said against it.
    pub(super) async fn stream(&self, path: &str) -> Result<Option<Bytes>, String> {
        let mut response = self.send(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Ok(Some(response.bytes().await.map_err(|error| error.to_string())?));
        }
        while let Some(piece) = response.chunk().await.map_err(|error| error.to_string())? {
            super::show::raw(&piece);
        }
        Ok(None)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<Response, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        // What lies behind says more: a refused connection, a certificate that nobody vouches for.
        request.send().await.map_err(|error| with_causes(&error))
    }
}
