//! The short way: what most packets are, judged without anything that the others ask for.
//!
//! A packet without tags or extension headers, and a host whose operator has said nothing of rules and
//! rates beside the one of packets. Whatever is otherwise takes the long way from its beginning: this
//! one has changed nothing until it has an answer, and its answers are [`screen`](crate::screen)'s.

use skyshield_common::{Address, Limit, Reason, Settings, flag, rate};

use crate::parse::{ETHERNET_BYTES, ETHERTYPE_AT, Frame, IPV4, IPV6, IPV6_BYTES};
use crate::plain::{is_plain_v4, is_plain_v6};
use crate::screen::{Admission, Glance, Tables};

/// What became of a packet on the short way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// [`Reason::Passed`].
    Passed,
    /// [`Reason::BannedExact`], at this time.
    Banned(u64),
    /// [`Reason::RateExceeded`], at this time.
    Exceeded(u64),
    /// It is the other way's.
    Undecided,
}

impl Quick {
    /// The reason, where there is one.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Passed => Some(Reason::Passed),
            Self::Banned(_) => Some(Reason::BannedExact),
            Self::Exceeded(_) => Some(Reason::RateExceeded),
            Self::Undecided => None,
        }
    }
}

/// Judges a packet, if it can. The frame need not know its length where the packet is longer than that.
#[inline(always)]
pub fn quick<F: Frame + ?Sized, T: Tables>(frame: &F, tables: &T) -> Quick {
    let at = ETHERNET_BYTES;
    let Some(ethertype) = frame.read(ETHERTYPE_AT) else { return Quick::Undecided };
    match u16::from_be_bytes(ethertype) {
        IPV4 => {
            let Some([first, _, _, source, _]) = frame.quads(at) else { return Quick::Undecided };
            // Without options, and not longer than the frame.
            if first >> 24 != 0x45 || at + (first & 0xffff) as usize > frame.length() {
                return Quick::Undecided;
            }
            let is_plain = || frame.quads(at).is_some_and(|header| is_plain_v4(frame, at, header));
            judge(&Address::from_v4(source), tables, is_plain)
        }
        IPV6 => {
            let Some([first, high, low, _, _]) = frame.words(at) else { return Quick::Undecided };
            let end = at + IPV6_BYTES + (first >> 16 & 0xffff) as usize;
            // An IPv4 address in the dress of IPv6 goes by its other name.
            if first >> 60 != 6 || end > frame.length() || high == 0 {
                return Quick::Undecided;
            }
            let is_plain = || frame.words(at).is_some_and(|header| is_plain_v6(frame, at, header));
            judge(&Address { high, low }, tables, is_plain)
        }
        _ => Quick::Undecided,
    }
}

#[inline(always)]
fn judge<T: Tables>(source: &Address, tables: &T, is_plain: impl FnOnce() -> bool) -> Quick {
    let Some(settings) = tables.settings() else { return Quick::Undecided };
    if settings.has(flag::BYPASS) {
        return Quick::Undecided;
    }
    let now_ns = tables.now_ns(settings);
    if settings.silent_after_ns != 0 && now_ns > settings.silent_after_ns {
        return Quick::Undecided;
    }
    let is_banned = match tables.glance(source, settings, now_ns) {
        Glance::Banned => true,
        Glance::Clear => false,
        Glance::Unclear => tables.bans(source, settings, now_ns),
    };
    if is_banned {
        let is_decided = !may_be_spared(source, settings, tables);
        return if is_decided { Quick::Banned(now_ns) } else { Quick::Undecided };
    }
    let hash = rate::hash(source.rate_source(), Limit::Packets as u64, settings.seed);
    // Of a source that was never seen before neither what is near nor its bucket is at hand: a processor
    // that goes on before it knows the one fetches both at once.
    let home = tables.home(hash);
    let is_asked_more = settings.rules != 0 || settings.limits & !Limit::Packets.bit() != 0;
    if is_asked_more || tables.near_prefix(source, settings) {
        return Quick::Undecided;
    }
    if settings.shaped != 0 && tables.shape(source).is_some() {
        return Quick::Undecided;
    }
    let (now, rate) = (rate::units(now_ns), settings.rate(Limit::Packets));
    if tables.is_over(home, hash, now, rate) && settings.limits != 0 {
        // Without a limit the cell says nothing. With one it is dropped whatever is odd about it, where that by itself
        // drops nothing.
        let is_decided = settings.dropped == 0 && !may_be_spared(source, settings, tables);
        return if is_decided { Quick::Exceeded(now_ns) } else { Quick::Undecided };
    }
    if !is_plain() {
        return Quick::Undecided;
    }
    if rate.interval == 0 {
        return Quick::Passed;
    }
    match tables.admit_from(home, hash, now, rate) {
        Admission::Within => Quick::Passed,
        // Nothing was taken out of any bucket: the long way may ask again.
        Admission::Over | Admission::Untracked => Quick::Undecided,
    }
}

/// Whether a packet from `source` might pass although something speaks against it.
#[inline(always)]
fn may_be_spared<T: Tables>(source: &Address, settings: &Settings, tables: &T) -> bool {
    settings.spared != 0 || tables.near_allowed(source, settings)
}

#[cfg(test)]
mod tests;
