//! The section `behaviour`: what counts as a failure, and how much is remembered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What sources do over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether what sources do over time counts. Default true.
    pub enabled: bool,
    /// Sources that are remembered at a time, at about 500 bytes each. Where their place is full, whoever
    /// is least suspicious and longest silent is forgotten. Default 32768.
    pub tracked: usize,
    /// Requests a second, over ten seconds, from which on a source floods. It is slowed down for it and
    /// never refused. Default 100.
    pub flood_per_sec: f32,
    /// Statuses that tell a page is missing or not for the asker. Default 403, 404, 410.
    pub missing: Vec<u16>,
    /// Statuses that tell a value was not accepted. Default 400, 402, 409, 422.
    pub not_accepted: Vec<u16>,
    /// Logging in: requests of the class `auth`.
    pub login: Login,
}

/// How the application tells whether somebody has logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Statuses of a success. Default 200, 201, 204, 302, 303.
    pub success: Vec<u16>,
    /// Statuses of a failure. Default 400, 401, 403, 422.
    pub failure: Vec<u16>,
    /// Fields of a form or of JSON that name the account. It is hashed with a key of this installation.
    pub account_fields: Vec<String>,
    /// What is otherwise for routes, by their names.
    pub routes: BTreeMap<String, Statuses>,
}

/// How a route tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    /// Statuses of a success.
    pub success: Vec<u16>,
    /// Statuses of a failure.
    pub failure: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            tracked: 32_768,
            flood_per_sec: 100.0,
            missing: vec![403, 404, 410],
            not_accepted: vec![400, 402, 409, 422],
            login: Login::default(),
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        let fields = ["user", "username", "email", "login", "account", "log", "user_login", "userid"];
        Self {
            success: vec![200, 201, 204, 302, 303],
            failure: vec![400, 401, 403, 422],
            account_fields: fields.map(str::to_owned).to_vec(),
            routes: BTreeMap::new(),
        }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(1024..=1 << 24).contains(&self.tracked) {
            return Some((
                "behaviour.tracked",
                format!("{} is not between 1024 and {}", self.tracked, 1 << 24),
            ));
        }
        if !(1.0..=1e6).contains(&self.flood_per_sec) {
            return Some((
                "behaviour.flood_per_sec",
                format!("{} is not between 1 and 1000000", self.flood_per_sec),
            ));
        }
        let routes = self.login.routes.values().flat_map(|route| [&route.success, &route.failure]);
        let lists = [
            ("behaviour.missing", &self.missing),
            ("behaviour.not_accepted", &self.not_accepted),
            ("behaviour.login.success", &self.login.success),
            ("behaviour.login.failure", &self.login.failure),
        ];
        let lists = lists.into_iter().chain(routes.map(|list| ("behaviour.login.routes", list)));
        for (key, statuses) in lists {
            if let Some(status) = statuses.iter().find(|status| !(100..=599).contains(*status)) {
                return Some((key, format!("{status} is no status; statuses are 100 to 599")));
            }
        }
        let both = self.login.success.iter().find(|status| self.login.failure.contains(status))?;
        Some(("behaviour.login.success", format!("{both} is a failure too; name it once")))
    }
}
