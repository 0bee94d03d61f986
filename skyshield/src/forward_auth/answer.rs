//! What a proxy is answered, in the shape that it can act on.

use std::io::Write as _;
use std::time::Duration;

use super::original::Unasked;
use super::proxy::Proxy;
use crate::engine::incident::IncidentId;
use crate::engine::risk::Score;
use crate::limits::{Quota, quota_lines};

/// Where our nginx snippet lets a request go on that passed.
const ACCEL: &[u8] = b"X-Accel-Redirect: @skyshield_pass\r\n";

/// To whom an answer goes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience {
    pub(super) proxy: Proxy,
    pub(super) bodiless: bool,
    pub(super) keep_alive: bool,
    pub(super) json: bool,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It would have come too late.
    Deadline,
    /// Too many body bytes are held.
    NoRoom,
    /// We are at fault.
    Internal,
}

impl Failure {
    /// The failure's name in metrics and in `X-SkyShield-Failure`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::NoRoom => "no_room",
            Self::Internal => "internal",
        }
    }
}

/// A refusal, or what comes too early.
#[derive(Clone, Copy, Debug)]
pub(super) struct No<'a> {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    /// What happened, for people; nothing of the request is in it.
    pub(super) detail: &'static str,
    pub(super) incident: IncidentId,
    pub(super) limited: Option<(&'a Quota, Duration)>,
}

impl Audience {
    /// Appends that the request may go on.
    pub(super) fn pass(self, score: Score, quota: Option<&Quota>, awaited: Option<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-SkyShield-Risk: ");
        // Writing to memory does not fail.
        let score = score.value();
        if score > 0.0 {
            let _infallible = write!(out, "{score:.3}\r\n");
        } else {
            out.extend_from_slice(b"0.000\r\n");
        }
        if let Some(id) = awaited {
            let _infallible = write!(out, "X-SkyShield-Request: {id:016x}\r\n");
        }
        if let Some(quota) = quota {
            quota_lines(quota, out);
        }
        self.end_of_pass(out);
    }

    /// Appends that the request is not to be served.
    pub(super) fn refuse(self, no: No<'_>, out: &mut Vec<u8>) {
        let No { status, reason, detail, incident, limited } = no;
        let shown = if self.proxy.takes_any_status() { status } else { 403 };
        let title = phrase(status);
        let (media, body) = if self.json {
            let body = format!(
                "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\
                 \"incident\":\"{incident}\"}}\n"
            );
            ("application/problem+json", body)
        } else {
            let body = format!(
                "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {title}</title>\n\
                 <h1>{title}</h1>\n<p>The request was not served: {detail}.</p>\n\
                 <p>If you think this is a mistake, tell the site's operator this number: <strong>{incident}</strong></p>\n\
                 </html>\n"
            );
            ("text/html; charset=utf-8", body)
        };
        let _infallible = write!(
            out,
            "HTTP/1.1 {shown} {}\r\nContent-Type: {media}\r\nX-SkyShield-Status: {status}\r\n\
             X-SkyShield-Reason: {reason}\r\nX-SkyShield-Incident: {incident}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
            phrase(shown)
        );
        if let Some((quota, retry_after)) = limited {
            let secs = retry_after.as_nanos().div_ceil(1_000_000_000);
            let _infallible = write!(out, "Retry-After: {secs}\r\n");
            quota_lines(quota, out);
        }
        self.body(&body, out);
    }

    /// Appends that there is no verdict, and the request passes all the same.
    pub(super) fn pass_without_verdict(self, failure: Failure, out: &mut Vec<u8>) {
        let name = failure.name();
        let _infallible =
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-SkyShield-Failure: {name}\r\n");
        self.end_of_pass(out);
    }

    /// Appends that there is no verdict.
    pub(super) fn fail(self, failure: Failure, out: &mut Vec<u8>) {
        let name = failure.name();
        let _infallible =
            write!(out, "HTTP/1.1 503 {}\r\nX-SkyShield-Failure: {name}\r\nRetry-After: 1\r\n", phrase(503));
        self.body("there is no verdict on this request\n", out);
    }

