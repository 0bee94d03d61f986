//! What a data plane does for the rest of the daemon, be it the kernel or a model of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use skyshield_common::{Counter, LIMITS, Limit, Reason};

use super::error::Error;
use super::list::List;
use super::rules::Rule;
use crate::engine::decision::{DecisionId, Origin};
use crate::engine::place::Places;
use crate::engine::source::Source;

/// For how long the kernel side may be bypassed at a time.
pub const LONGEST_BYPASS: Duration = Duration::from_hours(24);

/// A ban in force, as the kernel is to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The decision behind it.
    pub decision: DecisionId,
    /// On whose authority.
    pub origin: Origin,
    /// How much longer; `None` is until it is lifted.
    pub ttl: Option<Duration>,
}

/// Packets and bytes per reason, summed over the CPUs. What an interface has received is the sum of all.
pub type Counters = Vec<(Reason, Counter)>;

/// What became of the events of drops; their sum is what was dropped (or would have been).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTotals {
    /// Written to the ring buffer.
    pub sent: u64,
    /// Left out by the sampler.
    pub skipped: u64,
    /// Lost to a full ring buffer.
    pub lost: u64,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub map: &'static str,
    /// What is in it.
    pub entries: u32,
    /// What fits.
    pub capacity: u32,
}

/// What may be changed while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each of which stands for itself")]
pub struct Settings {
    /// Drop packets that are cut short or contradict themselves.
    pub drop_malformed: bool,
    /// Drop packets whose source nobody can have, or is their destination.
    pub drop_martians: bool,
    /// Drop TCP with flags that no stack sends.
    pub drop_bad_flags: bool,
    /// Drop nothing; count and tell what would have been dropped.
    pub dry_run: bool,
    /// The same for these reasons alone, by [`Reason::bit`].
    pub spared: u64,
    /// How much a source or a network may send; indexed by [`Limit`].
    pub limits: [Allowance; LIMITS],
    /// Events of drops that each CPU may send in a millisecond.
    pub events_per_ms: u32,
}

impl Settings {
    /// How much a source or a network may send.
    pub fn limit(&mut self, limit: Limit) -> &mut Allowance {
        &mut self.limits[limit as usize]
    }
}

/// All of a configuration that a running kernel side can take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Numbers and switches.
    pub settings: Settings,
    /// Rules on ports and protocols.
    pub rules: Vec<Rule>,
    /// For how long the kernel does without the daemon, where it is to miss it at all.
    pub missed_after: Option<Duration>,
}

/// How much may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// So much a second; 0 is no limit.
    pub per_sec: u64,
    /// So much at once after a pause; 0 is twice as much as in a second, and of bytes no less than the largest frame.
    pub burst: u64,
}

/// The rate of one source, in place of the common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Packets a second; 0 is read as 1.
    pub packets_per_sec: u64,
    /// Packets at once after a pause.
    pub burst: u64,
}

/// What the replacement of the list came to, in entries: an address by itself is one, and so is a
/// range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Entries that were not on the list before.
    pub added: u32,
    /// Entries that are not on it any more.
    pub removed: u32,
}

/// What a ban has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Packets that it dropped. Beyond some ten thousand a second a sample counts for those between.
    pub packets: u64,
    /// How long ago the last of them was; `None` if there was none.
    pub last: Option<Duration>,
}

/// What a rule, or what is decided of a place, has met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whether it is a rule on ports and protocols, or a place.
    pub kind: HitKind,
    /// Its name.
    pub name: String,
    /// Packets and bytes that it was the first to suit.
    pub counter: Counter,
}

/// What has met something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitKind {
    /// A rule on ports and protocols.
    Rule,
    /// What is decided of a place.
    Place,
}

impl HitKind {
    /// Its name in the metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Place => "place",
        }
    }
}

/// Who has sent much, by a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// An IPv4 address, or the /64 of an IPv6 one.
    pub source: Source,
    /// Packets, about.
    pub packets: u64,
    /// Packets that were dropped, about.
    pub dropped: u64,
    /// Bytes, about.
    pub bytes: u64,
}

/// Enforces bans. Owned by one task; each call is a few system calls and never waits.
pub trait Enforcer: Send {
    /// Bans `source` from the next packet on, in place of any earlier ban of the same source.
    fn install(&mut self, source: Source, entry: Entry) -> Result<(), Error>;

