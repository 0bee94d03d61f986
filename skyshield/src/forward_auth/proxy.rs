//! The proxies that ask, and how each of them puts its question and takes an answer.

use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// nginx by `auth_request`: a question without a body, answered by 200 or 403 and nothing else.
    Nginx,
    /// nginx as a proxy of whole requests: what passes goes on by `X-Accel-Redirect`.
    NginxAccel,
    /// Traefik's `ForwardAuth`.
    Traefik,
    /// Envoy's `ext_authz` over HTTP.
    Envoy,
    /// Caddy's `forward_auth`.
    Caddy,
    /// `HAProxy`, by the Lua action that comes with us.
    Haproxy,
}

/// The header lines of a question that tell of the original request, in small letters. Where one is
/// missing, the question's own line says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) method: Option<&'static str>,
    pub(super) target: Option<&'static str>,
    pub(super) host: Option<&'static str>,
    /// The client's address, alone.
    pub(super) client: Option<&'static str>,
    /// Who connected to the proxy, where the proxy may take the client's address from somebody else.
    pub(super) peer: Option<&'static str>,
    /// Whether a part of the body is missing.
    pub(super) partial: Option<&'static str>,
}

/// Of requests that are asked about in words of our own choice.
const OWN: Words = Words {
    method: Some("x-original-method"),
    target: Some("x-original-uri"),
    host: Some("x-original-host"),
    client: Some("x-real-ip"),
    peer: Some("x-skyshield-peer"),
    partial: Some("x-skyshield-partial"),
};

/// Of requests that are sent whole.
const WHOLE: Words =
    Words { method: None, target: None, host: None, client: None, peer: None, partial: None };

const FORWARDED: Words = Words {
    method: Some("x-forwarded-method"),
    target: Some("x-forwarded-uri"),
    host: Some("x-forwarded-host"),
    ..WHOLE
};

impl Proxy {
    /// Its name in metrics and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxAccel => "nginx-accel",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// The way it asks, for people.
    pub(super) const fn mode(self) -> &'static str {
        match self {
            Self::Nginx => "nginx auth_request",
            Self::NginxAccel => "nginx X-Accel-Redirect",
            Self::Traefik => "Traefik ForwardAuth",
            Self::Envoy => "Envoy ext_authz",
            Self::Caddy => "Caddy forward_auth",
            Self::Haproxy => "HAProxy Lua action",
        }
    }

    pub(super) const fn words(self) -> Words {
        match self {
            Self::Nginx | Self::Haproxy => OWN,
            Self::NginxAccel => Words { client: OWN.client, peer: OWN.peer, ..WHOLE },
            Self::Traefik | Self::Caddy => FORWARDED,
            Self::Envoy => Words { partial: Some("x-envoy-auth-partial-body"), ..WHOLE },
        }
    }

    /// Whether any status reaches the client, and a page with it. Else 403 stands for every refusal, and
    /// `X-SkyShield-Status` says which it is.
    pub(super) const fn takes_any_status(self) -> bool {
        !matches!(self, Self::Nginx)
    }

    /// Whether bodies come with its questions, as our snippet for it has it.
    pub(super) const fn sends_bodies(self) -> bool {
        match self {
            Self::NginxAccel | Self::Traefik | Self::Envoy | Self::Haproxy => true,
            Self::Nginx | Self::Caddy => false,
        }
    }

    /// What cannot be seen or done by it, for people.
    pub(super) fn cannot(self) -> Vec<&'static str> {
        let by_proxy: &[&'static str] = match self {
            Self::Nginx => &[
                "request bodies do not come with auth_request: what is hidden in a form, JSON or an upload is not \
                 seen; use `proxy = \"nginx-accel\"` for places that take bodies",
                "nginx passes 403 alone: the snippet makes 429 and 413 of it by X-SkyShield-Status",
            ],
            Self::NginxAccel => &["nginx holds a request's body back until all of it has come"],
            Self::Traefik => &[
                "bodies come only where Traefik has `forwardBody: true`; without `maxBodySize` it holds any size \
                 of them",
            ],
            Self::Envoy => &[
                "headers come only where `allowed_headers` names them, bodies only by `with_request_body`",
                "of a body beyond `max_request_bytes` a part comes, or Envoy refuses it with 413 by itself",
            ],
            Self::Caddy => {
                &["request bodies do not come with forward_auth: what is hidden in them is not seen"]
            }
            Self::Haproxy => &["of a body beyond `tune.bufsize` only the beginning comes"],
        };
        let by_all = [
            "how a request is framed on the wire is the proxy's to guard: smuggling and slow requests are not seen",
            "what an application answers is known only from `forward_auth.outcomes`",
            "`limits.per_source.concurrent` does not hold: when a request ends is not known here",
        ];
        by_proxy.iter().copied().chain(by_all).collect()
    }
}
