//! Passwords and one-time codes: made, kept as what they are checked against, checked.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;
use totp_rs::{Builder, Secret, Totp};

use super::problem::Problem;

/// Passwords that are checked at once: each takes a core and 19 MiB for a moment.
const AT_ONCE: usize = 2;
/// A password, in characters: fewer are guessed, more are no password.
pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 12..=128;
/// What a password of nobody's is checked against, so that it takes as long: a hash of random bytes.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2t5c2hpZWxkLW5vYm9keQ$N3n7nY0Ty2cb0FJbN6UqcCKQxSXL7JxuKzFDqHrpVmI";

/// Checks passwords, a few at a time.
#[derive(Clone, Debug)]
pub(super) struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// What `password` is to be checked against.
    pub(super) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.work(move || {
            let hashed = Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
            hashed.map_err(|error| Problem::internal(&error))
        })
        .await?
    }

    /// Whether `password` is the one that `kept` was made of; where there is none, it takes as long to say no.
    pub(super) async fn is(&self, password: String, kept: Option<String>) -> Result<bool, Problem> {
        self.work(move || {
            let is_somebodys = kept.is_some();
            let kept = kept.unwrap_or_else(|| NOBODYS.to_owned());
            let Ok(hash) = PasswordHash::new(&kept) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && is_somebodys
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let place = Arc::clone(&self.0).acquire_owned().await.map_err(|error| Problem::internal(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|error| Problem::internal(&error))
    }
}

/// The step of the code that `code` is at `secs` since 1970; none where it is no code of then.
pub(super) fn step_of(secret: &[u8], code: &str, secs: u64) -> Option<u64> {
    codes(secret, "").ok()?.check(code, secs)
}

/// A new secret for codes, and the address that apps take it by.
pub(super) fn enrol(name: &str) -> Result<(Vec<u8>, String), Problem> {
    let mut secret = vec![0; 20];
    getrandom::fill(&mut secret).map_err(|error| Problem::internal(&error))?;
    let url =
        codes(&secret, name).and_then(|codes| codes.to_url()).map_err(|error| Problem::internal(&error))?;
    Ok((secret, url))
}

fn codes(secret: &[u8], name: &str) -> Result<Totp, totp_rs::TotpError> {
    // A colon would end the name in the address.
    let name = name.replace(':', " ");
    Builder::new()
        .with_secret(Secret::from(secret.to_vec()))
        .with_account_name(name)
        .with_issuer(Some("SkyShield"))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_checked_and_nobodys_is_never_right() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse battery".to_owned()).await.unwrap();
        assert!(kept.starts_with("$argon2id$") && !kept.contains("horse"));
        assert!(passwords.is("correct horse battery".to_owned(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is("correct horse".to_owned(), Some(kept)).await.unwrap());
        assert!(!passwords.is("correct horse".to_owned(), None).await.unwrap());
        assert!(PasswordHash::new(NOBODYS).is_ok(), "or nobody's password would be told apart by time");
    }

    #[test]
    fn a_code_is_good_for_its_time() {
        let (secret, url) = enrol("ann").unwrap();
        assert!(url.starts_with("otpauth://totp/SkyShield") && url.contains("secret="), "{url}");
        let code = codes(&secret, "ann").unwrap().generate(1_000_000_000).to_string();
        assert_eq!(step_of(&secret, &code, 1_000_000_000), Some(1_000_000_000 / 30));
        assert_eq!(step_of(&secret, &code, 1_000_000_600), None);
        assert_eq!(step_of(&secret, "no code", 1_000_000_000), None);
    }
}
