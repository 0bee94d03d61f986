//! Segments in, verdicts out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use skyshield_common::Address;
use skyshield_common::tap::{FIN, Segment, WHOLE};

use super::flow::{Flow, Said};
use super::flows::{Flows, Key};
use super::fragments::Fragments;
use super::metrics::{Heard, Metrics, Turn};
use super::stream::Room;
use super::{Config, Copies, Reads};
use crate::engine::incident::{Client, Door};
use crate::inspect::Request;
use crate::verdict::{Judge, Verdict};

/// Segments of one connection that are kept before their turn.
const AHEAD: usize = 256;
/// What is worth telling the kernel that it need not be copied, in bytes.
const WORTH_TELLING: u64 = 32 << 10;
/// How far ahead the kernel is told: it counts as TCP does, and half of that is behind.
const FARTHEST: u64 = 1 << 30;

/// Everything that the tap keeps.
pub struct Tap<S: Reads> {
    config: Config,
    reads: S,
    judge: Arc<ArcSwap<Judge>>,
    metrics: Metrics,
    flows: Flows<Flow<S::Requests>>,
    fragments: Fragments,
    held: usize,
    /// Tapped ports on which TLS was heard.
    tls_ports: Vec<u16>,
}

impl<S: Reads> Tap<S> {
    /// One that has heard nothing yet, and asks whatever judge is in force.
    pub fn new(config: Config, reads: S, judge: Arc<ArcSwap<Judge>>, metrics: Metrics) -> Self {
        Self {
            flows: Flows::new(config.flows as usize),
            config,
            reads,
            judge,
            metrics,
            fragments: Fragments::default(),
            held: 0,
            tls_ports: Vec::new(),
        }
    }

    /// Bytes that it keeps.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Connections that it follows.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Tapped ports on which TLS was heard, of which it understands nothing.
    pub fn tls_ports(&self) -> &[u16] {
        &self.tls_ports
    }

    /// Takes a record that came in at `at`.
    pub fn take(&mut self, segment: &Segment, held: &[u8], at: Instant, copies: &mut impl Copies) {
        if segment.part == WHOLE {
            return self.whole(segment, held, at, copies);
        }
        let whole = self.fragments.take(segment, held, at);
        self.metrics.given_up(std::mem::take(&mut self.fragments.given_up));
        if let Some((segment, carried)) = whole {
            self.whole(&segment, &carried, at, copies);
        }
    }

    fn whole(&mut self, segment: &Segment, held: &[u8], at: Instant, copies: &mut impl Copies) {
        let (key, peer) = (Key::of(segment), address(segment.source()));
        if !self.flows.contains(&key) && self.flows.is_full() {
            self.let_go(Turn::Evicted);
        }
        let Some(flow) = self.flows.touch(key, || Flow::new(segment.origin, at)) else { return };
        self.held -= flow.held();
        if !flow.began_with(segment.origin) {
            close(flow, &self.metrics, Turn::Closed);
            *flow = Flow::new(segment.origin, at);
        }
        flow.heard_at = at;
        let was_foreign = flow.is_foreign();
        let room = Room { bytes: self.config.reorder_bytes, segments: AHEAD };
        let said = Said {
            seq: segment.seq.wrapping_add(segment.offset),
            bytes: held,
            received: segment.received,
            is_last: segment.flags & FIN != 0 && segment.offset + segment.bytes >= segment.length,
            urgent: if segment.offset == 0 { segment.urgent } else { 0 },
        };
        let judge = self.judge.load();
        let metrics = &self.metrics;
        let mut show = |client: Client, request: &Request<'_>| judged(&judge, client, request, at, metrics);
        flow.take(said, peer, room, (&self.reads, metrics), &mut show);
        flow.untold += held.len();
        if flow.untold >= self.config.flow_bytes as usize / 4 {
            flow.untold = 0;
            copies.taken(segment);
        }
        let (next, unwanted) = flow.unwanted();
        if unwanted > WORTH_TELLING && flow.unwanted_until.is_none() {
            let unwanted = unwanted.min(FARTHEST);
            copies.none_before(segment, next.wrapping_add(u32::try_from(unwanted).unwrap_or(u32::MAX)));
            flow.unwanted_until = Some(flow.next() + unwanted);
        }
        if !was_foreign && flow.is_foreign() && held.starts_with(&[0x16, 0x03]) {
            hear_tls(&mut self.tls_ports, segment.destination_port);
        }
        if flow.is_over() {
            close(flow, &self.metrics, Turn::Closed);
            self.flows.remove(&key);
        } else {
            self.held += flow.held();
        }
        while self.held > self.config.held_bytes && self.let_go(Turn::Evicted) {}
    }

    /// Lets go of what has been silent for too long. To be called now and then.
    pub fn tidy(&mut self, now: Instant) {
        let idle = Duration::from_secs(self.config.idle_secs);
        while let Some((_, flow)) = self.flows.oldest()
            && now.saturating_duration_since(flow.heard_at) > idle
        {
            self.let_go(Turn::Idle);
        }
        self.metrics.flows.set(i64::try_from(self.flows.len()).unwrap_or(i64::MAX));
        self.metrics.held_bytes.set(i64::try_from(self.held).unwrap_or(i64::MAX));
    }

    /// Lets go of the connection that was silent longest; whether there was one.
    fn let_go(&mut self, turn: Turn) -> bool {
        let Some(flow) = self.flows.take_oldest() else { return false };
        self.held -= flow.held();
        close(&flow, &self.metrics, turn);
        true
    }
}

fn close<R: super::Requests>(flow: &Flow<R>, metrics: &Metrics, turn: Turn) {
    if flow.is_amid() {
        metrics.heard(Heard::Lost);
    }
    metrics.turn(turn);
}

/// Says once of each port what the tap cannot do there.
fn hear_tls(ports: &mut Vec<u16>, port: u16) {
    if !ports.contains(&port) {
        ports.push(port);
        tracing::warn!(
            port,
            "TLS on a tapped port: nothing of it is understood. Take the port out of `tap.ports`, and let the \
             program that ends TLS ask by forward-auth, or put the gateway there"
        );
    }
}

fn judged(judge: &Judge, client: Client, request: &Request<'_>, at: Instant, metrics: &Metrics) {
    if judge.is_over_quota(client, request, at) {
        metrics.over_quota.inc();
    }
    let verdict = match judge.judge(client, Door::Tap, request, at) {
        Verdict::Pass(permit) if permit.is_flagged() => "flagged",
        Verdict::Pass(_) | Verdict::Limit(_) => "passed",
        Verdict::Refuse(refusal) if refusal.is_known() => "known",
        Verdict::Refuse(_) => "banned",
    };
    metrics.verdicts.with_label_values(&[verdict]).inc();
}

/// An address in canonical form.
fn address(address: Address) -> IpAddr {
    match address.v4() {
        Some(v4) => Ipv4Addr::from_bits(v4).into(),
        None => Ipv6Addr::from(address.octets()).into(),
    }
}

#[cfg(test)]
mod tests;
