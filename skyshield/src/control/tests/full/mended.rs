//! What the reconciler says of differences that it mends, and of those that stay.

use std::net::Ipv4Addr;

use super::*;
use crate::control::reconcile::MOST;
use crate::dataplane::Entry;

#[tokio::test]
async fn what_cannot_be_mended_is_told_once_and_not_as_mended() {
    let host = Host::new();
    host.keep([kept(1, "203.0.113.7", Origin::Operator, 600)]);
    let mut idle = host.idle();
    host.kernel.lock().remove(source("203.0.113.7")).unwrap();
    host.kernel.set_refusing(true);
    let ((), told) = Log::of("", || (0..3).for_each(|_| mend(&host, &mut idle)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("could not be mended") && told[0].contains("refused to write"), "{told:?}");
    assert_eq!(idle.metrics.repairs.with_label_values(&["missing"]).get(), 0);
    let health = idle.task.health();
    assert_eq!((health.drift, health.unmended, health.waiting_for_room), (1, 1, 0));
    host.kernel.set_refusing(false);
    let ((), told) = Log::of("and was mended", || mend(&host, &mut idle));
    assert_eq!(told.len(), 1);
    assert_eq!(idle.task.health().unmended, 0);
    // And once more, if it comes back.
    host.kernel.lock().remove(source("203.0.113.7")).unwrap();
    host.kernel.set_refusing(true);
    let ((), told) = Log::of("could not be mended", || mend(&host, &mut idle));
    assert_eq!(told.len(), 1);
    idle.close();
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_not_said_to_be_in_step() {
    let host = Host::new();
    host.keep([kept(1, "203.0.113.7", Origin::Operator, 600)]);
    let mut idle = host.idle();
    host.kernel.lock().remove(source("203.0.113.7")).unwrap();
    host.kernel.set_unreadable(true);
    let ((), told) = Log::of("could not be mended", || (0..2).for_each(|_| mend(&host, &mut idle)));
    assert_eq!(told.len(), 1, "{told:?}");
    let health = idle.task.health();
    assert_eq!((health.drift, health.unmended, health.is_in_step()), (1, 1, false));
    host.kernel.set_unreadable(false);
    mend(&host, &mut idle);
    assert_eq!((idle.task.health().drift, idle.task.health().unmended), (1, 0));
    mend(&host, &mut idle);
    assert!(idle.task.health().is_in_step());
    idle.close();
}

/// Has three looks taken, of which the first finds one difference more than it mends.
fn mend_in_two_looks(host: &Host, idle: &mut Idle) {
    for expected in [(MOST + 1, 1), (1, 0), (0, 0)] {
        mend(host, idle);
        let health = idle.task.health();
        assert_eq!((health.drift, health.unmended), expected);
    }
}

#[tokio::test]
async fn what_is_beyond_one_look_is_not_said_to_be_mended() {
    let addresses =
        || (0x0b00_0000..).take(MOST + 1).map(|bits| Source::host(Ipv4Addr::from_bits(bits).into()));
    let host = Host::new();
    let mut idle = host.idle();
    let of_nobody = Entry { decision: DecisionId(1), origin: Origin::Detector, ttl: Some(secs(600)) };
    for source in addresses() {
        host.kernel.lock().install(source, of_nobody).unwrap();
    }
    mend_in_two_looks(&host, &mut idle);
    for source in addresses() {
        let new = NewBan { source, ..by(Origin::Detector, "203.0.113.7", Some(secs(600))) };
        let lost = idle.task.ledger.draft(new, clock::now()).unwrap().unwrap();
        idle.task.ledger.restore(&lost);
    }
    mend_in_two_looks(&host, &mut idle);
    idle.close();
}
