//! The gateway's own answers: small, complete in themselves, with an id to ask about.

use std::io::Write;

use crate::clock;
use crate::engine::incident::IncidentId;
use crate::limits::quota_lines;
use crate::verdict::Limited;

/// Our pages load nothing, are framed by nobody and send nothing anywhere.
const PAGE_HEADERS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Frame-Options: DENY\r\nX-XSS-Protection: 1; mode=block\r\nX-Content-Type-Options: nosniff\r\n";

/// The type of a problem that is a used-up quota.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) status: u16,
    pub(super) id: IncidentId,
    /// What happened, for people; nothing of the request is in it.
    pub(super) detail: &'a str,
    /// The score to tell, where clients are told.
    pub(super) risk: Option<f64>,
    /// The quota that is used up.
    pub(super) limited: Option<&'a Limited>,
    /// What failed behind us, as `Proxy-Status` (RFC 9209) names it.
    pub(super) proxy_error: Option<&'static str>,
}

/// To whom it goes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience {
    pub(super) json: bool,
    pub(super) bodiless: bool,
    pub(super) keep_alive: bool,
    pub(super) minor: u8,
}

impl Page<'_> {
    /// Appends the whole response to `out`.
    pub(super) fn write(&self, audience: Audience, out: &mut Vec<u8>) {
        let Self { status, id, detail, .. } = *self;
        let title = phrase(status);
        let (media, body) = if audience.json {
            let (kind, policies) = match self.limited {
                None => ("about:blank", String::new()),
                Some(limited) => {
                    (QUOTA_EXCEEDED, format!(",\"violated-policies\":[\"{}\"]", limited.quota.class()))
                }
            };
            let body = format!(
                "{{\"type\":\"{kind}\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\
                 \"incident\":\"{id}\"{policies}}}\n"
            );
            ("application/problem+json", body)
        } else {
            let body = format!(
                "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {title}</title>\n\
                 <h1>{title}</h1>\n<p>The request was not served: {detail}.</p>\n\
                 <p>If you think this is a mistake, tell the site's operator this number: <strong>{id}</strong></p>\n\
                 </html>\n"
            );
            ("text/html; charset=utf-8", body)
        };
        let connection = match (audience.keep_alive, audience.minor) {
            (false, _) => "Connection: close\r\n",
            (true, 0) => "Connection: keep-alive\r\n",
            (true, _) => "",
        };
        let allow = match status {
            405 => "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
            415 => "Accept-Encoding: gzip, deflate, br, zstd\r\n",
            _ => "",
        };
        let retry = if status == 503 { "Retry-After: 1\r\n" } else { "" };
        let risk = self.risk.map(|risk| format!("X-SkyShield-Risk: {risk:.3}\r\n")).unwrap_or_default();
        let proxy = self.proxy_error.map(|error| format!("Proxy-Status: skyshield; error={error}\r\n"));
        let proxy = proxy.unwrap_or_default();
        let length = body.len();
        let date = jiff::Timestamp::try_from(clock::wall()).unwrap_or_default();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
        // Writing to memory does not fail.
        let _infallible = write!(
            out,
            "HTTP/1.1 {status} {title}\r\nDate: {date}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\
             X-SkyShield-Incident: {id}\r\n{risk}{PAGE_HEADERS}{allow}{retry}{proxy}{connection}"
        );
        if let Some(limited) = self.limited {
            let secs = limited.retry_after.as_nanos().div_ceil(1_000_000_000);
            let _infallible = write!(out, "Retry-After: {secs}\r\n");
            quota_lines(&limited.quota, out);
        }
        out.extend_from_slice(b"\r\n");
        if !audience.bodiless {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

/// An id for an answer that no verdict gave one.
pub(super) fn mint() -> IncidentId {
    let mut random = [0; 16];
    // Without randomness an id is still unique to its millisecond.
    let _unlikely = getrandom::fill(&mut random);
    IncidentId::new(clock::wall(), u128::from_ne_bytes(random))
}

const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
