//! Who asks: root by the socket, or an operator by token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;
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
}

/// Lets only operators through. The socket's listener has put its operator in already.
pub(super) async fn require_operator(
    State(reader): State<Reader>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.extensions().get::<Operator>().is_none() {
        match by_token(reader, request.headers()).await {
            Ok(operator) => request.extensions_mut().insert(operator),
            Err(refused) => return refused.into_response(),
        };
    }
    next.run(request).await
}

/// Why somebody is not let in.
enum Refused {
    NoToken,
    BadToken,
    Failed(Problem),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let detail = match self {
            Self::NoToken => {
                "a token is asked for: `Authorization: Bearer sky_…` (skyshield tokens add NAME)"
            }
            Self::BadToken => "this token is not, or no longer, valid",
            Self::Failed(problem) => return problem.into_response(),
        };
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        let challenge = HeaderValue::from_static("Bearer realm=\"skyshield\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

async fn by_token(reader: Reader, headers: &HeaderMap) -> Result<Operator, Refused> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| token.trim().strip_prefix(MARK)?.split_once('_'));
    let (id, secret) = presented.ok_or(Refused::NoToken)?;
    let (id, digest) = (id.to_owned(), digest(secret));
    let row = super::read(move || reader.token(&id)).await.map_err(Refused::Failed)?;
    admit(row, &digest, millis(clock::wall())).ok_or(Refused::BadToken)
}

/// The operator whose token this is, while it is valid. An unknown id costs the same comparison.
fn admit(row: Option<TokenRow>, digest: &[u8], now_ms: i64) -> Option<Operator> {
    let kept = row.as_ref().map_or([0; 32].as_slice(), |row| row.secret_sha256.as_slice());
    let is_same = bool::from(kept.ct_eq(digest));
    let row = row.filter(|row| is_same && row.expires_at_ms.is_none_or(|expires| now_ms < expires))?;
    Some(Operator { name: row.name })
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

fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
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
        let (id, name) = ("00000000".to_owned(), "ops".to_owned());
        TokenRow { id, name, secret_sha256: digest(secret), made_at_ms: 0, expires_at_ms }
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
    fn what_is_kept_is_not_the_secret() {
        let (token, id, kept) = mint().unwrap();
        let secret = token.strip_prefix(&format!("sky_{id}_")).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(kept, digest(secret));
        assert_ne!(kept, secret.as_bytes());
    }
}
