//! The short way: what most packets are, judged without anything that the others ask for.
//!
//! A packet without tags or extension headers, and a host whose operator has said nothing of rules and
//! rates beside the one of packets. Whatever is otherwise takes the long way from its beginning: this
//! one has changed nothing until it has an answer, and its answers are [`screen`](crate::screen)'s.

use skyshield_common::clearance::clearance;
use skyshield_common::rate::{self, Due};
use skyshield_common::{Address, Limit, Reason, Settings};

use crate::parse::{ETHERNET_BYTES, Frame, IPV4, IPV6, IPV6_BYTES};
use crate::plain::{is_plain_source, is_plain_v4, is_plain_v6};
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

/// The time, if packets may be judged by this way at it.
#[inline(always)]
pub fn open_at<T: Tables>(tables: &T) -> Option<u64> {
    let settings = tables.settings()?;
    let now_ns = tables.now_ns(settings);
    (now_ns < settings.short_until_ns).then_some(now_ns)
}

/// Judges a packet, if it can, at a time at which it [may](open_at). The frame need not know its length where the
/// packet is longer than that.
#[inline(always)]
pub fn quick<F: Frame + ?Sized, T: Tables>(frame: &F, tables: &T, now_ns: u64) -> Quick {
    // The ethertype ends the four bytes before the header, and no header is shorter than the words behind them.
    const FROM: usize = AT - size_of::<u32>();
    let Some([ethertype, first, _, _, source, _]) = frame.quads(FROM) else { return undecided() };
    #[expect(clippy::cast_possible_truncation, reason = "the second half of it")]
    match ethertype as u16 {
        IPV4 => {
            // Without options, and not longer than the frame.
            if first >> 24 != 0x45 || AT + (first & 0xffff) as usize > frame.length() {
                return undecided();
            }
            judge(&Address::from_v4(source), &V4(frame), tables, now_ns)
        }
        IPV6 => {
            let Some([first, high, low, _, _]) = frame.words(AT) else { return undecided() };
            let end = AT + IPV6_BYTES + (first >> 16 & 0xffff) as usize;
            // An IPv4 address in the dress of IPv6 goes by its other name.
            if first >> 60 != 6 || end > frame.length() || high == 0 {
                return undecided();
            }
            judge(&Address { high, low }, &V6(frame), tables, now_ns)
        }
        _ => undecided(),
    }
}

/// Where the header of IP begins.
const AT: usize = ETHERNET_BYTES;

/// The packet behind the header that has been looked at. It is read anew: the compiler would keep it on the stack
/// meanwhile.
trait Rest {
    /// Whether nothing is odd about it.
    fn is_plain(&self) -> bool;
}

struct V4<'a, F: ?Sized>(&'a F);

impl<F: Frame + ?Sized> Rest for V4<'_, F> {
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.0.quads(AT).is_some_and(|header| is_plain_v4(self.0, header))
    }
}

struct V6<'a, F: ?Sized>(&'a F);

impl<F: Frame + ?Sized> Rest for V6<'_, F> {
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.0.words(AT).is_some_and(|header| is_plain_v6(self.0, header))
    }
}

#[inline(always)]
fn judge<R: Rest, T: Tables>(source: &Address, rest: &R, tables: &T, now_ns: u64) -> Quick {
    let Some(settings) = tables.settings() else { return undecided() };
    if tables.is_met(source, now_ns) {
        return banned(source, tables, settings, now_ns);
    }
    let hash = rate::hash(source.rate_source(), Limit::Packets as u64, settings.seed);
    let home = tables.home(hash);
    // Before anything is looked up, so that what is found out is of this epoch or of a later one.
    let epoch = tables.epoch();
    let clearance = clearance(*source, hash, epoch);
    if !tables.is_cleared(home, clearance) {
        let source = &tables.after(epoch, source);
        let is_banned = match tables.glance(source, settings, now_ns) {
            Glance::Banned => true,
            Glance::Clear => false,
            Glance::Unclear => tables.bans(source, settings, now_ns),
        };
        if is_banned {
            return banned(source, tables, settings, now_ns);
        }
        if tables.near_prefix(source, settings) || !is_plain_source(*source) {
            return undecided();
        }
        tables.clear(home, hash, clearance);
    }
    if settings.asked_more != 0 {
        return undecided();
    }
    let (now, rate) = (rate::units(now_ns), settings.rate(Limit::Packets));
    // Without a limit a cell says nothing.
    let due = if rate.interval == 0 { Due::UNLIMITED } else { tables.due(home, hash, now, rate) };
    if due == Due::OVER {
        // It is dropped whatever is odd about it, where that by itself drops nothing.
        let is_decided = settings.dropped == 0 && !may_be_spared(source, settings, tables);
        return if is_decided { Quick::Exceeded(now_ns) } else { undecided() };
    }
    if !rest.is_plain() {
        return undecided();
    }
    if due == Due::UNLIMITED {
        return Quick::Passed;
    }
    match tables.admit_by(home, hash, now_ns, settings, due) {
        Admission::Within => Quick::Passed,
        // Nothing was taken out of any bucket: the long way may ask again.
        Admission::Over | Admission::Untracked => undecided(),
    }
}

/// Few packets are: the compiler makes room for the others.
#[inline(always)]
const fn undecided() -> Quick {
    core::hint::cold_path();
    Quick::Undecided
}

#[inline(always)]
fn banned<T: Tables>(source: &Address, tables: &T, settings: &Settings, now_ns: u64) -> Quick {
    if may_be_spared(source, settings, tables) { undecided() } else { Quick::Banned(now_ns) }
}

/// Whether a packet from `source` might pass although something speaks against it.
#[inline(always)]
fn may_be_spared<T: Tables>(source: &Address, settings: &Settings, tables: &T) -> bool {
    settings.may_spare != 0 && (settings.spared != 0 || tables.near_allowed(source, settings))
}

#[cfg(test)]
mod tests;
