//! Why an order was not carried out.

use crate::engine::allow::NotAllowed;
use crate::engine::ledger::Rejected;
use crate::engine::ruling::NotRuled;
use crate::exceptions::MAX_EXCEPTIONS;
use crate::{dataplane, store};
/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The ledger refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The allow list refuses it.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The rulings in force are against it.
    #[error(transparent)]
    NotRuled(#[from] NotRuled),
    /// There is no such entry on the allow list.
    #[error("there is no such entry on the operator's allow list")]
    NoSuchAllow,
    /// There is no such ban in force.
    #[error("no such ban is in force")]
    NotInForce,
    /// It could not be kept; nothing has changed.
    #[error("it could not be kept on disk, so it was not done")]
    Store(#[from] store::Error),
    /// It is kept, but the kernel does not take it.
    #[error("it is kept on disk, but the kernel's map does not take it; the reconciler goes on trying")]
    Dataplane(#[from] dataplane::Error),
    /// The kernel has no room for it; nothing has changed.
    #[error("the kernel has no room for it, so it was not done")]
    NoRoom(#[source] dataplane::Error),
    /// The kernel does not take what is kept nowhere else.
    #[error("the kernel side does not take it")]
    Kernel(#[source] dataplane::Error),
    /// The address may stand for others than itself, and only a detector asks for it.
    #[error(
        "it may be a proxy that nobody has told of: name it in gateway.trusted_proxies, or ban it yourself"
    )]
    NotArmed,
    /// There is no such exception.
    #[error("no such exception is in force")]
    NoSuchException,
    /// There is no room for another exception.
    #[error("there are {MAX_EXCEPTIONS} exceptions already; remove some")]
    TooManyExceptions,
    /// The control task cannot keep up or has stopped.
    #[error("the control task takes no orders at the moment")]
    Busy,
}
