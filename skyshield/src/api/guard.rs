//! Whom a request is for, and where a page stands that sends it: names that the daemon does not go by are
//! turned away, so that no foreign page in an operator's browser reaches it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Config;
use super::problem::Problem;

/// The names the daemon goes by, and the origins whose pages may ask it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    hosts: Arc<[String]>,
    origins: Arc<[String]>,
}

impl Names {
    pub(super) fn new(config: &Config) -> Self {
        Self::of(config, config.listen.ip())
    }

    /// Those of the listener for scrapers; no page may ask there but its own.
    pub(super) fn of_metrics(config: &Config) -> Self {
        Self { origins: Arc::default(), ..Self::of(config, config.metrics_listen.ip()) }
    }

    fn of(config: &Config, own: IpAddr) -> Self {
        let own = (!own.is_unspecified()).then(|| bare(&authority(own)).to_owned());
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let hosts =
            loopback.into_iter().chain(own).chain(config.hosts.iter().map(|host| host.to_ascii_lowercase()));
        let origins = config.origins.iter().map(|origin| origin.to_ascii_lowercase());
        Self { hosts: hosts.collect(), origins: origins.collect() }
    }

    fn knows(&self, host: &str) -> bool {
        let host = bare(host).to_ascii_lowercase();
        self.hosts.contains(&host)
    }

    /// Whether a page at `origin` may ask: one of the daemon's own, or one that is named.
    fn trusts(&self, origin: &str, host: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        own.is_some_and(|own| own == host.to_ascii_lowercase()) || self.origins.contains(&origin)
    }
}

fn authority(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    }
}

/// Lets requests through that are for the daemon, and that no foreign page has sent.
pub(super) async fn check(State(names): State<Names>, request: Request, next: Next) -> Response {
    match problem(&names, request.method(), request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn problem(names: &Names, method: &Method, headers: &HeaderMap) -> Option<Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST).filter(|host| names.knows(host)) else {
        let what = "this daemon does not go by the name in Host; api.hosts lists those it goes by";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, what));
    };
    match headers.get(header::ORIGIN) {
        Some(origin) if !origin.to_str().is_ok_and(|origin| names.trusts(origin, host)) => {
            let what = "pages of this Origin may not ask; api.origins lists those that may";
            Some(Problem::new(StatusCode::FORBIDDEN, what))
        }
        // A browser says where a page stands that changes something; who sends a session's cookie is a browser.
        None if !matches!(*method, Method::GET | Method::HEAD)
            && headers.contains_key(header::COOKIE)
            && !headers.contains_key(header::AUTHORIZATION) =>
        {
            Some(Problem::new(StatusCode::FORBIDDEN, "a session changes something only with an Origin"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &Method, headers: &[(&str, &str)]) -> Option<u16> {
        let listen = "192.0.2.1:9464".parse().unwrap();
        let (hosts, origins) = (vec!["Guard.example".to_owned()], vec!["https://board.example".to_owned()]);
        let names = Names::new(&Config { listen, hosts, origins, ..Config::default() });
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        problem(&names, method, &headers).map(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn only_names_that_the_daemon_goes_by_are_answered() {
        for host in
            ["localhost:9464", "127.0.0.1", "[::1]:9464", "192.0.2.1:1", "guard.example", "GUARD.example:443"]
        {
            assert_eq!(told(&Method::GET, &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "", "guard.example.", "127.0.0.1:x"] {
            assert_eq!(told(&Method::GET, &[("host", host)]), Some(421), "{host}");
        }
        assert_eq!(told(&Method::GET, &[]), Some(421));
    }

    #[test]
    fn only_own_and_named_pages_may_ask() {
        let host = ("host", "guard.example");
        for origin in ["https://guard.example", "http://guard.example", "https://board.example"] {
            assert_eq!(told(&Method::POST, &[host, ("origin", origin)]), None, "{origin}");
        }
        for origin in ["https://evil.example", "null", "https://guard.example:8443", "guard.example"] {
            assert_eq!(told(&Method::GET, &[host, ("origin", origin)]), Some(403), "{origin}");
        }
    }

    #[test]
    fn a_session_changes_nothing_without_an_origin() {
        let (host, cookie) = (("host", "localhost"), ("cookie", "sky_session=x"));
        assert_eq!(told(&Method::POST, &[host, cookie]), Some(403));
        assert_eq!(told(&Method::GET, &[host, cookie]), None);
        assert_eq!(told(&Method::POST, &[host, cookie, ("authorization", "Bearer x")]), None);
        assert_eq!(told(&Method::POST, &[host]), None);
    }
}
