//! What a door sees of requests and what not, for whoever asks: the doors tell, and the API shows.

use serde::Serialize;

/// How far one door sees, and what it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sight {
    /// The kind of door, by its name in incidents.
    pub door: &'static str,
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub place: String,
    /// The way it works: `nginx auth_request`.
    pub mode: &'static str,
    /// Whether it inspects bodies.
    pub sees_bodies: bool,
    /// Where it has clients banned: `kernel` or `door`.
    pub bans: &'static str,
    /// What it cannot see or do, one sentence each.
    pub cannot: Vec<&'static str>,
}
