//! What comes of each order.

use std::sync::Arc;
use std::time::Duration;

use super::enact::Answer;
use super::{Order, OrderError, Target, Task, Wanted};
use crate::clock;
use crate::engine::decision::Origin;

impl Task {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Incident(incident, done) => {
                self.judge(&incident);
                // What it led to is in force; the rest is for the record.
                let _gone = done.send(());
                self.record(&incident);
                // Nobody may listen.
                let _heard = self.told.send(std::sync::Arc::from(incident));
            }
            Order::Ban { new, forwards, reply } => {
                if let Err(doubted) = self.arms(&new, forwards) {
                    let _gone = reply.send(Err(doubted));
                    return;
                }
                let origin = new.origin;
                let replaced = self.ledger.get(new.source);
                match self.ban(new) {
                    Ok(banned) if origin == Origin::Operator => {
                        self.replaced.insert(banned.decision().id, replaced);
                        self.enact_durably(Answer::Banned(banned, reply));
                    }
                    Ok(banned) => {
                        self.enact(None);
                        let _gone = reply.send(Ok(banned));
                    }
                    Err(rejected) => {
                        let _gone = reply.send(Err(rejected.into()));
                    }
                }
            }
            Order::Lift(target, reply) => {
                let source = match target {
                    Target::Source(source) => Some(source),
                    Target::Decision(id) => self.ledger.source_of(id),
                };
                match source.and_then(|source| self.ledger.lift(source, clock::now())) {
                    Some(decision) => self.enact_durably(Answer::Lifted(decision, reply)),
                    None => {
                        let _gone = reply.send(Err(OrderError::NotInForce));
                    }
                }
            }
            Order::List(Wanted { after, source, limit }, reply) => {
                let listed = match source {
                    Some(source) => self.ledger.get(source).into_iter().collect(),
                    None => self.ledger.decisions_after(after).take(limit).collect(),
                };
                let _gone = reply.send(listed);
            }
            Order::Health(reply) => {
                let _gone = reply.send(self.health());
            }
            Order::NearMiss(route, assessment) => self.near_miss(&route, &assessment),
            Order::Suspect(address, score) => self.suspect(address, score),
            Order::Bill(address, reply) => {
                let standing = self.view.standing(address, clock::now());
                let _gone = reply.send((self.risk.bill(&[], &standing), self.risk.thresholds()));
            }
            Order::Except(exception, reply) => self.except(*exception, reply),
            Order::Unexcept(id, reply) => self.unexcept(&id, reply),
            Order::NeverBan(never_ban) => self.host_protects(never_ban),
            Order::Rule(new, reply) => self.rule(new, reply),
            Order::Overrule(target, reply) => self.overrule(&target, reply),
            Order::Rulings(after, limit, reply) => {
                let _gone = reply.send(self.docket.after(after).take(limit).cloned().collect());
            }
            Order::Import(batch, reply) => self.import(batch, reply),
            Order::Allow(new, reply) => self.allow(new, reply),
            Order::Disallow(target, reply) => self.disallow(&target, reply),
            Order::Allows(reply) => {
                let _gone = reply.send(self.allows.iter().cloned().collect());
            }
            Order::Protected(reply) => {
                let _gone = reply.send(Arc::clone(self.ledger.never_ban()));
            }
            Order::Forget(source, reply) => {
                self.view.forget(source);
                self.escalation.forget(source);
                let _gone = reply.send(());
            }
            Order::Resolved(name, addresses) => self.resolved(&name, addresses),
            Order::Kernel(order) => self.obey_kernel(order),
            Order::Sentences(sentences) => {
                let (risk, escalation) = *sentences;
                self.widen_for = Duration::from_secs(escalation.widen_secs);
                self.escalation.go_by(escalation, Duration::from_secs(risk.ban_secs));
                self.shaper.go_by(risk.shaping());
                self.risk = risk;
            }
        }
    }
}
