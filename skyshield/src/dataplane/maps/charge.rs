//! Taking charge of what an earlier daemon has left, and keeping the tables of what is near right.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aya::programs::ProgramFd;
use skyshield_common::host::Hold;
use skyshield_common::{Settings as Wire, maps as names};
use tracing::warn;

use super::super::backing::Maps;
use super::super::clock;
use super::super::error::Error;
use super::super::family::{Value, failed};
use super::super::ranges::Generations;
use super::KernelMaps;

impl KernelMaps {
    /// Takes charge: of a clock that runs, and of tables that say what the records say, whatever an
    /// earlier daemon was doing when it died.
    pub(in crate::dataplane) fn take_charge(
        &mut self,
        anchor: ProgramFd,
        flows_mask: u32,
    ) -> Result<(), Error> {
        let before = self.there()?;
        self.said = before;
        self.own = Wire {
            jiffy_ns: clock::jiffy_ns(),
            seed: if before.seed == 0 { RandomState::new().hash_one(()) } else { before.seed },
            flows_mask: flows_mask.into(),
            ..Wire::default()
        };
        self.anchor = Some(anchor);
        for key in self.shapes.keys().collect::<Result<Vec<_>, _>>().map_err(failed("walk", names::SHAPES))? {
            self.shapes.remove(&key).map_err(failed("delete from", names::SHAPES))?;
        }
        // First: whatever is put below is followed from what it says.
        self.hosts.mend_roster()?;
        let records = self.v4.bans()?;
        let mut stray: std::collections::HashMap<u32, Hold> = self.hosts.all()?.into_iter().collect();
        let said = Generations { v4: before.ranges_v4, v6: before.ranges_v6 };
        self.generations = self.ranges.checked(said);
        self.own.rules = before.rules;
        if let Some(placed) = self.places.read(before.places) {
            (self.placed, self.own.places) = (placed, before.places);
        }
        self.listed = self.list_in_force()?.listed();
        let mut amiss = Vec::new();
        for (source, ban) in records {
            let IpAddr::V4(address) = source.address() else { continue };
            let hold = stray.remove(&address.to_bits()).unwrap_or_default();
            if hold != hold.until(ban.expires_at_ns) || !hold.is_banned() {
                amiss.push((address, hold.until(ban.expires_at_ns)));
            }
        }
        // Banned, by a daemon that died before it had the record out of the way, or in it. They make room first.
        for (address, hold) in stray.into_iter().filter(|(_, hold)| hold.is_banned()) {
            self.hosts.put(address, hold.until(0))?;
        }
        self.enforce(amiss)?;
        self.hosts_v6.mend(self.own.seed, self.v6.bans()?);
        self.rebuild_near()?;
        self.near_allowed.rebuild(&Maps::allowed(self)?);
        self.say()?;
        self.begin_epoch();
        self.keep_time()
    }

    /// Has the table say what these records do. What does not fit into it is no ban.
    fn enforce(&mut self, records: Vec<(Ipv4Addr, Hold)>) -> Result<(), Error> {
        for (address, hold) in records {
            match self.hosts.put(address.to_bits(), hold) {
                Err(Error::Full { map, .. }) => {
                    warn!(%address, map, "a ban that an earlier daemon has left is lost: there is no room for it");
                    self.v4.cut_ban(address.octets())?;
                }
                put => put?,
            }
        }
        Ok(())
    }

    pub(super) fn rebuild_near(&mut self) -> Result<(), Error> {
        let hosts_v4 = if self.near.has_hosts_v4() { self.hosts.all()? } else { Vec::new() };
        let hosts_v4 = hosts_v4.into_iter().map(|(address, _)| address);
        let hosts_v6: Vec<_> = self.v6.bans()?;
        let hosts_v6 = hosts_v6.iter().filter_map(|(source, _)| match source.address() {
            IpAddr::V6(address) => Some(address.octets()),
            IpAddr::V4(_) => None,
        });
        let mut prefixes = self.v4.prefixes()?;
        prefixes.extend(self.v6.prefixes()?);
        let list = self.ranges_in_force();
        let prefixes = prefixes.into_iter().map(|(prefix, _)| prefix).chain(list.prefixes());
        let prefixes = prefixes.chain(self.placed.prefixes());
        self.near.rebuild(hosts_v4, hosts_v6, prefixes);
        self.stale = 0;
        Ok(())
    }

    /// Writes the settings, if they have changed, around what the anchor program has written.
    pub(super) fn say(&mut self) -> Result<(), Error> {
        let there = self.there()?;
        let wanted = Wire {
            jiffy_ns: self.own.jiffy_ns,
            clock_offset_ns: there.clock_offset_ns,
            seed: self.own.seed,
            epoch: there.epoch,
            flows_mask: self.own.flows_mask,
            places: self.own.places,
            rules: self.own.rules,
            stashed: self.hosts.stashed().into(),
            beside_v6: self.hosts_v6.beside(),
            depths: self.near.depths(),
            allowed: self.near_allowed.any().into(),
            shaped: self.own.shaped,
            ranges_v4: self.generations.v4,
            ranges_v6: self.generations.v6,
            ..self.said
        }
        .summed_up();
        if wanted != there {
            self.settings.set(0, Value(wanted), 0).map_err(failed("write", names::SETTINGS))?;
        }
        // What is said need not be said again, and only that.
        let Wire { depths, stashed, beside_v6, .. } = wanted;
        self.own = Wire { depths, stashed, beside_v6, ..self.own };
        Ok(())
    }

    /// Has everything pass until then, beside whatever else is said: for whoever has not taken charge.
    pub(in crate::dataplane) fn bypass(&mut self, until_ns: u64) -> Result<(), Error> {
        let wire = Wire { bypass_until_ns: until_ns, ..self.there()? }.summed_up();
        self.settings.set(0, Value(wire), 0).map_err(failed("write", names::SETTINGS))
    }

    /// How much longer everything passes.
    pub(in crate::dataplane) fn bypass_left(&self) -> Result<Duration, Error> {
        Ok(Duration::from_nanos(self.there()?.bypass_until_ns.saturating_sub(clock::now_ns())))
    }

    /// What the program is told now.
    fn there(&self) -> Result<Wire, Error> {
        let Value(there) = self.settings.get(&0, 0).map_err(failed("read", names::SETTINGS))?;
        Ok(there)
    }

    /// Says it where something of IPv6 came in at a depth that was empty, or where more or fewer are beside its table.
    pub(super) fn say_changes(&mut self) -> Result<(), Error> {
        if (self.near.depths(), self.hosts_v6.beside()) == (self.own.depths, self.own.beside_v6) {
            return Ok(());
        }
        self.say()
    }
}
