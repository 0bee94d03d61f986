//! Pure: what an operator lets through although a rule speaks against it; what would have to change for
//! a refused request to pass; and what else an exception would let in.

mod change;
mod exception;
mod place;
mod preview;
mod propose;
mod scope;
mod set;

pub use change::{Change, change};
pub use exception::Exception;
pub use place::{NotAPlace, place_from, place_text};
pub use preview::{Admitted, Past, Preview, preview};
pub use propose::propose;
pub use scope::{Circumstances, Scope};
pub use set::{Held, Live, MAX_EXCEPTIONS, Set};
