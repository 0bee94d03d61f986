//! Honest people, who notice nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::report::Tally;
use crate::http::{connect_from, exchange};
use crate::shop::MARK;
use crate::traffic;
use crate::world::{HOST, World, gateway, honest_client};

/// People shopping at once.
pub(super) const THREADS: u16 = 4;
/// Each comes from this many addresses in turn: a customer logs in once a visit, and nobody may do that
/// more than five times in five minutes.
const ADDRESSES: u16 = 2000;
/// Between two requests of one person.
const PAUSE: Duration = Duration::from_millis(15);
/// Nobody waits longer for a page.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shops until told to stop, over one kept-alive connection after the other.
pub(super) fn shop(world: &World, shift: u16, tally: &Tally, stop: &AtomicBool) -> anyhow::Result<()> {
    let requests = traffic::honest(HOST);
    world.clients.run(|| {
        for visit in 0.. {
            let from = honest_client(shift * ADDRESSES + visit % ADDRESSES + 1);
            let mut stream = connect_from(from, gateway(from), PATIENCE);
            for request in &requests {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let answer = match &mut stream {
                    Ok(stream) => exchange(stream, request).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let first_line =
                    || String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_owned();
                let outcome = match answer {
                    Ok(answer)
                        if answer.status == 200 && String::from_utf8_lossy(&answer.body).contains(MARK) =>
                    {
                        Ok(())
                    }
                    Ok(answer) => Err(format!("honest {from}: {} answered {}", first_line(), answer.status)),
                    Err(error) => Err(format!("honest {from}: {}: {error}", first_line())),
                };
                if outcome.is_err() {
                    stream = connect_from(from, gateway(from), PATIENCE);
                }
                tally.honest(outcome);
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    })
}
