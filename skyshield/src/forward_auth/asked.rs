//! One question: parsed, judged, and what is to be answered.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::answer::{Audience, Failure};
use super::config::{BodyOverLimit, Door};
use super::live::{Shared, Told};
use super::metrics::DoorMetrics;
use super::original::{Original, Unasked};
use super::wire::{self, Framing, Head, MAX_FIELDS, Unreadable};
use crate::engine::incident::Door as Doors;
use crate::inspect::OverLimit;
use crate::verdict::{Refusal, Verdict};

/// What is known of a question's body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'b> {
    /// None of it has been read.
    Unread,
    /// All of it that will be.
    Read {
        bytes: &'b [u8],
        /// Whether there is more.
        is_cut: bool,
    },
}

/// What is to be done about a question.
#[derive(Debug)]
pub(super) enum Step {
    /// Its body is to be read first, framed so.
    Read { framing: Framing, expects_continue: bool },
    /// It is to be answered, to whom it may concern.
    Answer(Audience, Box<Answer>),
}

/// What is to be answered.
#[derive(Debug)]
pub(super) enum Answer {
    Judged(Verdict),
    Banned(Refusal),
    /// Its head or its body is, by the status that says so.
    TooLarge(u16),
    Unasked(Unasked),
    Failed(Failure),
}

/// Where a question is asked, and by what it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'a> {
    pub(super) shared: &'a Shared,
    pub(super) door: &'a Door,
    pub(super) metrics: &'a DoorMetrics,
    pub(super) told: Option<&'a Told>,
    /// When the question's head had come.
    pub(super) asked_at: Instant,
}

impl Desk<'_> {
    /// What is to be done about the question with this head and body, at `now`. A fault of ours costs this
    /// question its verdict and nobody else anything.
    pub(super) fn step(self, head: &[u8], body: Body<'_>, now: Instant) -> Result<Step, Unreadable> {
        let mut room = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let head = match wire::parse(head, &mut room) {
            Ok(head) => head,
            Err(Unreadable::HeadTooLarge) => return Ok(self.answer_unread(Answer::TooLarge(431))),
            Err(unreadable) => return Err(unreadable),
        };
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(&head, body, now)));
        Ok(judged.unwrap_or_else(|_told_by_the_hook| {
            self.answer_read(&head, Answer::Failed(Failure::Internal), body)
        }))
    }

    /// The answer to a question that is not read to its end.
    pub(super) fn answer_unread(self, answer: Answer) -> Step {
        let proxy = self.door.proxy;
        let audience = Audience { proxy, bodiless: false, keep_alive: false, json: false };
        Step::Answer(audience, Box::new(answer))
    }

    fn judge(self, head: &Head<'_, '_>, body: Body<'_>, now: Instant) -> Step {
        let original = match Original::of(self.door, head) {
            Ok(original) => original,
            Err(unasked) => return self.answer_read(head, Answer::Unasked(unasked), body),
        };
        let judge = &self.shared.judge;
        let (bytes, is_cut) = match (body, head.framing) {
            (Body::Read { bytes, is_cut }, _) => (bytes, is_cut),
            (Body::Unread, Framing::None) => (&b""[..], false),
            (Body::Unread, framing) => {
                if let Some(refusal) = judge.ban_of(original.client.address, Doors::ForwardAuth, now) {
                    self.note_refused(original.client.address, now);
                    return self.answer_read(head, Answer::Banned(refusal), body);
                }
                let most = self.shared.inspected_body_bytes as u64;
                if matches!(framing, Framing::Length(length) if length > most) && self.refuses_more(&original)
                {
                    self.note_refused(original.client.address, now);
                    return self.answer_read(head, Answer::TooLarge(413), body);
                }
                return Step::Read { framing, expects_continue: head.expects_continue };
            }
        };
        if (is_cut || original.is_partial) && self.refuses_more(&original) {
            self.note_refused(original.client.address, now);
            return self.answer_read(head, Answer::TooLarge(413), body);
        }
        if now.saturating_duration_since(self.asked_at) >= self.shared.deadline {
            return self.answer_read(head, Answer::Failed(Failure::Deadline), body);
        }
        if is_cut || original.is_partial {
            self.metrics.partial.inc();
        } else if !bytes.is_empty() {
            self.metrics.whole.inc();
        } else if original.may_hide_a_body(bytes) && !self.door.proxy.sends_bodies() {
            self.metrics.unseen.inc();
        }
        let request = original.request(bytes);
        let verdict = judge.judge(original.client, Doors::ForwardAuth, &request, now);
        if !matches!(verdict, Verdict::Pass(_)) {
            self.note_refused(original.client.address, now);
        }
        let audience = self.audience(head, body, prefers_json(&original));
        Step::Answer(audience, Box::new(Answer::Judged(verdict)))
    }

    /// Whether a body of which not all is inspected is refused: unless all doors, or its route, pass it.
    fn refuses_more(self, original: &Original<'_>) -> bool {
        let request = original.request(b"");
        let by_route = self.shared.judge.over_limit(request.host(), request.method, request.target);
        self.shared.body_over_limit == BodyOverLimit::Refuse && by_route == OverLimit::Refuse
    }

    /// What we refuse is evidence against nobody when it shows in the proxy's log.
    fn note_refused(self, address: IpAddr, now: Instant) {
        if let Some(told) = self.told {
            told.refused.note(address, now);
        }
    }

    fn answer_read(self, head: &Head<'_, '_>, answer: Answer, body: Body<'_>) -> Step {
        Step::Answer(self.audience(head, body, false), Box::new(answer))
    }

    /// The connection stays where the question was read to its end.
    fn audience(self, head: &Head<'_, '_>, body: Body<'_>, json: bool) -> Audience {
        let is_read =
            matches!((body, head.framing), (Body::Read { is_cut: false, .. }, _) | (_, Framing::None));
        let keep_alive = head.keep_alive && is_read;
        Audience { proxy: self.door.proxy, bodiless: head.bodiless, keep_alive, json }
    }
}

fn prefers_json(original: &Original<'_>) -> bool {
    let accepts = original.headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"accept"));
    accepts.is_some_and(|accepts| {
        let has = |what: &[u8]| memchr::memmem::find(accepts.value, what).is_some();
        has(b"json") && !has(b"text/html")
    })
}
