//! A table with no room in its buckets.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;
use aya::maps::{HashMap, Map, MapData};
use skyshield::dataplane::{Config, Error};
use skyshield_common::{UNTIL_LIFTED, Verdict, host, maps};
use tests::packet;

use crate::bench::{Bench, entry, source};
use crate::table::address;

fn buckets(config: &Config) -> u32 {
    host::bucket_count(config.max_bans + config.max_listed)
}

/// Addresses that all belong into the same two buckets.
fn crowd(config: &Config, count: usize) -> Vec<Ipv4Addr> {
    let both = |address| host::buckets(host::Hash::of(address), buckets(config) - 1);
    let wanted = both(0x0a00_0001);
    let all = (0x0a00_0000_u32..).filter(|address| both(*address) == wanted);
    all.take(count).map(Ipv4Addr::from_bits).collect()
}

/// The stash takes what the buckets do not, and says when it is full as well.
pub(crate) fn stashed() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config { max_listed: 100, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let crowd = crowd(&config, 100);
        let full = kernel.enforcer.replace_list(&crowd);
        ensure!(matches!(full, Err(Error::Full { map: "STASH_V4", .. })), "{full:?}");
        for address in &crowd {
            let verdict = kernel.attachment.judge(&packet::udp(IpAddr::V4(*address)))?;
            ensure!(verdict == Verdict::Pass, "{address} is listed by a list that was refused");
        }
        let crowd = &crowd[..70];
        kernel.enforcer.replace_list(crowd)?;
        for address in crowd {
            ensure!(kernel.attachment.judge(&packet::udp(IpAddr::V4(*address)))? == Verdict::Drop);
        }
        let stranger = packet::udp(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
        ensure!(kernel.attachment.judge(&stranger)? == Verdict::Pass);
        kernel.enforcer.replace_list(&[])?;
        for address in crowd {
            ensure!(kernel.attachment.judge(&packet::udp(IpAddr::V4(*address)))? == Verdict::Pass);
        }
        Ok(())
    })
}

/// What comes into the stash, or is the first of IPv6, is in force also where as much was there before something else
/// had it written anew: a list, or the tables of what is near.
pub(crate) fn told_again() -> anyhow::Result<()> {
    /// More than is borne before those tables are made anew.
    const STALE: usize = 16_400;
    let bench = Bench::quiet()?;
    let config = Config { max_listed: 100, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let crowd = crowd(&config, 2 * host::SLOTS + 3);
        let (full, beyond) = crowd.split_at(2 * host::SLOTS);
        kernel.enforcer.replace_list(full)?;
        kernel.enforcer.install(source(&beyond[0].to_string())?, entry(1, None))?;
        kernel.enforcer.replace_list(&crowd[1..=2 * host::SLOTS + 1])?;
        kernel.enforcer.remove(source(&beyond[0].to_string())?)?;
        kernel.enforcer.replace_list(full)?;
        let last = beyond[2];
        kernel.enforcer.install(source(&last.to_string())?, entry(1, None))?;
        ensure!(
            kernel.attachment.judge(&packet::udp(last.into()))? == Verdict::Drop,
            "{last} is in the stash"
        );

        let v6 = "2001:db8::7";
        for _ in 0..STALE {
            kernel.enforcer.install(source(v6)?, entry(1, None))?;
            kernel.enforcer.remove(source(v6)?)?;
        }
        kernel.enforcer.sweep(1)?;
        kernel.enforcer.install(source(v6)?, entry(1, None))?;
        ensure!(kernel.attachment.judge(&packet::udp(address(v6)))? == Verdict::Drop, "the first of IPv6");
        Ok(())
    })
}

/// A ban that fits neither into a bucket nor into the stash is refused and leaves nothing behind; a record that an earlier
/// daemon has left of one keeps no later one from starting.
pub(crate) fn refused_whole() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config { max_listed: 100, ..bench.config() };
    let most = 2 * host::SLOTS + host::stash_capacity(buckets(&config)) as usize;
    let crowd = crowd(&config, most + 1);
    let beyond = crowd[most];
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.replace_list(&crowd[..most])?;
        let full = kernel.enforcer.install(source(&beyond.to_string())?, entry(1, None));
        ensure!(matches!(full, Err(Error::Full { map: "STASH_V4", .. })), "{full:?}");
        ensure!(kernel.enforcer.entries()?.is_empty(), "refused, and told of as in force");
        ensure!(kernel.attachment.judge(&packet::udp(beyond.into()))? == Verdict::Pass);
        Ok(())
    })?;
    // Its record alone, as if the daemon had died behind it.
    let pin = config.pin_dir.join(format!("v{}", maps::SCHEMA)).join(maps::BANS_V4);
    let mut records: HashMap<_, [u8; 4], [u64; 5]> =
        HashMap::try_from(Map::from_map_data(MapData::from_pin(pin)?)?)?;
    records.insert(beyond.octets(), [UNTIL_LIFTED, 1, 0, 0, 0], 0)?;
    bench.with_kernel(&config, |kernel| {
        ensure!(kernel.enforcer.entries()?.is_empty(), "told of as in force");
        ensure!(kernel.attachment.judge(&packet::udp(beyond.into()))? == Verdict::Pass);
        ensure!(kernel.attachment.judge(&packet::udp(crowd[0].into()))? == Verdict::Drop, "the list is gone");
        Ok(())
    })
}
