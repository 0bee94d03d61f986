//! Bans and lists, put into the maps in an order in which the program may see each step.

use std::mem::offset_of;
use std::net::IpAddr;

use ipnet::IpNet;
use skyshield_common::host::Hold;
use skyshield_common::{Ban, PrefixBan, Rate, RateKey, Settings as Wire, clearance, maps as names};

use super::super::backing::Listed;
use super::super::enforcer::Replaced;
use super::super::error::Error;
use super::super::family::{Value, failed};
use super::super::list::{List, missing_from};
use super::KernelMaps;

impl KernelMaps {
    /// Has the program look up again whom it has found clear: to be called after whatever may have made a ban, a list
    /// or a place meet a source that none met before, whether all of it succeeded or not.
    pub(super) fn begin_epoch(&self) {
        const AT: usize = offset_of!(Wire, epoch) / size_of::<u64>();
        self.told.store(AT, clearance::next(self.told.load(AT)));
    }

    pub(super) fn write_ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), Error> {
        match address {
            IpAddr::V4(address) => {
                let (octets, address) = (address.octets(), address.to_bits());
                let hold = self.hosts.hold(address).until(ban.expires_at_ns);
                self.v4.put_ban(octets, ban)?;
                let put = self.put_host(address, hold);
                if put.is_err() && self.hosts.hold(address) == Hold::NONE {
                    // A record alone would be taken for a ban in force.
                    self.v4.cut_ban(octets)?;
                }
                put
            }
            IpAddr::V6(address) => {
                self.v6.put_ban(address.octets(), ban)?;
                self.hosts_v6.put(address, Hold::NONE.until(ban.expires_at_ns));
                self.near.add_host_v6(address.octets());
                self.say_changes()
            }
        }
    }

    pub(super) fn write_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error> {
        let before = self.prefix(prefix)?;
        match prefix {
            IpNet::V4(net) => self.v4.put_prefix(net.prefix_len(), net.network().octets(), ban, before),
            IpNet::V6(net) => self.v6.put_prefix(net.prefix_len(), net.network().octets(), ban, before),
        }?;
        self.near.add_prefix(prefix);
        self.say_changes()
    }

    pub(super) fn write_list(&mut self, list: &List) -> Result<Replaced, Error> {
        let none = self.listed == Listed::default();
        let before = if none { List::default() } else { self.list_in_force()? };
        let replaced = list.replaces(&before);
        if replaced == Replaced::default() {
            return Ok(replaced);
        }
        // What is on both lists is dropped throughout, in whatever form. Addresses that are on the new
        // one in none make room first: of the table the list may fill three quarters.
        let gone: Vec<u32> = missing_from(&before.hosts, &list.hosts).collect();
        let (moved, gone): (Vec<_>, Vec<_>) = gone.into_iter().partition(|host| list.is_in_range(*host));
        let new: Vec<u32> = missing_from(&list.hosts, &before.hosts).collect();
        for &address in &gone {
            self.hosts.list(address, false)?;
        }
        for (at, &address) in new.iter().enumerate() {
            // Each lies anywhere in a table that no cache holds: fetched one by one they would take most
            // of the time.
            const AHEAD: usize = 16;
            if let Some(&later) = new.get(at + AHEAD) {
                self.hosts.foresee(later);
            }
            if let Err(error) = self.hosts.list(address, true) {
                for &address in &new[..at] {
                    self.hosts.list(address, false)?;
                }
                for &address in &gone {
                    self.hosts.list(address, true)?;
                }
                // Some may be in the stash by now that were in a bucket.
                self.say()?;
                return Err(error);
            }
            self.near.add_host_v4(address);
        }
        let in_force = self.generations;
        if (&before.v4, &before.v6) != (&list.v4, &list.v6) {
            for prefix in list.prefixes() {
                self.near.add_prefix(prefix);
            }
            self.generations = self.ranges.write(self.generations, &list.v4, &list.v6);
        }
        self.listed = list.listed();
        // From here on the new ranges are in force, and what has moved into them may go; where it cannot be said the
        // old ones stay, and are to be found by the next list.
        if let Err(error) = self.say() {
            self.generations = in_force;
            self.listed = self.list_in_force()?.listed();
            return Err(error);
        }
        for &address in &moved {
            self.hosts.list(address, false)?;
        }
        self.stale = self.stale.saturating_add(replaced.removed);
        Ok(replaced)
    }

    /// Makes the rate of `key`, which was `before`, one of its own, or the common one again.
    pub(super) fn write_shape(
        &mut self,
        key: RateKey,
        before: Option<Rate>,
        rate: Option<Rate>,
    ) -> Result<(), Error> {
        if let Some(rate) = rate {
            self.shapes.insert(key.0, Value(rate), 0).map_err(failed("write", names::SHAPES))?;
            self.own.shaped += u64::from(before.is_none());
        } else if before.is_some() {
            self.shapes.remove(&key.0).map_err(failed("delete from", names::SHAPES))?;
            self.own.shaped -= 1;
        }
        Ok(())
    }

    pub(super) fn put_host(&mut self, address: u32, hold: Hold) -> Result<(), Error> {
        self.hosts.put(address, hold)?;
        if hold != Hold::NONE {
            self.near.add_host_v4(address);
        } else if self.near.has_hosts_v4() {
            self.stale += 1;
        }
        if u64::from(self.hosts.stashed()) != self.own.stashed {
            self.say()?;
        }
        Ok(())
    }
}
