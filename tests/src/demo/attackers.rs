//! Attackers: one attack each, and then they find that nobody is there any more.

use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::report::Tally;
use crate::http::{ask, connect_from};
use crate::traffic::{self, Attack};
use crate::world::{HOST, World, attacker, gateway};

/// Attackers at once.
pub(super) const THREADS: u16 = 2;
/// Between two attackers of one thread.
const PAUSE: Duration = Duration::from_millis(20);
/// An attacker waits this long for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Datagrams that each sends after its ban.
const KNOCKS: usize = 10;
/// Every so manyth also tries to connect again, which takes as long as it is patient.
const RETRY_EVERY: u16 = 25;
/// For this long.
const RETRY_PATIENCE: Duration = Duration::from_millis(400);

/// Attacks until told to stop, but at least once with everything on the list.
pub(super) fn attack(world: &World, shift: u16, tally: &Tally, stop: &AtomicBool) -> anyhow::Result<()> {
    let attacks = traffic::attacks(HOST);
    let all: Vec<&Attack> = attacks.iter().collect();
    world.clients.run(|| {
        for turn in 0_u16.. {
            let number = turn.saturating_mul(THREADS).saturating_add(shift + 1);
            let is_first_round = usize::from(number) <= all.len();
            if number > 30_000 || (stop.load(Ordering::Relaxed) && !is_first_round) {
                return Ok(());
            }
            let attack = all[usize::from(number - 1) % all.len()];
            let from = attacker(number);
            let outcome = match ask(from, gateway(from), &attack.request, PATIENCE) {
                Ok(answer) if answer.status == 403 => Ok(()),
                Ok(answer) => Err(format!("attack {}: {} answered {}", from, line(attack), answer.status)),
                Err(error) => Err(format!("attack {}: {}: {error}", from, line(attack))),
            };
            tally.attack(from, attack.kind, &line(attack), outcome);
            knock(from)?;
            if number.is_multiple_of(RETRY_EVERY) && connect_from(from, gateway(from), RETRY_PATIENCE).is_ok()
            {
                tally.wrong(format!("{from} is banned and could connect again"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    })
}

/// Datagrams to a port nobody listens on: they end in the kernel, or they would be answered by an error.
fn knock(from: IpAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((from, 0))?;
    let mut to = gateway(from);
    to.set_port(9);
    for _ in 0..KNOCKS {
        // An earlier datagram's refusal would show here, had it got through; dropped ones say nothing.
        let _ = socket.send_to(b"knock", to);
    }
    Ok(())
}

fn line(attack: &Attack) -> String {
    let request = String::from_utf8_lossy(&attack.request).into_owned();
    let first = request.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    if first.starts_with("POST") || first.ends_with(" /") {
        format!("{first} (in body or header)")
    } else {
        first
    }
}
