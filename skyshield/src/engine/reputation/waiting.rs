//! Addresses that wait to be asked about, those first whose answer is worth most.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Addresses that wait at the most; beyond it the least worth go.
const ROOM: usize = 4096;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Worth in thousandths, then who came first.
    order: BTreeSet<(u16, std::cmp::Reverse<u64>, IpAddr)>,
    places: HashMap<IpAddr, (u16, std::cmp::Reverse<u64>)>,
    came: u64,
    dropped: u64,
}

impl Waiting {
    /// Has `address` wait for a question of this worth, 0 to 1; whoever waits already is worth the more
    /// of both.
    pub(super) fn wait(&mut self, address: IpAddr, worth: f32) {
        let worth = milli(worth);
        if let Some(&(known, came)) = self.places.get(&address) {
            if worth <= known {
                return;
            }
            self.order.remove(&(known, came, address));
        } else if self.places.len() >= ROOM {
            let Some(&(least, came, who)) = self.order.first() else { return };
            self.dropped += 1;
            if least >= worth {
                return;
            }
            self.order.remove(&(least, came, who));
            self.places.remove(&who);
        }
        self.came += 1;
        let came = std::cmp::Reverse(self.came);
        self.order.insert((worth, came, address));
        self.places.insert(address, (worth, came));
    }

    /// What the most valuable question is worth.
    pub(super) fn worth(&self) -> Option<f32> {
        self.order.last().map(|(worth, ..)| f32::from(*worth) / 1000.0)
    }

    /// The address that the most valuable question is about.
    pub(super) fn take(&mut self) -> Option<(IpAddr, f32)> {
        let (worth, _, address) = self.order.pop_last()?;
        self.places.remove(&address);
        Some((address, f32::from(worth) / 1000.0))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn milli(worth: f32) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let milli = (worth.clamp(0.0, 1.0) * 1000.0) as u16;
    milli
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0x2d00_0000 + n).into())
    }

    #[test]
    fn the_most_valuable_question_comes_first_and_a_flood_pushes_out_only_what_is_worth_less() {
        let mut waiting = Waiting::default();
        waiting.wait(address(1), 0.7);
        for n in 0..100_000 {
            waiting.wait(address(100 + n), 0.0);
        }
        waiting.wait(address(2), 0.9);
        waiting.wait(address(3), 0.2);
        waiting.wait(address(3), 0.8);
        waiting.wait(address(2), 0.1);
        assert_eq!(waiting.len(), ROOM);
        assert!(waiting.dropped() > 95_000);
        let first: Vec<_> =
            std::iter::from_fn(|| waiting.take()).take(4).map(|(address, _)| address).collect();
        assert_eq!(
            first,
            [address(2), address(3), address(1), address(100)],
            "and of equals, who came first"
        );
    }
}
