//! What verdicts go by: one thing, so that a new configuration takes its place between two requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::RefusalReason;
use crate::engine::risk::{self, Bill};
use crate::engine::standing::Standing;
use crate::exceptions::{Circumstances, Set};
use crate::inspect::{self, Finding, Inspection, Inspector, Mode, OverLimit, Request};
use crate::routes::{self, Route, Routes};

/// The rules, the routes and their thresholds.
#[derive(Debug)]
pub struct Settings {
    inspector: Arc<Inspector>,
    inspect: inspect::Limits,
    routes: Routes,
    risk: risk::Config,
}

/// What is thought of a request, before anything comes of it.
#[derive(Debug)]
pub struct Opinion<'a> {
    /// The route that took it.
    pub route: &'a Route,
    /// What its score is made of.
    pub bill: Bill,
    /// Why it is to be refused, if it is; where its route only observes, why it would be.
    pub reason: Option<RefusalReason>,
    /// Whether only rules that observe would have it refused: it passes.
    pub only_observed: bool,
    /// What was found in it.
    pub inspection: Inspection,
}

impl Opinion<'_> {
    /// Whether the request is to be refused, and not only told of.
    pub fn refuses(&self) -> bool {
        self.reason.is_some() && !self.only_observed && self.route.mode == Mode::Refuse
    }
}

impl Settings {
    /// The settings of these sections. Compiles the rules, which takes milliseconds.
    pub fn new(inspect: &inspect::Limits, risk: &risk::Config, routes: &[routes::Config]) -> Self {
        Self {
            inspector: Arc::new(Inspector::new(inspect.clone())),
            inspect: inspect.clone(),
            routes: Routes::new(routes, inspect, risk),
            risk: risk.clone(),
        }
    }

    /// The settings of these sections in the place of these. Rules that stay are not compiled again.
    #[must_use]
    pub fn renewed(&self, inspect: &inspect::Limits, risk: &risk::Config, routes: &[routes::Config]) -> Self {
        if self.inspect != *inspect {
            return Self::new(inspect, risk, routes);
        }
        Self {
            inspector: Arc::clone(&self.inspector),
            inspect: inspect.clone(),
            routes: Routes::new(routes, inspect, risk),
            risk: risk.clone(),
        }
    }

    /// The route that takes `request`.
    pub(super) fn route_of(&self, request: &Request<'_>) -> &Route {
        self.routes.of_request(request)
    }

    /// What happens to more of a body than is inspected.
    pub(super) fn over_limit(&self, host: &[u8], method: &[u8], target: &[u8]) -> OverLimit {
        let route = self.routes.of(host, method, target);
        if route.mode == Mode::Off { OverLimit::PassAndCount } else { route.over_limit }
    }

    /// The opinion on `request` of a source of `standing`.
    pub fn opinion(&self, request: &Request<'_>, standing: Standing) -> Opinion<'_> {
        self.opinion_except(request, standing, |_route, _findings| {})
    }

    /// The same of what `source` sends at `at`, once `exceptions` have taken away what they cover; and how many of
    /// them were needed.
    pub fn opinion_beside(
        &self,
        request: &Request<'_>,
        standing: Standing,
        exceptions: &Set,
        (source, at): (IpAddr, Instant),
    ) -> (Opinion<'_>, usize) {
        let mut needed = 0;
        let opinion = self.opinion_except(request, standing, |route, findings| {
            let (host, target) = (request.host(), request.target);
            let circumstances = Circumstances { route: &route.name, host, target, source };
            needed = exceptions.apply(findings, &circumstances, at);
        });
        (opinion, needed)
    }

    /// The same, once `except` has taken away the findings that do not count on this route.
    fn opinion_except(
        &self,
        request: &Request<'_>,
        standing: Standing,
        except: impl FnOnce(&Route, &mut Vec<Finding>),
    ) -> Opinion<'_> {
        let route = self.routes.of_request(request);
        let mut inspection = match route.mode {
            Mode::Off => Inspection::default(),
            Mode::Observe | Mode::Refuse => self.inspector.inspect_on(&route.name, request),
        };
        if !inspection.findings.is_empty() {
            let named: Vec<_> = inspection.findings.iter().map(|finding| finding.rule.clone()).collect();
            except(route, &mut inspection.findings);
            let left = &inspection.findings;
            inspection
                .demanded_by
                .retain(|rule| !named.contains(rule) || left.iter().any(|finding| finding.rule == *rule));
        }
        let bill = match route.mode {
            Mode::Off => Bill::default(),
            Mode::Observe | Mode::Refuse => self.risk.bill(&inspection.findings, &standing),
        };
        let reason = if bill.is_refused(route.thresholds) {
            Some(RefusalReason::Risk)
        } else if !inspection.demanded_by.is_empty() {
            Some(RefusalReason::Rule)
        } else {
            let unread = inspection.left_unread().filter(|_| route.over_limit == OverLimit::Refuse);
            unread.map(RefusalReason::Unread)
        };
        if reason.is_none() && !inspection.observed.is_empty() {
            let all = [inspection.findings.as_slice(), &inspection.observed].concat();
            let bill = self.risk.bill(&all, &standing);
            if bill.is_refused(route.thresholds) {
                let reason = Some(RefusalReason::Risk);
                return Opinion { route, bill, reason, only_observed: true, inspection };
            }
        }
        Opinion { route, bill, reason, only_observed: false, inspection }
    }
}
