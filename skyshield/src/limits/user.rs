//! Who a request's user is, by the word of a header, a cookie or a signed token.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::inspect::Header;

/// Tokens longer than this are nobody's, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// A secret shorter than this is guessed, in bytes: RFC 7518 asks for as many as the digest has.
const MIN_SECRET: usize = 32;

/// A secret of the configuration's: read, used, and never shown again.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// Where a request says who its user is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserKey {
    /// A header whose value is the user: an API key, say. Default none.
    pub header: Option<String>,
    /// A cookie whose value is the user: a session's. Default none.
    pub cookie: Option<String>,
    /// The claim that names the user in a bearer token (JWT, HS256). Default none.
    pub jwt_claim: Option<String>,
    /// The secret that bearer tokens are signed with, of 32 bytes or more. Without it no token is believed.
    pub jwt_secret: Option<Secret>,
    /// Take the claim of a token without looking at its signature. Its sender may then be whoever he
    /// says, and have as many quotas as he makes up names: limit by source as well. Default false.
    pub jwt_unverified: bool,
}

impl UserKey {
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if self.jwt_secret.as_ref().is_some_and(|secret| secret.0.len() < MIN_SECRET) {
            let what = format!("a secret of fewer than {MIN_SECRET} bytes can be guessed, and tokens forged");
            return Some(("limits.user.jwt_secret", what));
        }
        let blind = self.jwt_claim.is_some() && self.jwt_secret.is_none() && !self.jwt_unverified;
        blind.then(|| {
            let what = "a claim needs `jwt_secret`, or `jwt_unverified = true` to take anyone's word";
            ("limits.user.jwt_claim", what.to_owned())
        })
    }

    /// The user of a request, if it names one.
    pub(super) fn user_of<'a>(&self, headers: &'a [Header<'a>]) -> Option<Cow<'a, [u8]>> {
        let all = |name: &'static str| {
            headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name.as_bytes()))
        };
        let by_header = self.header.as_ref().and_then(|name| {
            let mut named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
            named.next().map(|header| Cow::Borrowed(header.value))
        });
        let by_cookie = || {
            let name = self.cookie.as_ref()?;
            all("cookie").flat_map(|header| header.value.split(|&byte| byte == b';')).find_map(|pair| {
                pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(Cow::Borrowed)
            })
        };
        let by_token = || {
            let claim = self.jwt_claim.as_ref()?;
            let value = all("authorization").next()?.value;
            let (scheme, token) = value.split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| self.claim_of(token, claim))
                .flatten()
                .map(Cow::Owned)
        };
        by_header.or_else(by_cookie).or_else(by_token).filter(|user| !user.is_empty())
    }

    fn claim_of(&self, token: &[u8], claim: &str) -> Option<Vec<u8>> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let dot = memchr::memrchr(b'.', token)?;
        let (signed, signature) = (token.get(..dot)?, token.get(dot + 1..)?);
        let (header, payload) = signed.split_at_checked(memchr::memchr(b'.', signed)?)?;
        if !self.jwt_unverified {
            let header: serde_json::Value = serde_json::from_slice(&BASE64URL.decode(header).ok()?).ok()?;
            if header.get("alg")?.as_str()? != "HS256" {
                return None;
            }
            let mut mac = Hmac::<Sha256>::new_from_slice(self.jwt_secret.as_ref()?.0.as_bytes()).ok()?;
            mac.update(signed);
            mac.verify_slice(&BASE64URL.decode(signature).ok()?).ok()?;
        }
        let payload: serde_json::Value =
            serde_json::from_slice(&BASE64URL.decode(payload.get(1..)?).ok()?).ok()?;
        match payload.get(claim)? {
            serde_json::Value::String(text) => Some(text.as_bytes().to_vec()),
            serde_json::Value::Number(number) => Some(number.to_string().into_bytes()),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// `{"alg":"HS256","typ":"JWT"}.{"sub":"anna","n":7}`, signed with `secret`.
    fn token(secret: &[u8]) -> Vec<u8> {
        let signed = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwibiI6N30";
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed);
        let digest = mac.finalize().into_bytes();
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = [b"Bearer ", signed.as_slice(), b"."].concat();
        for chunk in digest.chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte))
                << (8 * (3 - chunk.len()));
            text.extend((0..=chunk.len()).map(|at| letters[(word >> (18 - 6 * at) & 63) as usize]));
        }
        text
    }

    fn user(key: &UserKey, name: &str, value: &[u8]) -> Option<String> {
        let headers = [Header { name: name.as_bytes(), value }];
        key.user_of(&headers).map(|user| String::from_utf8_lossy(&user).into_owned())
    }

    #[test]
    fn a_user_is_whom_the_configured_place_names() {
        let by_header = UserKey { header: Some("X-Api-Key".to_owned()), ..UserKey::default() };
        assert_eq!(user(&by_header, "x-api-key", b"k1").as_deref(), Some("k1"));
        assert_eq!(user(&by_header, "x-api-key", b""), None);
        let by_cookie = UserKey { cookie: Some("sid".to_owned()), ..UserKey::default() };
        assert_eq!(user(&by_cookie, "Cookie", b"a=b; sid=s1; c").as_deref(), Some("s1"));
        assert_eq!(user(&by_cookie, "Cookie", b"xsid=s1"), None);
        assert_eq!(user(&UserKey::default(), "X-Api-Key", b"k1"), None);
    }

    #[test]
    fn a_claim_is_believed_after_its_signature_or_where_that_is_waived() {
        let signed = UserKey {
            jwt_claim: Some("sub".to_owned()),
            jwt_secret: Some(Secret(SECRET.to_owned())),
            ..UserKey::default()
        };
        assert_eq!(user(&signed, "Authorization", &token(SECRET.as_bytes())).as_deref(), Some("anna"));
        assert_eq!(user(&signed, "Authorization", &token(b"other")), None);
        let none = b"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.";
        assert_eq!(user(&signed, "Authorization", none), None);
        let waived = UserKey { jwt_secret: None, jwt_unverified: true, ..signed.clone() };
        assert_eq!(user(&waived, "Authorization", none).as_deref(), Some("anna"));
        assert!(UserKey { jwt_secret: None, ..signed }.problem().is_some());
    }

    #[test]
    fn a_secret_is_long_and_never_shown() {
        let key = UserKey { jwt_secret: Some(Secret(SECRET.to_owned())), ..UserKey::default() };
        assert_eq!(key.problem(), None);
        for shown in
            [format!("{key:?}"), toml::to_string(&key).unwrap(), serde_json::to_string(&key).unwrap()]
        {
            assert!(shown.contains("(hidden)") && !shown.contains(SECRET), "{shown}");
        }
        for short in ["", "s3cret", &SECRET[1..]] {
            let key = UserKey { jwt_secret: Some(Secret(short.to_owned())), ..UserKey::default() };
            assert_eq!(key.problem().map(|(key, _)| key), Some("limits.user.jwt_secret"), "{short:?}");
        }
    }
}
