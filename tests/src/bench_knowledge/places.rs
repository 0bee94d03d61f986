//! A look at a place, beside the library's own look into the same database.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maxminddb::{Reader, path};
use serde_json::{Value, json};
use skyshield::engine::place::{Atlas, Policies};
use skyshield::geoip::{self, Kind};

use super::{next, now};
use crate::figures::quantile;
use crate::mmdb::{self, Mmdb};

const ROUNDS: usize = 7;
const LOOKS: u32 = 200_000;
/// Looks that are timed together: a clock costs as much as a look.
const TOGETHER: u32 = 64;

pub(super) fn measure(stretches: u32) -> Result<Value> {
    let mut state = 7;
    let networks: BTreeSet<u32> = (0..stretches).map(|_| next(&mut state) >> 8).collect();
    let mut database = Mmdb::new("GeoLite2-Country", 1_700_000_000);
    for network in &networks {
        let letter = |shift: u32| char::from(b'A' + u8::try_from(network >> shift & 15).unwrap_or_default());
        let code: String = [letter(0), letter(4)].iter().collect();
        database.put(u128::from(network << 8), 96 + 24, &mmdb::Value::country(&code));
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("country.mmdb");
    std::fs::write(&file, database.bytes())?;
    let began = now();
    let (table, facts) = geoip::read(&file, Kind::Country, 1 << 30).map_err(anyhow::Error::new)?;
    let read = began.elapsed();
    let atlas = Atlas::new(vec![Arc::new(table)], Policies::default());
    let reader = Reader::open_readfile(&file)?;
    let addresses: Vec<IpAddr> = (0..LOOKS).map(|_| IpAddr::V4(next(&mut state).into())).collect();
    for address in addresses.iter().take(10_000) {
        let theirs: Option<&str> = reader.lookup(*address)?.decode_path(&path!["country", "iso_code"])?;
        let ours = atlas.origin_of(*address).and_then(|origin| origin.country);
        ensure!(theirs.map(str::as_bytes) == ours.as_ref().map(<[u8; 2]>::as_slice), "{address}");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        time(&addresses, &mut ours, |address| atlas.origin_of(address).is_some());
        time(&addresses, &mut theirs, |address| {
            let found = reader.lookup(address).ok();
            let code: Option<Option<&str>> =
                found.and_then(|found| found.decode_path(&path!["country", "iso_code"]).ok());
            code.flatten().is_some()
        });
    }
    let nanos = |times: &mut Vec<Duration>, share| quantile(times, share).as_nanos();
    let (p50, peer) = (nanos(&mut ours, 0.5), nanos(&mut theirs, 0.5));
    Ok(json!({
        "stretches": facts.stretches,
        "read_ms": u64::try_from(read.as_millis()).context("too long")?,
        "look_p50_ns": u64::try_from(p50)?,
        "look_p99_ns": u64::try_from(nanos(&mut ours, 0.99))?,
        "maxminddb_look_p50_ns": u64::try_from(peer)?,
    }))
}

/// The time of one look, taken over so many together.
fn time(addresses: &[IpAddr], into: &mut Vec<Duration>, look: impl Fn(IpAddr) -> bool) {
    for some in addresses.chunks(TOGETHER as usize) {
        let began = now();
        let found = some.iter().filter(|address| look(**address)).count();
        let took = began.elapsed() / TOGETHER;
        std::hint::black_box(found);
        into.push(took);
    }
}