    /// Ends the ban of `source`; whether there was one, ended or not.
    fn remove(&mut self, source: Source) -> Result<bool, Error>;

    /// The ban of exactly `source`, with what is left of its time.
    fn get(&self, source: Source) -> Result<Option<Entry>, Error>;

    /// All bans in force. Walks the whole map: use [`Self::reader`] off the control task.
    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error>;

    /// Gives `source` (with its /64, if it is IPv6) a rate of its own, or the common one again with
    /// `None`. Kept by the kernel until the daemon starts again.
    fn shape(&mut self, source: IpAddr, shape: Option<Shape>) -> Result<(), Error>;

    /// Makes `addresses` the list of those that are dropped beside the bans, until it is replaced;
    /// it outlives the daemon. What is on both the old and the new one is dropped throughout: only
    /// the difference is written. A ban of the same address is its own affair.
    fn replace_list(&mut self, addresses: &[Ipv4Addr]) -> Result<Replaced, Error>;

    /// [`Self::replace_list`] of addresses and prefixes of both families; the ranges among them replace the
    /// last ones between two packets.
    fn load_list(&mut self, list: &List) -> Result<Replaced, Error>;

    /// Makes `places` all that is decided of places, until it is replaced; it outlives the daemon. They
    /// replace the last ones between two packets, and cost nobody anything whose address is in none.
    fn set_places(&mut self, places: &Places) -> Result<(), Error>;

    /// Makes `rules` the rules on ports and protocols, at most 256, between two packets.
    fn set_rules(&mut self, rules: &[Rule]) -> Result<(), Error>;

    /// What the ban of exactly `source` has met.
    fn met(&self, source: Source) -> Result<Met, Error>;

    /// Who has sent most since the last call, most packets first.
    fn take_senders(&mut self) -> Vec<Sender>;

    /// Frees the room of up to `limit` bans that have ended by themselves; how many it freed. The
    /// kernel has long stopped enforcing them. Also sets the kernel's clock right: to be called about
    /// once a second.
    fn sweep(&mut self, limit: usize) -> Result<usize, Error>;

    /// Makes `sources` the allow list. What stays is never absent in between.
    fn set_allowed(&mut self, sources: &[Source]) -> Result<(), Error>;

    /// The allow list, sorted.
    fn allowed(&self) -> Vec<Source>;

    /// Packets and bytes per reason.
    fn counters(&self) -> Result<Counters, Error>;

    /// What became of the events.
    fn event_counters(&self) -> Result<EventTotals, Error>;

    /// How full each map of policy is.
    fn fill(&self) -> Vec<Fill>;

    /// Puts `settings` in force.
    fn set_settings(&mut self, settings: Settings) -> Result<(), Error>;

    /// Tells the kernel that the daemon lives, and is to be missed after `ttl`, or never. To be called with a
    /// `ttl` only where the configuration says `on_silence = "disarm"`: from then on the kernel lets
    /// everything pass once the last `ttl` has run out.
    fn heartbeat(&mut self, ttl: Option<Duration>) -> Result<(), Error>;

    /// Lets everything pass for `ttl`, [`LONGEST_BYPASS`] at the most, and counts it; or, with `None`, no more. The
    /// kernel ends it by itself, daemon or no daemon; but until that is said by a call with `None`, each packet goes the
    /// long way through the program to find it out.
    fn bypass(&mut self, ttl: Option<Duration>) -> Result<(), Error>;

    /// How much longer everything passes; zero where nothing is bypassed.
    fn bypass_left(&self) -> Duration;

    /// A second way to read, for another thread.
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;
}

/// Reads what an [`Enforcer`] enforces, from another thread.
pub trait Reader: Send {
    /// All bans in force.
    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error>;

    /// Packets and bytes per reason, of all interfaces together.
    fn counters(&self) -> Result<Counters, Error>;

    /// Packets and bytes per reason, of each interface that is guarded.
    fn by_interface(&self) -> Result<Vec<(String, Counters)>, Error>;

    /// What became of the events.
    fn event_counters(&self) -> Result<EventTotals, Error>;

    /// What each rule and each place has met.
    fn hits(&self) -> Result<Vec<Hit>, Error>;
}
