//! Who asks, and what they may: root by the socket, or an operator by token.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Api;
use super::problem::Problem;
use super::role::{Role, Scopes};
use super::table::Needs;
use crate::clock;
use crate::control::millis;
use crate::store::{Reader, TokenRow};

/// What every token begins with, so that scanners find a leaked one.
const MARK: &str = "sky_";

/// Somebody who may operate the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// How logs and answers name them: `root`, or the token's name.
    pub name: String,
    /// The public part of the token they came with, if they did.
    pub token: Option<String>,
    /// What they are trusted with.
    pub role: Role,
    /// What they may do: of the role, what the token was not narrowed to leave out.
    pub scopes: Scopes,
}

impl Operator {
    /// Somebody who calls themselves `name` and may do nothing.
    pub(super) fn nobody(name: &str) -> Self {
        Self { name: name.to_owned(), token: None, role: Role::Viewer, scopes: Scopes::default() }
    }

    /// Root on this host, by the admin socket.
    pub fn root() -> Self {
        let role = Role::Admin;
        Self { name: "root".to_owned(), token: None, role, scopes: role.scopes() }
    }
}

/// The address that a connection comes from; the socket's have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub(super) IpAddr);

/// Lets only operators through. The socket's listener has put its operator in already.
pub(super) async fn require_operator(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    // A token says more exactly what is wanted than a cookie that the browser sends anyway.
    if !request.headers().contains_key(header::AUTHORIZATION)
        && let Some(operator) = api.own.sessions.operator(request.headers(), clock::now())
    {
        request.extensions_mut().insert(operator);
    }
    if request.extensions().get::<Operator>().is_none() {
        let peer = request.extensions().get::<Peer>().copied();
        match by_token(api.reader, request.headers(), peer).await {
            Ok(operator) => request.extensions_mut().insert(operator),
            Err(refused) => return refused.into_response(),
        };
    }
    next.run(request).await
}

/// Lets only those through who may do what the route does.
pub(super) async fn require(State(needs): State<Needs>, request: Request, next: Next) -> Response {
    let Needs::Scope(scope) = needs else { return next.run(request).await };
    match request.extensions().get::<Operator>() {
        Some(operator) if operator.scopes.holds(scope) => next.run(request).await,
        Some(operator) => {
            let what = format!("this needs the scope `{}`, which `{}` has not", scope.name(), operator.name);
            Problem::new(StatusCode::FORBIDDEN, what).into_response()
        }
        // A route that needs a scope stands behind `require_operator`; if it ever did not, nobody is let in.
        None => Refused::NoToken.into_response(),
    }
}

/// Why somebody is not let in.
enum Refused {
    NoToken,
    BadToken,
    WrongNetwork,
    Failed(Problem),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let detail = match self {
            Self::NoToken => {
                "a token is asked for: `Authorization: Bearer sky_…` (skyshield tokens add NAME)"
            }
            Self::BadToken => "this token is not, or no longer, valid",
            Self::WrongNetwork => {
                let what = "this token is not good from where you are";
                return Problem::new(StatusCode::FORBIDDEN, what).into_response();
            }
            Self::Failed(problem) => return problem.into_response(),
        };
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        let challenge = HeaderValue::from_static("Bearer realm=\"skyshield\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

async fn by_token(reader: Reader, headers: &HeaderMap, peer: Option<Peer>) -> Result<Operator, Refused> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| token.trim().strip_prefix(MARK)?.split_once('_'));
    let (id, secret) = presented.ok_or(Refused::NoToken)?;
    let (id, digest) = (id.to_owned(), digest(secret));
    let row = super::read(move || reader.token(&id)).await.map_err(Refused::Failed)?;
    let row = admit(row, &digest, millis(clock::wall())).ok_or(Refused::BadToken)?;
    if !is_good_from(&row.networks, peer) {
        return Err(Refused::WrongNetwork);
    }
    // A role that this release does not know gives no right.
    let role = Role::from_name(&row.role).ok_or(Refused::BadToken)?;
    let scopes =
        row.scopes.as_deref().map_or(role.scopes(), |kept| Scopes::from_text(kept).within(role.scopes()));
    Ok(Operator { name: row.name, token: Some(row.id), role, scopes })
}

/// The token this is, while it is valid. An unknown id costs the same comparison.
fn admit(row: Option<TokenRow>, digest: &[u8], now_ms: i64) -> Option<TokenRow> {
    let kept = row.as_ref().map_or([0; 32].as_slice(), |row| row.secret_sha256.as_slice());
    let is_same = bool::from(kept.ct_eq(digest));
    row.filter(|row| is_same && row.expires_at_ms.is_none_or(|expires| now_ms < expires))
}

/// Whether a token bound to `networks` is good for `peer`. One that is bound is good for no unknown peer.
fn is_good_from(networks: &str, peer: Option<Peer>) -> bool {
    let mut networks = networks.split_whitespace().peekable();
    if networks.peek().is_none() {
        return true;
    }
    let Some(Peer(address)) = peer else { return false };
    let address = address.to_canonical();
    networks.filter_map(|network| network.parse::<IpNet>().ok()).any(|network| network.contains(&address))
}

/// A new token: the whole of it, its public part, and what is kept. Secrets are 256 random bits, so
/// one round of SHA-256 keeps them.
pub(super) fn mint() -> Result<(String, String, Vec<u8>), getrandom::Error> {
    let mut random = [0; 36];
    getrandom::fill(&mut random)?;
    let (id, secret) = random.split_at(4);
    let (id, secret) = (hex(id), hex(secret));
    let kept = digest(&secret);
    Ok((format!("{MARK}{id}_{secret}"), id, kept))
}

pub(super) fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(secret: &str, expires_at_ms: Option<i64>) -> TokenRow {
        TokenRow {
            id: "00000000".to_owned(),
            name: "ops".to_owned(),
            secret_sha256: digest(secret),
            made_at_ms: 0,
            expires_at_ms,
            role: "viewer".to_owned(),
            scopes: None,
            networks: String::new(),
        }
    }

    #[test]
    fn a_token_is_good_for_its_secret_and_its_time() {
        assert!(admit(Some(row("s", None)), &digest("s"), 5).is_some());
        assert!(admit(Some(row("s", Some(6))), &digest("s"), 5).is_some());
        assert!(admit(Some(row("s", Some(5))), &digest("s"), 5).is_none());
        assert!(admit(Some(row("s", None)), &digest("t"), 5).is_none());
        assert!(admit(None, &[0; 32], 5).is_none());
    }

    #[test]
    fn a_bound_token_is_good_from_its_networks_only() {
        let peer = |text: &str| Some(Peer(text.parse().unwrap()));
        let networks = "192.0.2.0/24 2001:db8::/32";
        assert!(is_good_from(networks, peer("192.0.2.7")));
        assert!(is_good_from(networks, peer("::ffff:192.0.2.7")));
        assert!(is_good_from(networks, peer("2001:db8::1")));
        assert!(!is_good_from(networks, peer("198.51.100.7")));
        assert!(!is_good_from(networks, None));
        assert!(!is_good_from("nonsense", peer("192.0.2.7")));
        assert!(is_good_from("", None));
    }

    #[test]
    fn what_is_kept_is_not_the_secret() {
        let (token, id, kept) = mint().unwrap();
        let secret = token.strip_prefix(&format!("sky_{id}_")).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(kept, digest(secret));
        assert_ne!(kept, secret.as_bytes());
    }
}
