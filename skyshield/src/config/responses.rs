//! What rules of response name, and what there is of it.

use super::Config;
use crate::engine::behaviour::Detector;
use crate::engine::response::BEHAVIOUR;
use crate::inspect::own;

impl Config {
    /// Rules of response name classes and users, which `limits` knows.
    pub(super) fn response_means_nobody(&self) -> Option<(&'static str, String)> {
        let unknown = self.response.tightened().find(|class| !self.limits.classes.contains_key(*class));
        if let Some(class) = unknown {
            return Some(("response.rules", format!("there is no class `{class}` in `limits.classes`")));
        }
        let user = &self.limits.user;
        let nobody = user.header.is_none() && user.cookie.is_none() && user.jwt_claim.is_none();
        (self.response.requires_login() && nobody).then(|| {
            let what = "to ask for a login it has to be known who is logged in: set limits.user";
            ("response.rules", what.to_owned())
        })
    }

    /// Rules of response name findings and routes; what never is, is written wrongly.
    pub(super) fn response_means_nothing(
        &self,
        known: impl Fn(&str) -> bool,
    ) -> Option<(&'static str, String)> {
        let is_found = |named: &str| {
            let detects = |detector: Detector| match named.strip_suffix('*') {
                Some(start) => detector.name().starts_with(start),
                None => detector.name() == named,
            };
            named == BEHAVIOUR
                || Detector::ALL.into_iter().any(detects)
                || own::answers_to(&self.inspect, named)
                || own::has_class(&self.inspect, named)
        };
        let found = self.response.findings().find(|(_, named)| !is_found(named)).map(|(rule, named)| {
            format!(
                "the rule `{rule}` waits for the finding `{named}`, and nothing is called so: name a class \
                 (`sqli`, `behaviour`), one of what `skyshield rules list` has, or a detector: {}",
                Detector::ALL.map(Detector::name).join(", ")
            )
        });
        let route = self.response.routes().find(|(_, named)| !known(named)).map(|(rule, named)| {
            format!("the rule `{rule}` waits for the route `{named}`, and there is none; add it to `routes`")
        });
        found.or(route).map(|what| ("response.rules", what))
    }
}
