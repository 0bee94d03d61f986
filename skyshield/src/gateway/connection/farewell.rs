//! Answers of our own, after which a connection ends so that nothing of it lingers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Connection, Next};
use crate::clock;
use crate::gateway::forward::Body;
use crate::gateway::guard::Cause;
use crate::gateway::respond::{Audience, Page, mint};
use crate::gateway::security_headers::REPORT_PATH;
use crate::gateway::sites::Site;
use crate::gateway::stream::ClientStream;
use crate::gateway::upstream::Failure;
use crate::gateway::write::write_all;
use crate::inspect::{CHARSET, CONTENT_CODING};
use crate::verdict::{Limited, Refusal, RefusalReason};

/// How long a refused client may take to receive why.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the kernel goes on sending to who does not answer any more.
const GIVEN_UP: Duration = Duration::from_secs(3);
/// Bytes of a refused request that are still read: closing on unread bytes would take back the answer.
const GOODBYE_BYTES: usize = 256 * 1024;

impl Connection<'_> {
    pub(super) async fn refuse(&mut self, mut refusal: Refusal) -> Next {
        refusal.settled().await;
        let metrics = &self.shared.metrics;
        let mut status = 403;
        let detail = match refusal.reason {
            RefusalReason::Risk => {
                metrics.refused_risk.inc();
                "it looks like an attack"
            }
            RefusalReason::Rule => {
                metrics.refused_rule.inc();
                "a rule of this site does not let it in"
            }
            RefusalReason::Banned(_) => {
                metrics.refused_banned.inc();
                "its sender is banned"
            }
            RefusalReason::NoUser => {
                metrics.refused_unwanted.inc();
                "its sender has to log in first"
            }
            RefusalReason::Unwanted => {
                metrics.refused_unwanted.inc();
                "its sender is not wanted here"
            }
            RefusalReason::Unread(CONTENT_CODING) => {
                metrics.refused_unread.inc();
                status = 415;
                "its content coding cannot be taken off"
            }
            RefusalReason::Unread(CHARSET) => {
                metrics.refused_unread.inc();
                status = 415;
                "its characters cannot be read"
            }
            RefusalReason::Unread(_) => {
                metrics.refused_unread.inc();
                status = 413;
                "it is too large to be inspected whole"
            }
        };
        let risk = self.shared.risk_to_client.then(|| refusal.score.value());
        self.answer(
            Page { status, id: refusal.incident, detail, risk, limited: None, proxy_error: None },
            false,
        )
        .await
    }

    /// Says when to come again. Where the request was read whole, the connection stays.
    pub(super) async fn limit(&mut self, limited: &Limited, body: Body) -> Next {
        self.shared.metrics.limited.inc();
        let keep_alive = self.head.keep_alive && body.rest.is_done() && !self.live.is_stopped();
        let detail = "there were too many like it; come again later";
        let page = Page {
            status: 429,
            id: limited.incident,
            detail,
            risk: None,
            limited: Some(limited),
            proxy_error: None,
        };
        let next = self.answer(page, keep_alive).await;
        self.input.consume(self.head.len + body.held);
        match next {
            Next::Goodbye if keep_alive => Next::Request,
            Next::Request | Next::Close | Next::Goodbye => next,
        }
    }

    /// Whether the request is a browser's report of what a policy would have forbidden.
    ///
    /// Such a report quotes what was forbidden, so it is not inspected: it goes nowhere but into a
    /// counter.
    pub(super) fn is_report(&self, site: &Site) -> bool {
        let bytes = self.input.filled();
        site.security.collects
            && self.head.method.at(bytes) == b"POST"
            && self.head.target.at(bytes) == REPORT_PATH.as_bytes()
    }

    pub(super) async fn take_report(&mut self, body: Body) -> Next {
        self.shared.metrics.policy_reports.inc();
        let keep_alive = self.head.keep_alive && body.rest.is_done() && !self.live.is_stopped();
        let farewell: &[u8] = if keep_alive { b"" } else { b"Connection: close\r\n" };
        let stall = self.shared.limits.write_stall().min(GIVEN_UP);
        let pieces: [&[u8]; 3] = [b"HTTP/1.1 204 No Content\r\n", farewell, b"\r\n"];
        let written = write_all(&mut self.stream, pieces, &mut self.deadline, stall).await;
        self.input.consume(self.head.len + body.held);
        match written {
            Ok(()) if keep_alive => Next::Request,
            Ok(()) => Next::Goodbye,
            Err(_) => Next::Close,
        }
    }

    pub(super) async fn turn_away(&mut self, cause: Cause) -> Next {
        self.shared.metrics.invalid(cause);
        let id = mint();
        tracing::debug!(incident = %id, peer = %self.peer.address, cause = cause.name(), "a request was turned away");
        let detail = cause.to_string();
        self.answer(
            Page {
                status: cause.status(),
                id,
                detail: &detail,
                risk: None,
                limited: None,
                proxy_error: None,
            },
            false,
        )
        .await
    }

    pub(super) async fn upstream_failed(&mut self, failure: Failure) -> Next {
        self.shared.metrics.upstream_failed(failure);
        let id = mint();
        tracing::warn!(incident = %id, kind = failure.name(), "no answer from the upstream");
        let detail = failure.to_string();
        let proxy_error = Some(failure.proxy_error());
        let page =
            Page { status: failure.status(), id, detail: &detail, risk: None, limited: None, proxy_error };
        self.answer(page, false).await
    }

    async fn answer(&mut self, page: Page<'_>, keep_alive: bool) -> Next {
        let head = &self.head;
        let audience =
            Audience { json: head.prefers_json, bodiless: head.bodiless, keep_alive, minor: head.minor };
        self.reply.clear();
        page.write(audience, &mut self.reply);
        self.took(page.status, clock::now().saturating_duration_since(self.read_at));
        self.shared.metrics.bytes_out.inc_by(self.reply.len() as u64);
        // By the time a refusal is on its way the kernel may drop all that comes from this client, its
        // acknowledgements too.
        if !keep_alive {
            self.stream.give_up_after(GIVEN_UP);
        }
        let stall = self.shared.limits.write_stall().min(GIVEN_UP);
        let pieces: [&[u8]; 3] = [&self.reply, b"", b""];
        match write_all(&mut self.stream, pieces, &mut self.deadline, stall).await {
            Ok(()) => Next::Goodbye,
            Err(_) => Next::Close,
        }
    }

    /// Closes a connection between two requests: TLS is told that this is the end and no cut.
    pub(super) async fn take_leave(&mut self) {
        if let ClientStream::Tls(stream) = &mut self.stream {
            let until = clock::now() + GOODBYE;
            // Who does not take even that learns it from the end of the connection.
            let _untold = self.deadline.within(until, stream.shutdown()).await;
        }
    }

    /// Ends the sending side and waits a little for the client to have read it. A stream needs no
    /// waiting: its connection goes on.
    pub(super) async fn say_goodbye(&mut self) {
        let until = clock::now() + GOODBYE;
        if !matches!(self.deadline.within(until, self.stream.shutdown()).await, Some(Ok(()))) {
            return;
        }
        if matches!(self.stream, ClientStream::Http2(_)) {
            return;
        }
        let mut scratch = [0; 1024];
        let mut left = GOODBYE_BYTES;
        while left > 0 {
            match self.deadline.within(until, self.stream.read(&mut scratch)).await {
                Some(Ok(count @ 1..)) => left = left.saturating_sub(count),
                Some(Ok(0) | Err(_)) | None => return,
            }
        }
    }
}
