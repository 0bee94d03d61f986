//! The request that a proxy asks about, out of its question: only in this proxy's own words, since all
//! other lines are the client's.

use std::net::IpAddr;

use super::config::{Bans, Door, contain};
use super::wire::Head;
use crate::engine::incident::Client;
use crate::inspect::{Header, Request};
use crate::verdict::address_of;

/// Hops that are looked at at the most; a longer chain is not believed.
const MAX_HOPS: usize = 32;

/// Why a question does not say what it asks about: the proxy is not set up as its snippet has it. Never
/// the client's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unasked {
    #[error("the question has no `{0}`: the proxy must send it, as the snippet for it does")]
    Missing(&'static str),
    #[error("the question has `{0}` twice: the proxy must set it in place of what clients send")]
    Twice(&'static str),
    #[error("`{0}` in the question holds no address")]
    NoAddress(&'static str),
}

/// The original request, without its body.
#[derive(Debug)]
pub(super) struct Original<'b> {
    pub(super) method: &'b [u8],
    pub(super) target: &'b [u8],
    pub(super) headers: Vec<Header<'b>>,
    pub(super) client: Client,
    /// The proxy has sent a part of the body only.
    pub(super) is_partial: bool,
}

/// What is told in a proxy's own words.
#[derive(Default)]
struct Told<'b> {
    method: Option<&'b [u8]>,
    target: Option<&'b [u8]>,
    host: Option<&'b [u8]>,
    client: Option<&'b [u8]>,
    peer: Option<&'b [u8]>,
    partial: Option<&'b [u8]>,
}

const FORWARDED_FOR: &str = "x-forwarded-for";

impl<'b> Original<'b> {
    /// What is asked about at `door` by the question with this `head`.
    pub(super) fn of(door: &Door, head: &Head<'_, 'b>) -> Result<Self, Unasked> {
        let words = door.proxy.words();
        let mut told = Told::default();
        let mut headers = Vec::with_capacity(head.fields.len());
        let (mut own_host, mut is_partial) = (None, false);
        let mut chain: Vec<&'b [u8]> = Vec::new();
        for field in head.fields {
            let name = field.name.as_bytes();
            let slot = match name.first().map(u8::to_ascii_lowercase) {
                Some(b'x') => {
                    let said = [
                        (words.method, &mut told.method),
                        (words.target, &mut told.target),
                        (words.host, &mut told.host),
                        (words.client, &mut told.client),
                        (words.peer, &mut told.peer),
                        (words.partial, &mut told.partial),
                    ];
                    said.into_iter()
                        .find_map(|(word, slot)| Some((word.filter(|word| is(name, word))?, slot)))
                }
                _ => None,
            };
            if let Some((word, slot)) = slot {
                let last = slot.replace(field.value);
                // Envoy lets a client's word on this stand beside its own: either may say so.
                if words.partial == Some(word) {
                    is_partial |= field.value.eq_ignore_ascii_case(b"true");
                } else if last.is_some() {
                    return Err(Unasked::Twice(word));
                }
                continue;
            }
            match name.len() {
                4 if is(name, "host") => {
                    own_host = Some(field.value);
                    continue;
                }
                // Between the proxy and us, or ours.
                10 if is(name, "connection") || is(name, "keep-alive") => continue,
                14 if is(name, "content-length") => continue,
                17 if is(name, "transfer-encoding") => continue,
                15 if is(name, FORWARDED_FOR) => chain.push(field.value),
                _ if name.len() > 12 && is(&name[..12], "x-skyshield-") => continue,
                _ => {}
            }
            headers.push(Header { name, value: field.value });
        }
        let host = if words.host.is_some() { told.host.or(own_host) } else { own_host };
        if let Some(value) = host.filter(|host| !host.is_empty()) {
            headers.push(Header { name: b"Host", value });
        }
        let said = |word: Option<&'static str>, told: Option<&'b [u8]>, own: &'b [u8]| match word {
            None => Ok(own),
            Some(word) => told.filter(|told| !told.is_empty()).ok_or(Unasked::Missing(word)),
        };
        let target = without_authority(said(words.target, told.target, head.target)?);
        let client = client(door, words.client, &told, &chain)?;
        let method = said(words.method, told.method, head.method)?;
        Ok(Self { method, target: door.without_prefix(target), headers, client, is_partial })
    }

    /// The request with `body`.
    pub(super) fn request<'r>(&'r self, body: &'r [u8]) -> Request<'r> {
        Request { method: self.method, target: self.target, headers: &self.headers, body }
    }

    /// Whether it would have a body, which did not come.
    pub(super) fn may_hide_a_body(&self, body: &[u8]) -> bool {
        body.is_empty() && matches!(self.method, b"POST" | b"PUT" | b"PATCH")
    }
}

impl Door {
    fn without_prefix<'t>(&self, target: &'t [u8]) -> &'t [u8] {
        match target.strip_prefix(self.path_prefix.as_bytes()) {
            Some(rest) if !self.path_prefix.is_empty() && rest.first() == Some(&b'/') => rest,
            _ => target,
        }
    }
}

fn is(name: &[u8], word: &str) -> bool {
    name.eq_ignore_ascii_case(word.as_bytes())
}

/// The target in origin form, where it came with its scheme and host.
fn without_authority(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(rest) = scheme.and_then(|scheme| target.get(scheme.len()..)) else { return target };
    match memchr::memchr2(b'/', b'?', rest) {
        Some(at) => &rest[at..],
        None => b"/",
    }
}

/// Whom the request is attributed to.
///
/// The proxy names who connected to it. Where that is a trusted proxy itself, its `X-Forwarded-For` is
/// read from the right up to the first hop that nobody trusts. Only who connected to the proxy directly
/// is banned in the kernel, and only where the operator says that his packets come by here.
fn client(
    door: &Door,
    word: Option<&'static str>,
    told: &Told<'_>,
    chain: &[&[u8]],
) -> Result<Client, Unasked> {
    let named = match word {
        Some(word) => {
            let value = told.client.ok_or(Unasked::Missing(word))?;
            Some(address_of(value).ok_or(Unasked::NoAddress(word))?)
        }
        None => None,
    };
    // Where the proxy says who connected to it, that is who it is, whatever it was told since.
    let peer_differs = |address: IpAddr| told.peer.is_some_and(|peer| address_of(peer) != Some(address));
    let by_word = |address: IpAddr, is_direct: bool| {
        let here = door.bans == Bans::Kernel && is_direct && !peer_differs(address);
        Client { address, by_proxy: !here }
    };
    if let Some(address) = named.filter(|&address| !contain(&door.trusted_proxies, address)) {
        return Ok(by_word(address, true));
    }
    let hops = chain.iter().rev().flat_map(|line| line.rsplit(|&byte| byte == b','));
    let mut found = named;
    for (at, hop) in hops.enumerate() {
        let Some(address) = address_of(hop.trim_ascii()).filter(|_| at < MAX_HOPS) else { break };
        found = Some(address);
        if !contain(&door.trusted_proxies, address) {
            return Ok(by_word(address, named.is_none() && at == 0));
        }
    }
    let address = match (found, chain.is_empty()) {
        (Some(address), _) => address,
        (None, true) => return Err(Unasked::Missing(FORWARDED_FOR)),
        (None, false) => return Err(Unasked::NoAddress(FORWARDED_FOR)),
    };
    Ok(Client { address, by_proxy: true })
}

#[cfg(test)]
mod tests;