    /// Appends that the proxy has not asked as it should.
    pub(super) fn correct(self, unasked: Unasked, out: &mut Vec<u8>) {
        let _infallible =
            write!(out, "HTTP/1.1 500 {}\r\nX-SkyShield-Failure: misconfigured\r\n", phrase(500));
        self.body(&format!("{unasked}\n"), out);
    }

    fn end_of_pass(self, out: &mut Vec<u8>) {
        if self.proxy == Proxy::NginxAccel {
            out.extend_from_slice(ACCEL);
        }
        out.extend_from_slice(if self.keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    }

    fn body(self, body: &str, out: &mut Vec<u8>) {
        let farewell = if self.keep_alive { "" } else { "Connection: close\r\n" };
        let _infallible = write!(out, "Content-Length: {}\r\n{farewell}\r\n", body.len());
        if !self.bodiless {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn audience(proxy: Proxy) -> Audience {
        Audience { proxy, bodiless: false, keep_alive: true, json: false }
    }

    fn refused(audience: Audience, status: u16) -> String {
        let incident = IncidentId::new(SystemTime::UNIX_EPOCH, 1);
        let mut out = Vec::new();
        audience
            .refuse(No { status, reason: "quota", detail: "too many", incident, limited: None }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nginx_is_told_403_and_the_others_what_it_is() {
        for (proxy, begins) in [
            (Proxy::Nginx, "HTTP/1.1 403 Forbidden\r\n"),
            (Proxy::NginxAccel, "HTTP/1.1 429 Too Many Requests\r\n"),
            (Proxy::Traefik, "HTTP/1.1 429 "),
            (Proxy::Envoy, "HTTP/1.1 429 "),
            (Proxy::Caddy, "HTTP/1.1 429 "),
            (Proxy::Haproxy, "HTTP/1.1 429 "),
        ] {
            let said = refused(audience(proxy), 429);
            assert!(said.starts_with(begins) && said.contains("\r\nX-SkyShield-Status: 429\r\n"), "{said}");
            let (head, body) = said.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{said}");
        }
        let bodiless = Audience { bodiless: true, ..audience(Proxy::Envoy) };
        assert!(refused(bodiless, 403).ends_with("\r\n\r\n"));
        let json = Audience { json: true, ..audience(Proxy::Envoy) };
        let said = refused(json, 403);
        let body: serde_json::Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["status"], 403);
    }

    #[test]
    fn a_failure_is_5xx_and_never_a_refusal() {
        for proxy in
            [Proxy::Nginx, Proxy::NginxAccel, Proxy::Traefik, Proxy::Envoy, Proxy::Caddy, Proxy::Haproxy]
        {
            for failure in [Failure::Deadline, Failure::NoRoom, Failure::Internal] {
                let mut out = Vec::new();
                audience(proxy).fail(failure, &mut out);
                assert!(out.starts_with(b"HTTP/1.1 503 "), "{proxy:?} {failure:?}");
            }
            let mut out = Vec::new();
            audience(proxy).correct(Unasked::Missing("x-original-uri"), &mut out);
            let said = String::from_utf8(out).unwrap();
            assert!(said.starts_with("HTTP/1.1 500 ") && said.contains("no `x-original-uri`"), "{said}");
        }
    }

    #[test]
    fn what_passes_through_nginx_whole_is_sent_on() {
        let mut out = Vec::new();
        audience(Proxy::NginxAccel).pass(Score::new(0.25), None, Some(10), &mut out);
        let said = String::from_utf8(out).unwrap();
        assert_eq!(
            said,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-SkyShield-Risk: 0.250\r\n\
             X-SkyShield-Request: 000000000000000a\r\nX-Accel-Redirect: @skyshield_pass\r\n\r\n"
        );
    }
}
