//! What an operator may do: a role bounds it, a token's scopes narrow it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One kind of thing that a route may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Health, metrics, the metrics page.
    #[serde(rename = "monitoring:read")]
    MonitoringRead,
    /// Incidents, decisions, threats, and what they rest on.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Bans, lifts, the allow list, exceptions.
    #[serde(rename = "decisions:write")]
    DecisionsWrite,
    /// Configuration, tokens, operators: whoever may write these may do everything.
    #[serde(rename = "config:write")]
    ConfigWrite,
    /// The audit log, and the record of processing.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Handing in business events.
    #[serde(rename = "business:ingest")]
    BusinessIngest,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::MonitoringRead,
        Self::EventsRead,
        Self::DecisionsWrite,
        Self::ConfigWrite,
        Self::AuditRead,
        Self::BusinessIngest,
    ];

    /// The scope as tokens, answers and the document say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MonitoringRead => "monitoring:read",
            Self::EventsRead => "events:read",
            Self::DecisionsWrite => "decisions:write",
            Self::ConfigWrite => "config:write",
            Self::AuditRead => "audit:read",
            Self::BusinessIngest => "business:ingest",
        }
    }

    /// The scope of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// These.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether `scope` is among them.
    pub const fn holds(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that are in `other` too.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// They, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.holds(*scope))
    }

    /// As the store keeps them: names with spaces between.
    pub fn to_text(self) -> String {
        self.iter().map(Scope::name).collect::<Vec<_>>().join(" ")
    }

    /// What [`Self::to_text`] has written; a name that this release does not know gives no right.
    pub fn from_text(text: &str) -> Self {
        Self::of(&text.split_whitespace().filter_map(Scope::from_name).collect::<Vec<_>>())
    }
}

/// What somebody is trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May also ban, lift, and let through.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role, the least trusted first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The role's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it may do at the most.
    pub fn scopes(self) -> Scopes {
        let look = [Scope::MonitoringRead, Scope::EventsRead];
        match self {
            Self::Viewer => Scopes::of(&look),
            Self::Operator => Scopes::of(&[look.as_slice(), &[Scope::DecisionsWrite]].concat()),
            Self::Admin => Scopes::of(&Scope::ALL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_do_all_that_a_lower_one_may() {
        for pair in Role::ALL.windows(2) {
            assert_eq!(pair[0].scopes().within(pair[1].scopes()), pair[0].scopes());
            assert_ne!(pair[0].scopes(), pair[1].scopes());
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!(Scopes::from_text("events:read all:write"), Scopes::of(&[Scope::EventsRead]));
        assert_eq!(Scopes::from_text(&Role::Admin.scopes().to_text()), Role::Admin.scopes());
    }
}
