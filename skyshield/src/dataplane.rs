//! The kernel side as the daemon sees it: load, attach, pin, adopt, write, count.
//!
//! The only room that owns kernel time: bans come in with a time to live, and a deadline in
//! nanoseconds goes into the map. [`Kernel::open`] gives three parts that live with different
//! owners: the [`Enforcer`] with the control task, the [`Attachment`] with whoever watches the
//! interface, and the [`Events`] with the task that reads them. [`Memory`] enforces nothing and
//! otherwise behaves the same; [`Pinned`] looks at what a dead daemon has left behind.

mod attachment;
mod backing;
mod bpffs;
mod btf;
mod capability;
mod clock;
mod collector;
mod config;
mod cookies;
mod deadlines;
mod edges;
mod enforcer;
mod error;
mod events;
mod family;
mod hosts;
mod hosts_v6;
mod inheritance;
mod interface;
mod kernel;
mod link;
mod list;
mod maps;
mod memory;
mod near;
mod near_allowed;
mod pinned;
mod places;
mod prefixes;
mod ranges;
mod ring;
mod roster;
mod rule_maps;
mod rules;
mod shape;
mod shared;
mod stats;
mod sys;
mod table;
mod tap;
mod top;
mod wire;

pub use attachment::{Attached, Attachment, Change, Checked};
pub(crate) use backing::map_of;
pub use collector::Collector;
pub use config::{Config, Mode, OnSilence};
pub use enforcer::{
    Allowance, Counters, Enforcer, Entry, EventTotals, Fill, Hit, HitKind, LONGEST_BYPASS, Met, Reader,
    Replaced, Sender, Settings, Shape, Tuning,
};
pub use error::{Error, OpenError};
pub use events::Events;
pub use interface::XdpMode;
pub use kernel::{Kernel, OBJECT, object};
pub use list::List;
pub use memory::Memory;
pub use pinned::{Pinned, Remains};
pub use rules::{Action, Ports, Protocol, Rule};
pub use tap::{FlowWishes, Segments, TapCollector, Tapped};
